//! Who a process is: numbers, groups, sessions, users. There is one user, root.

use super::{Args, user};
use crate::task::{Pid, Slot, Space, Task, Tasks};
use linux_raw_sys::general as nr;
use pagelab_abi::errno::Errno;

/// The calls that need nothing but a look at the task.
#[inline(always)]
pub(super) fn quick(task: &Task, number: u32) -> Option<u64> {
    match number {
        // One thread each: its number is that of the process.
        nr::__NR_getpid | nr::__NR_gettid => Some(task.pid().0.into()),
        nr::__NR_getppid => Some(task.ppid().0.into()),
        nr::__NR_getuid | nr::__NR_geteuid | nr::__NR_getgid | nr::__NR_getegid => Some(0),
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

/// Changes of user and group. root may become anybody; here it stays root.
pub(super) fn set_ids(number: u32, args: &Args) -> Result<u64, Errno> {
    const KEEP: u32 = u32::MAX;
    let used = match number {
        nr::__NR_setresuid | nr::__NR_setresgid => 3,
        nr::__NR_setreuid | nr::__NR_setregid => 2,
        _ => 1,
    };
    if matches!(number, nr::__NR_setfsuid | nr::__NR_setfsgid) {
        return Ok(0);
    }
    let is_root = |id: &u64| [0, KEEP].contains(&(*id as u32));
    if args[..used].iter().all(is_root) {
        Ok(0)
    } else {
        Err(Errno::EPERM)
    }
}

/// Real, effective and saved user or group.
pub(super) fn get_ids(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    for at in &args[..3] {
        user::store(space, *at, &0_u32)?;
    }
    Ok(0)
}
