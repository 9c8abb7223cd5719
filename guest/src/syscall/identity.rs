//! Who a process is: numbers, groups, sessions.

use super::Args;
use crate::task::{Pid, Slot, Task, Tasks};
use linux_raw_sys::general as nr;
use pagelab_abi::errno::Errno;

/// The calls that need nothing but a look at the task.
#[inline(always)]
pub(super) fn quick(task: &Task, number: u32) -> Option<u64> {
    match number {
        // One thread each: its number is that of the process.
        nr::__NR_getpid | nr::__NR_gettid => Some(task.pid().0.into()),
        nr::__NR_getppid => Some(task.ppid().0.into()),
        nr::__NR_getuid => Some(task.cred().uid.real.into()),
        nr::__NR_geteuid => Some(task.cred().uid.effective.into()),
        nr::__NR_getgid => Some(task.cred().gid.real.into()),
        nr::__NR_getegid => Some(task.cred().gid.effective.into()),
        _ => None,
    }
}

/// The process with the number in an argument; 0 is the caller.
fn target(tasks: &Tasks, slot: Slot, pid: u64) -> Result<Slot, Errno> {
    match pid as u32 {
        0 => Ok(slot),
        pid => tasks.find(Pid(pid)).ok_or(Errno::ESRCH),
    }
}

pub(super) fn getpgid(tasks: &Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let of = target(tasks, slot, args[0])?;
    Ok(tasks.get(of).pgid().0.into())
}

pub(super) fn getsid(tasks: &Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let of = target(tasks, slot, args[0])?;
    Ok(tasks.get(of).sid().0.into())
}

/// Moves a process, the caller or a child that has not called execve, into a group of its session.
pub(super) fn setpgid(tasks: &Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let of = target(tasks, slot, args[0])?;
    if (args[1] as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let caller = tasks.get(slot);
    let task = tasks.get(of);
    let is_child = task.ppid() == caller.pid();
    if of != slot && !is_child {
        return Err(Errno::ESRCH);
    }
    if of != slot && task.sid() != caller.sid() {
        return Err(Errno::EPERM);
    }
    if of != slot && task.has_execed {
        return Err(Errno::EACCES);
    }
    if task.sid() == task.pid() {
        return Err(Errno::EPERM);
    }
    let group = match args[1] as u32 {
        0 => task.pid(),
        group => Pid(group),
    };
    let exists = |(_, other): (Slot, &Task)| other.pgid() == group && other.sid() == caller.sid();
    if group != task.pid() && !tasks.iter().any(exists) {
        return Err(Errno::EPERM);
    }
    task.set_group(group);
    Ok(0)
}

/// Makes the caller the leader of a new session and group.
pub(super) fn setsid(tasks: &Tasks, slot: Slot) -> Result<u64, Errno> {
    let task = tasks.get(slot);
    let pid = task.pid();
    if tasks.iter().any(|(_, other)| other.pgid() == pid) {
        return Err(Errno::EPERM);
    }
    task.set_group(pid);
    task.set_session(pid);
    Ok(pid.0.into())
}
