//! What a process does about a signal.

use super::SigSet;
use linux_raw_sys::general as linux;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct sigaction` as rt_sigaction takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct RawAction {
    pub(crate) handler: u64,
    pub(crate) flags: u64,
    pub(crate) restorer: u64,
    pub(crate) mask: u64,
}

/// Values of [`RawAction::handler`] that are no address.
const SIG_DFL: u64 = 0;
const SIG_IGN: u64 = 1;

/// Flags that mean something here (Linux: `UAPI_SA_FLAGS`).
const FLAGS: u64 = (linux::SA_NOCLDSTOP
    | linux::SA_NOCLDWAIT
    | linux::SA_SIGINFO
    | linux::SA_ONSTACK
    | linux::SA_RESTART
    | linux::SA_NODEFER
    | linux::SA_RESETHAND
    | linux::SA_RESTORER) as u64;

/// An action that can be had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action(RawAction);

/// In one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// As [`default_of`] says.
    Default,
    /// Nothing happens.
    Ignore,
    /// A handler at this address runs.
    Handler(u64),
}

/// What a signal does by default (Linux include/linux/signal.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Default {
    Terminate,
    Ignore,
    Stop,
    Continue,
}

/// What a signal does by default.
pub(super) const fn default_of(signal: u32) -> Default {
    match signal {
        linux::SIGCHLD | linux::SIGURG | linux::SIGWINCH => Default::Ignore,
        linux::SIGSTOP | linux::SIGTSTP | linux::SIGTTIN | linux::SIGTTOU => Default::Stop,
        linux::SIGCONT => Default::Continue,
        _ => Default::Terminate,
    }
}

impl Action {
    pub(super) const DEFAULT: Self = Self(RawAction {
        handler: SIG_DFL,
        flags: 0,
        restorer: 0,
        mask: 0,
    });

    pub(super) fn from_raw(raw: RawAction) -> Self {
        Self(RawAction {
            flags: raw.flags & FLAGS,
            mask: SigSet(raw.mask).without(SigSet::UNBLOCKABLE).0,
            ..raw
        })
    }

    pub(super) fn raw(&self) -> RawAction {
        self.0
    }

    pub(super) fn disposition(&self) -> Disposition {
        match self.0.handler {
            SIG_DFL => Disposition::Default,
            SIG_IGN => Disposition::Ignore,
            handler => Disposition::Handler(handler),
        }
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.0.flags & u64::from(flag) != 0
    }

    pub(super) fn mask(&self) -> SigSet {
        SigSet(self.0.mask)
    }

    pub(super) fn restorer(&self) -> u64 {
        self.0.restorer
    }

    pub(super) fn is_ignored_by_choice(&self) -> bool {
        self.disposition() == Disposition::Ignore
    }

    /// Whether the signal does nothing at all.
    pub(super) fn ignores(&self, signal: u32) -> bool {
        match self.disposition() {
            Disposition::Ignore => true,
            Disposition::Default => default_of(signal) == Default::Ignore,
            Disposition::Handler(_) => false,
        }
    }

    /// At execve flags and mask go even where the handler stays.
    pub(super) fn forget_flags(&mut self) {
        self.0.flags = 0;
        self.0.mask = 0;
        self.0.restorer = 0;
    }
}
