//! Signals.
//!
//! * `set`: sets of signals. `action`: what a process does about each. `info`: what a handler is
//!   told.
//! * `send`: from a sender to the pending ones. `deliver`: from there to a handler, or to the default
//!   action. `frame`: what a handler finds on its stack, and the way back.

mod action;
mod deliver;
mod frame;
mod info;
mod send;
mod set;

pub(crate) use action::RawAction;
use action::{Action, Disposition};
pub(crate) use deliver::deliver;
pub(crate) use frame::{StackT, sigreturn, stack_of};
pub(crate) use info::{Info, LastTrap, child_code};
pub(crate) use send::{force, force_trap, send, send_child, send_kernel, send_kill};
pub(crate) use set::{NSIG, SigSet};

use linux_raw_sys::general as linux;

/// The stack that handlers with SA_ONSTACK use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AltStack {
    pub(crate) base: u64,
    /// Bytes; 0 if there is none.
    pub(crate) size: u64,
    /// SS_AUTODISARM, or 0.
    pub(crate) flags: u32,
}

impl AltStack {
    const NONE: Self = Self {
        base: 0,
        size: 0,
        flags: 0,
    };

    /// Whether a stack pointer is in it (Linux include/linux/sched/signal.h: `__on_sig_stack`).
    pub(crate) fn contains(&self, sp: u64) -> bool {
        sp > self.base && sp - self.base <= self.size
    }
}

/// A process's signals.
pub(crate) struct Signals {
    /// By number, less one.
    actions: [Action; NSIG],
    pub(crate) blocked: SigSet,
    /// What `blocked` becomes after the next handler's frame is made, or when none runs.
    pub(crate) saved_mask: Option<SigSet>,
    pending: SigSet,
    /// Of the pending ones, by number, less one.
    infos: [Info; NSIG],
    pub(crate) alt_stack: AltStack,
    last_trap: LastTrap,
    /// Pending ones that are not blocked, or a mask to restore: looked at after each trap.
    has_work: bool,
    /// The signal that stopped it, or 0 if it goes on: what its parent has not been told.
    pub(crate) stop_news: Option<u32>,
}

impl Signals {
    /// Those of a process that has nothing of its parent's. A constant, since they are too large for a stack.
    pub(crate) const NEW: Self = Self {
        actions: [Action::DEFAULT; NSIG],
        blocked: SigSet::EMPTY,
        saved_mask: None,
        pending: SigSet::EMPTY,
        infos: [Info::NONE; NSIG],
        alt_stack: AltStack::NONE,
        last_trap: LastTrap::NONE,
        has_work: false,
        stop_news: None,
    };

    /// A new child has handlers, mask and stack of its parent, and nothing pending.
    pub(crate) fn inherit(&mut self, parent: &Self) {
        self.actions = parent.actions;
        self.blocked = parent.blocked;
        self.alt_stack = parent.alt_stack;
        self.last_trap = parent.last_trap;
    }

    /// Handlers become the default action, at execve. What is ignored stays so.
    pub(crate) fn reset_handlers(&mut self) {
        for action in &mut self.actions {
            if !matches!(action.disposition(), Disposition::Ignore) {
                *action = Action::DEFAULT;
            }
            action.forget_flags();
        }
    }

    /// There is no stack for handlers any more.
    pub(crate) fn forget_stack(&mut self) {
        self.alt_stack = AltStack::NONE;
    }

    /// Whether [`deliver()`] has something to do.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.has_work
    }

    /// Pending ones, blocked or not.
    pub(crate) fn pending(&self) -> SigSet {
        self.pending
    }

    /// Whether children leave no zombie (Linux: SIGCHLD ignored, or SA_NOCLDWAIT).
    pub(crate) fn ignores_children(&self) -> bool {
        let action = &self.actions[linux::SIGCHLD as usize - 1];
        action.is_ignored_by_choice() || action.has(linux::SA_NOCLDWAIT)
    }

    /// Sets which ones are blocked. SIGKILL and SIGSTOP never are.
    pub(crate) fn set_blocked(&mut self, blocked: SigSet) {
        self.blocked = blocked.without(SigSet::UNBLOCKABLE);
        self.recalculate();
    }

    /// Blocks `mask` until a handler runs, or none does (sigsuspend).
    pub(crate) fn suspend_with(&mut self, mask: SigSet) {
        if self.saved_mask.is_none() {
            self.saved_mask = Some(self.blocked);
        }
        self.set_blocked(mask);
    }

    fn recalculate(&mut self) {
        self.has_work = !self.deliverable().is_empty() || self.saved_mask.is_some();
    }

    /// Pending and not blocked.
    fn deliverable(&self) -> SigSet {
        self.pending.without(self.blocked)
    }

    /// Whether a signal would end a wait.
    pub(crate) fn interrupts(&self) -> bool {
        !self.deliverable().is_empty()
    }

    /// Takes one of a set away, if it is pending.
    pub(crate) fn take_of(&mut self, wanted: SigSet) -> Option<Info> {
        let signal = self.pending.and(wanted).first()?;
        self.pending.remove(signal);
        self.recalculate();
        Some(self.infos[signal as usize - 1])
    }

    /// What is done about a signal, as rt_sigaction gives it.
    pub(crate) fn action(&self, signal: u32) -> RawAction {
        self.actions[signal as usize - 1].raw()
    }

    /// Sets what is done about a signal. One that is ignored from now on is no longer pending.
    pub(crate) fn set_action(&mut self, signal: u32, raw: RawAction) {
        let action = Action::from_raw(raw);
        self.actions[signal as usize - 1] = action;
        if action.ignores(signal) {
            self.pending.remove(signal);
        }
        self.recalculate();
    }
}
