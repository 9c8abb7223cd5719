//! From pending signals to handlers and default actions.

use super::{
    Info, SigSet,
    action::{Default, Disposition, default_of},
    frame, send,
};
use crate::{
    syscall::{self, Flow},
    task::{Slot, Task, Tasks},
};
use core::fmt;
use linux_raw_sys::general as linux;

/// Handles the pending signals of a task that is about to go on in ring 3: it goes to handlers,
/// stops, or ends.
pub(crate) fn deliver(tasks: &mut Tasks, slot: Slot) -> Flow {
    loop {
        let task = tasks.get_mut(slot);
        let signals = &mut task.signals;
        let Some(signal) = signals.deliverable().first() else {
            if let Some(mask) = signals.saved_mask.take() {
                signals.set_blocked(mask);
                if signals.interrupts() {
                    continue;
                }
            }
            signals.recalculate();
            return Flow::Continue;
        };
        signals.pending.remove(signal);
        signals.recalculate();
        let info = signals.infos[signal as usize - 1];
        let action = signals.actions[signal as usize - 1];
        match action.disposition() {
            Disposition::Ignore => {}
            Disposition::Handler(handler) => {
                interrupt(tasks, slot, action.has(linux::SA_RESTART));
                handle(tasks.get_mut(slot), handler, info);
            }
            Disposition::Default => match default_of(signal) {
                Default::Ignore | Default::Continue => {}
                Default::Stop => {
                    stop(tasks, slot, signal);
                    return Flow::Switch;
                }
                Default::Terminate => {
                    report(task, info);
                    tasks.exit(slot, signal);
                    return Flow::Gone;
                }
            },
        }
    }
}

/// The system call that the task would have made again ends with EINTR, unless the handler wants it
/// made again.
fn interrupt(tasks: &mut Tasks, slot: Slot, wants_restart: bool) {
    let Some(number) = tasks.get_mut(slot).restart.take() else {
        return;
    };
    if wants_restart && syscall::is_restarted(number) {
        return;
    }
    syscall::interrupted(tasks, slot, number);
}

fn handle(task: &mut Task, handler: u64, info: Info) {
    let signal = info.signal;
    task.interrupt_rseq();
    let action = task.signals.actions[signal as usize - 1];
    if action.has(linux::SA_RESETHAND) {
        task.signals.actions[signal as usize - 1] = super::Action::DEFAULT;
    }
    if frame::push(task, handler, &action, info).is_err() {
        // A stack overflow for one: what the handler cannot be told kills.
        if signal == linux::SIGSEGV {
            task.signals.actions[signal as usize - 1] = super::Action::DEFAULT;
        }
        send::force(task, &Info::kernel(linux::SIGSEGV));
        return;
    }
    let signals = &mut task.signals;
    signals.saved_mask = None;
    let mut blocked = signals.blocked.or(action.mask());
    if !action.has(linux::SA_NODEFER) {
        blocked = blocked.or(SigSet::of(signal));
    }
    signals.set_blocked(blocked);
}

fn stop(tasks: &mut Tasks, slot: Slot, signal: u32) {
    let task = tasks.get_mut(slot);
    task.stop();
    task.signals.stop_news = Some(signal);
    let (pid, parent, uid) = (task.pid(), task.ppid(), task.cred().uid.real);
    let Some(parent) = tasks.find(parent) else {
        return;
    };
    let action = tasks.get(parent).signals.actions[linux::SIGCHLD as usize - 1];
    if !action.has(linux::SA_NOCLDSTOP) {
        send::send_child(tasks.get_mut(parent), pid, uid, signal << 8 | 0x7f);
    }
    tasks.child_changed(parent);
}

/// One line about a process that an exception has killed, as Linux prints one.
fn report(task: &Task, info: Info) {
    if info.is_trap() {
        log::warn!("{}", Report { task, info });
    }
}

struct Report<'a> {
    task: &'a Task,
    info: Info,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comm = self.task.comm();
        let comm = comm.split(|&byte| byte == 0).next().unwrap_or(&[]);
        let comm = core::str::from_utf8(comm).unwrap_or("?");
        let trap = &self.task.signals.last_trap;
        let regs = &self.task.context.regs;
        write!(
            f,
            "{comm}[{}]: killed by signal {}: trap {} at {:#x} ip {:#x} sp {:#x} error {:#x}",
            self.task.pid().0,
            self.info.signal,
            trap.number,
            trap.address,
            regs.rip,
            regs.rsp,
            trap.error
        )
    }
}
