//! Sets of signals, as programs pass them.

use linux_raw_sys::general as linux;

/// Signals; the numbers begin with 1.
pub(crate) const NSIG: usize = 64;

/// A set: bit `n - 1` for signal `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SigSet(pub(crate) u64);

impl SigSet {
    pub(crate) const EMPTY: Self = Self(0);
    pub(crate) const UNBLOCKABLE: Self =
        Self(Self::of(linux::SIGKILL).0 | Self::of(linux::SIGSTOP).0);

    /// Signals that an instruction raises, which come before others (Linux kernel/signal.c:
    /// `SYNCHRONOUS_MASK`).
    const SYNCHRONOUS: Self = Self(
        Self::of(linux::SIGSEGV).0
            | Self::of(linux::SIGBUS).0
            | Self::of(linux::SIGILL).0
            | Self::of(linux::SIGTRAP).0
            | Self::of(linux::SIGFPE).0
            | Self::of(linux::SIGSYS).0,
    );

    pub(crate) const fn of(signal: u32) -> Self {
        Self(1 << (signal - 1))
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn contains(self, signal: u32) -> bool {
        self.0 & Self::of(signal).0 != 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn insert(&mut self, signal: u32) {
        self.0 |= Self::of(signal).0;
    }

    pub(crate) const fn remove(&mut self, signal: u32) {
        self.0 &= !Self::of(signal).0;
    }

    /// The one to deliver first.
    pub(crate) const fn first(self) -> Option<u32> {
        let synchronous = self.and(Self::SYNCHRONOUS);
        let of = if synchronous.is_empty() {
            self
        } else {
            synchronous
        };
        if of.is_empty() {
            None
        } else {
            Some(of.0.trailing_zeros() + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_instruction_raised_comes_first() {
        let mut set = SigSet::EMPTY;
        assert_eq!(set.first(), None);
        set.insert(linux::SIGTERM);
        set.insert(linux::SIGHUP);
        assert_eq!(set.first(), Some(linux::SIGHUP));
        set.insert(linux::SIGSEGV);
        assert_eq!(set.first(), Some(linux::SIGSEGV));
        set.remove(linux::SIGSEGV);
        assert!(!set.contains(linux::SIGSEGV) && set.contains(linux::SIGTERM));
        assert_eq!(SigSet::of(64).0, 1 << 63);
    }
}
