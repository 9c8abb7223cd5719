//! prctl (Linux kernel/sys.c).

use super::{Args, user};
use crate::task::{DEFAULT_SLACK, Space, Task};
use linux_raw_sys::prctl as option;
use pagelab_abi::{errno::Errno, task::COMM_LEN};

/// Signals that there are.
const NSIG: u64 = 64;

pub(super) fn prctl(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    let [what, value, rest @ ..] = *args;
    let nothing_more = rest[..3].iter().all(|arg| *arg == 0);
    let flag = |value: u64| match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::EINVAL),
    };
    match what as u32 {
        option::PR_SET_NAME => {
            let mut name = [0; COMM_LEN];
            let len = load_name(user::space(task)?, value, &mut name)?;
            task.set_comm(&name[..len]);
        }
        option::PR_GET_NAME => {
            let comm = task.comm();
            user::store(user::space(task)?, value, &comm)?;
        }
        option::PR_SET_PDEATHSIG if value <= NSIG => task.pdeath_signal = value as u32,
        option::PR_GET_PDEATHSIG => {
            let signal = task.pdeath_signal;
            user::store(user::space(task)?, value, &signal)?;
        }
        option::PR_GET_DUMPABLE => return Ok(task.prctl.is_dumpable.into()),
        option::PR_SET_DUMPABLE => task.prctl.is_dumpable = flag(value)?,
        option::PR_GET_KEEPCAPS => return Ok(task.prctl.keeps_caps.into()),
        option::PR_SET_KEEPCAPS => task.prctl.keeps_caps = flag(value)?,
        option::PR_GET_NO_NEW_PRIVS if value == 0 && nothing_more => {
            return Ok(task.prctl.no_new_privs.into());
        }
        option::PR_SET_NO_NEW_PRIVS if value == 1 && nothing_more => {
            task.prctl.no_new_privs = true;
        }
        option::PR_SET_CHILD_SUBREAPER => task.prctl.is_subreaper = value != 0,
        option::PR_GET_CHILD_SUBREAPER => {
            let is_one = i32::from(task.prctl.is_subreaper);
            user::store(user::space(task)?, value, &is_one)?;
        }
        option::PR_SET_TIMERSLACK => {
            task.prctl.timer_slack = if (value as i64) <= 0 {
                DEFAULT_SLACK
            } else {
                value
            };
        }
        option::PR_GET_TIMERSLACK => return Ok(task.prctl.timer_slack),
        option::PR_GET_TID_ADDRESS => {
            let address = task.clear_child_tid;
            user::store(user::space(task)?, value, &address)?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// A name is cut, not refused.
fn load_name(space: &mut Space, at: u64, name: &mut [u8]) -> Result<usize, Errno> {
    let room = name.len() - 1;
    match user::load_string(space, at, &mut name[..room], Errno::E2BIG) {
        Ok(text) => Ok(text.len()),
        Err(Errno::E2BIG) => Ok(room),
        Err(errno) => Err(errno),
    }
}
