//! From a sender to the pending ones.

use super::{
    Info, LastTrap, SigSet,
    action::{Default, Disposition, default_of},
};
use crate::{
    root,
    task::{Pid, Task, WaitFor},
};
use linux_raw_sys::general as linux;
use pagelab_abi::task::TaskState;

/// Makes a signal pending, unless it is ignored, and ends the wait of a task that it concerns. One
/// that is pending already stays as it is.
pub(crate) fn send(task: &mut Task, info: Info) {
    let signal = info.signal;
    if task.state() == TaskState::Zombie {
        return;
    }
    let signals = &mut task.signals;
    if signal == linux::SIGCONT {
        signals.pending = signals.pending.without(STOPS);
    } else if STOPS.contains(signal) {
        signals.pending.remove(linux::SIGCONT);
    }
    let action = &signals.actions[signal as usize - 1];
    let ignored = action.ignores(signal) && !signals.blocked.contains(signal);
    if !ignored && !signals.pending.contains(signal) {
        signals.pending.insert(signal);
        signals.infos[signal as usize - 1] = info;
        signals.recalculate();
    }
    if task.state() == TaskState::Stopped && (signal == linux::SIGCONT || signal == linux::SIGKILL)
    {
        task.wake();
        task.signals.stop_news = Some(0);
    }
    let awaited = match task.waits_for() {
        Some(WaitFor::SignalOf(set, _)) => set.contains(signal),
        _ => false,
    };
    if task.is_interruptible() && (awaited || task.signals.interrupts()) {
        task.wake();
    }
}

const STOPS: SigSet = SigSet(
    SigSet::of(linux::SIGSTOP).0
        | SigSet::of(linux::SIGTSTP).0
        | SigSet::of(linux::SIGTTIN).0
        | SigSet::of(linux::SIGTTOU).0,
);

/// Sends a signal that the task cannot escape: if it is blocked or ignored, it kills (Linux
/// kernel/signal.c: `force_sig_info_to_task`).
pub(crate) fn force(task: &mut Task, info: &Info) {
    let signal = info.signal;
    let signals = &mut task.signals;
    let action = &mut signals.actions[signal as usize - 1];
    if signals.blocked.contains(signal) || action.disposition() == Disposition::Ignore {
        *action = super::Action::DEFAULT;
        signals.blocked.remove(signal);
    }
    signals.pending.insert(signal);
    signals.infos[signal as usize - 1] = *info;
    signals.recalculate();
}

/// As [`force`], for an exception. `address` is that of a page fault.
pub(crate) fn force_trap(
    task: &mut Task,
    info: Info,
    number: u64,
    error: u64,
    address: Option<u64>,
) {
    let last = &mut task.signals.last_trap;
    *last = LastTrap {
        number,
        error,
        address: address.unwrap_or(last.address),
    };
    root::count(&root::program().exceptions);
    force(task, &info.of_trap());
}

/// From the kernel itself.
pub(crate) fn send_kernel(task: &mut Task, signal: u32) {
    send(task, Info::kernel(signal));
}

/// The end.
pub(crate) fn send_kill(task: &mut Task) {
    send_kernel(task, linux::SIGKILL);
}

/// Tells a parent about a child.
pub(crate) fn send_child(parent: &mut Task, child: Pid, uid: u32, status: u32) {
    send(parent, Info::child(child, uid, status));
}

const _: () = assert!(matches!(default_of(linux::SIGCHLD), Default::Ignore));
