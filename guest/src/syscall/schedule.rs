//! What a process may have of the CPU. There is one, and who runs is everybody's turn: nice values and sets of
//! CPUs are kept and told, and change nothing.

use super::{Args, user};
use crate::task::{Pid, Slot, Task, Tasks};
use linux_raw_sys::general::{PRIO_PGRP, PRIO_PROCESS, PRIO_USER, RLIMIT_NICE};
use pagelab_abi::errno::Errno;

/// The CPUs that there are, a bit each.
const CPUS: u64 = 1;

/// Bytes of the kernel's sets of CPUs.
const SET: u64 = 8;

/// The process of an argument; 0 is the caller.
fn process(tasks: &Tasks, slot: Slot, pid: u64) -> Result<Slot, Errno> {
    match pid as i32 {
        0 => Ok(slot),
        ..0 => Err(Errno::EINVAL),
        pid => tasks.find(Pid(pid.cast_unsigned())).ok_or(Errno::ESRCH),
    }
}

pub(super) fn sched_getaffinity(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let [pid, size, at, ..] = *args;
    let size = u64::from(size as u32);
    if size < SET || !size.is_multiple_of(SET) {
        return Err(Errno::EINVAL);
    }
    let of = process(tasks, slot, pid).map_err(|_| Errno::ESRCH)?;
    let cpus = tasks.get(of).prctl.cpus & CPUS;
    user::store(user::space(tasks.get_mut(slot))?, at, &cpus)?;
    Ok(SET)
}

pub(super) fn sched_setaffinity(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let [pid, size, at, ..] = *args;
    let len = u64::from(size as u32).min(SET) as usize;
    let mut set = [0; SET as usize];
    let space = user::space(tasks.get_mut(slot))?;
    space.read(at, &mut set[..len]).map_err(|_| Errno::EFAULT)?;
    let of = process(tasks, slot, pid).map_err(|_| Errno::ESRCH)?;
    let task = tasks.get(of);
    if !tasks.get(slot).cred().may_schedule(task.cred().uid) {
        return Err(Errno::EPERM);
    }
    let cpus = u64::from_le_bytes(set);
    if cpus & CPUS == 0 {
        return Err(Errno::EINVAL);
    }
    tasks.get_mut(of).prctl.cpus = cpus;
    Ok(0)
}

/// Those whom `which` and `who` of getpriority and setpriority mean.
fn meant(tasks: &Tasks, slot: Slot, which: u64, who: u64) -> Result<impl Fn(&Task) -> bool, Errno> {
    let (which, who) = (which as u32, who as u32);
    let caller = tasks.get(slot);
    let who = match which {
        PRIO_PROCESS if who == 0 => caller.pid().0,
        PRIO_PGRP if who == 0 => caller.pgid().0,
        PRIO_USER if who == 0 => caller.cred().uid.real,
        PRIO_PROCESS | PRIO_PGRP | PRIO_USER => who,
        _ => return Err(Errno::EINVAL),
    };
    Ok(move |task: &Task| match which {
        PRIO_PROCESS => task.pid().0 == who,
        PRIO_PGRP => task.pgid().0 == who,
        _ => task.cred().uid.real == who,
    })
}

/// A nice value as getpriority returns it, which no error looks like, and as `RLIMIT_NICE` has it.
const fn rlimit_of(nice: i32) -> u64 {
    (20 - nice) as u64
}

/// The best of those that are meant.
pub(super) fn getpriority(tasks: &Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let is_meant = meant(tasks, slot, args[0], args[1])?;
    let all = tasks.iter().filter(|(_, task)| is_meant(task));
    let best = all.map(|(_, task)| rlimit_of(task.nice())).max();
    best.ok_or(Errno::ESRCH)
}

/// Gives all that are meant a nice value, as far as the caller may.
pub(super) fn setpriority(tasks: &Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let is_meant = meant(tasks, slot, args[0], args[1])?;
    let nice = (args[2] as i32).clamp(-20, 19);
    let cred = tasks.get(slot).cred();
    let mut outcome = Err(Errno::ESRCH);
    for (_, task) in tasks.iter().filter(|(_, task)| is_meant(task)) {
        let limit = task.rlimits[RLIMIT_NICE as usize].current;
        let refused = if !cred.may_schedule(task.cred().uid) {
            Some(Errno::EPERM)
        } else if nice < task.nice() && rlimit_of(nice) > limit && !cred.is_capable() {
            Some(Errno::EACCES)
        } else {
            None
        };
        match refused {
            Some(errno) => outcome = Err(errno),
            None => {
                task.set_nice(nice);
                if outcome == Err(Errno::ESRCH) {
                    outcome = Ok(0);
                }
            }
        }
    }
    outcome
}
