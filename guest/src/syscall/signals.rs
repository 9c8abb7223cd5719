//! Calls about signals.

use super::{Args, Outcome, time::Timespec, user};
use crate::{
    signal::{self, Info, NSIG, RawAction, SigSet, StackT},
    task::{Pid, Slot, Task, Tasks, WaitFor},
};
use linux_raw_sys::general as linux;
use pagelab_abi::{errno::Errno, task::TaskState};

/// Bytes of a set, as each call says them.
const SET_SIZE: u64 = size_of::<SigSet>() as u64;

fn check_size(size: u64) -> Result<(), Errno> {
    if size == SET_SIZE {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// A signal's number, which is not 0.
fn number(arg: u64) -> Result<u32, Errno> {
    let signal = arg as u32;
    if signal != 0 && signal as usize <= NSIG {
        Ok(signal)
    } else {
        Err(Errno::EINVAL)
    }
}

pub(super) fn rt_sigaction(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    let [signal, new, old, size, ..] = *args;
    check_size(size)?;
    let wanted: Option<RawAction> = match new {
        0 => None,
        new => Some(user::load(user::space(task)?, new)?),
    };
    let signal = number(signal)?;
    if wanted.is_some() && SigSet::UNBLOCKABLE.contains(signal) {
        return Err(Errno::EINVAL);
    }
    let before = task.signals.action(signal);
    if let Some(action) = wanted {
        task.signals.set_action(signal, action);
    }
    user::store_if(user::space(task)?, old, &before)?;
    Ok(0)
}

pub(super) fn rt_sigprocmask(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    let [how, new, old, size, ..] = *args;
    check_size(size)?;
    let before = task.signals.blocked;
    if new != 0 {
        let set = SigSet(user::load(user::space(task)?, new)?);
        let blocked = match how as u32 {
            linux::SIG_BLOCK => before.or(set),
            linux::SIG_UNBLOCK => before.without(set),
            linux::SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        task.signals.set_blocked(blocked);
    }
    user::store_if(user::space(task)?, old, &before.0)?;
    Ok(0)
}

pub(super) fn rt_sigpending(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    let [at, size, ..] = *args;
    if size > SET_SIZE {
        return Err(Errno::EINVAL);
    }
    let pending = task.signals.pending().and(task.signals.blocked);
    let bytes = pending.0.to_le_bytes();
    let space = user::space(task)?;
    space
        .write(at, &bytes[..size as usize])
        .map_err(|_| Errno::EFAULT)?;
    Ok(0)
}

pub(super) fn rt_sigsuspend(task: &mut Task, args: &Args) -> Outcome {
    let mask = check_size(args[1])
        .and_then(|()| user::load(user::space(task)?, args[0]))
        .map(SigSet);
    match mask {
        Ok(mask) => {
            task.signals.suspend_with(mask);
            Outcome::Wait(WaitFor::Signal)
        }
        Err(errno) => Outcome::Error(errno),
    }
}

pub(super) fn rt_sigtimedwait(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    match timed_wait(tasks, slot, args) {
        Ok(outcome) => outcome,
        Err(errno) => Outcome::Error(errno),
    }
}

fn timed_wait(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<Outcome, Errno> {
    let [set, info_at, timeout, size, ..] = *args;
    check_size(size)?;
    let now = tasks.clock().monotonic();
    let task = tasks.get_mut(slot);
    let space = user::space(task)?;
    let set = SigSet(user::load(space, set)?).without(SigSet::UNBLOCKABLE);
    let limit = match timeout {
        0 => None,
        at => Some(user::load::<Timespec>(space, at)?.nanoseconds()?),
    };
    if let Some(info) = task.signals.take_of(set) {
        task.deadline = None;
        user::store_if(user::space(task)?, info_at, &info.to_siginfo())?;
        return Ok(Outcome::Value(info.signal.into()));
    }
    let deadline = limit.map(|limit| *task.deadline.get_or_insert(now.saturating_add(limit)));
    match deadline {
        Some(at) if at <= now => Err(Errno::EAGAIN),
        Some(at) => Ok(Outcome::Wait(WaitFor::SignalOf(set, Some(at)))),
        None => Ok(Outcome::Wait(WaitFor::SignalOf(set, None))),
    }
}

pub(super) fn rt_sigreturn(task: &mut Task) -> Outcome {
    if signal::sigreturn(task).is_err() {
        signal::force(task, &Info::kernel(linux::SIGSEGV));
    }
    Outcome::Keep
}

pub(super) fn sigaltstack(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    let [new, old, ..] = *args;
    let sp = task.context.regs.rsp;
    let before = signal::stack_of(&task.signals.alt_stack, sp);
    if new != 0 {
        let wanted: StackT = user::load(user::space(task)?, new)?;
        task.signals.set_alt_stack(&wanted, sp)?;
    }
    user::store_if(user::space(task)?, old, &before)?;
    Ok(0)
}

pub(super) fn kill(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let pid = args[0] as i32;
    let caller = tasks.get(slot);
    let (own, group, session) = (caller.pid(), caller.pgid(), caller.sid());
    let uid = caller.cred().uid;
    let wanted = |task: &Task| match pid {
        -1 => task.pid() != own && task.pid() != Pid::INIT,
        0 => task.pgid() == group,
        pid @ ..0 => task.pgid().0 == pid.unsigned_abs(),
        pid => task.pid().0 == pid as u32,
    };
    if pid == i32::MIN || !tasks.iter().any(|(_, task)| wanted(task)) {
        return Err(Errno::ESRCH);
    }
    let signal = signal_or_none(args[1])?;
    // One that may be sent to is enough.
    let mut outcome = Err(Errno::EPERM);
    for (_, task) in tasks.iter_mut().filter(|(_, task)| wanted(task)) {
        let goes_on = signal == Some(linux::SIGCONT) && task.sid() == session;
        if !goes_on && !uid.may_signal(task.cred().uid) {
            continue;
        }
        outcome = Ok(0);
        if let Some(signal) = signal {
            signal::send(task, Info::user(signal, own, uid.real));
        }
    }
    outcome
}

pub(super) fn tkill(tasks: &mut Tasks, slot: Slot, tid: u64, signal: u64) -> Result<u64, Errno> {
    let tid = tid as i32;
    if tid <= 0 {
        return Err(Errno::EINVAL);
    }
    let caller = tasks.get(slot);
    let (own, session, uid) = (caller.pid(), caller.sid(), caller.cred().uid);
    let target = tasks.find(Pid(tid as u32)).ok_or(Errno::ESRCH)?;
    let task = tasks.get_mut(target);
    if task.state() == TaskState::Zombie {
        return Err(Errno::ESRCH);
    }
    let signal = signal_or_none(signal)?;
    let goes_on = signal == Some(linux::SIGCONT) && task.sid() == session;
    if !goes_on && !uid.may_signal(task.cred().uid) {
        return Err(Errno::EPERM);
    }
    if let Some(signal) = signal {
        signal::send(task, Info::thread(signal, own, uid.real));
    }
    Ok(0)
}

pub(super) fn tgkill(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let [group, tid, signal, ..] = *args;
    if (group as i32) <= 0 {
        return Err(Errno::EINVAL);
    }
    if (tid as i32) <= 0 {
        return Err(Errno::EINVAL);
    }
    if group as u32 != tid as u32 {
        return Err(Errno::ESRCH);
    }
    tkill(tasks, slot, tid, signal)
}

/// A signal's number; none for 0, which only asks whether there is somebody.
fn signal_or_none(arg: u64) -> Result<Option<u32>, Errno> {
    if arg as u32 == 0 {
        return Ok(None);
    }
    number(arg).map(Some)
}
