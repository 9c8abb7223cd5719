//! Interval timers: SIGALRM at a time of the clock (Linux kernel/time/itimer.c, `ITIMER_REAL`).
//!
//! The clock goes on with events and while everybody waits. A program that computes and makes no
//! system call for ever is so never interrupted.

use super::{Slot, Tasks};
use crate::signal;
use linux_raw_sys::general::SIGALRM;
use pagelab_abi::task::TaskState;

/// A timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timer {
    /// When it fires next, in nanoseconds of [`super::Clock::monotonic`]; none if it is off.
    pub(crate) at: Option<u64>,
    /// Nanoseconds from then to the time after; 0 if there is none.
    pub(crate) interval: u64,
}

impl Timer {
    /// Moves on behind `now`. True if it fires.
    fn fire(&mut self, now: u64) -> bool {
        let Some(at) = self.at.filter(|&at| at <= now) else {
            return false;
        };
        // Times that were missed are one signal.
        self.at = (now - at)
            .checked_div(self.interval)
            .map(|missed| at.saturating_add((missed + 1).saturating_mul(self.interval)));
        true
    }
}

impl Tasks {
    /// Sets a task's timer, and says what it was.
    pub(crate) fn set_timer(&mut self, slot: Slot, timer: Timer) -> Timer {
        let before = core::mem::replace(&mut self.get_mut(slot).timer, timer);
        self.find_next_timer();
        before
    }

    /// When the first timer fires.
    pub(super) fn next_timer(&self) -> Option<u64> {
        self.next_timer
    }

    /// Whether a timer is due.
    #[inline]
    pub(super) fn timer_is_due(&self) -> bool {
        self.next_timer
            .is_some_and(|at| at <= self.clock.monotonic())
    }

    /// Sends the signals of the timers that are due.
    pub(super) fn fire_timers(&mut self) {
        let now = self.clock.monotonic();
        for (_, task) in self.iter_mut() {
            if task.timer.fire(now) {
                signal::send_kernel(task, SIGALRM);
            }
        }
        self.find_next_timer();
    }

    /// After a change of any timer.
    pub(super) fn find_next_timer(&mut self) {
        let living = self
            .iter()
            .filter(|(_, task)| task.state() != TaskState::Zombie);
        self.next_timer = living.filter_map(|(_, task)| task.timer.at).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_fires_once_or_again_and_again() {
        let mut once = Timer {
            at: Some(10),
            interval: 0,
        };
        assert!(!once.fire(9));
        assert!(once.fire(10));
        assert_eq!(once.at, None);
        let mut again = Timer {
            at: Some(10),
            interval: 7,
        };
        assert!(again.fire(10));
        assert_eq!(again.at, Some(17));
        assert!(again.fire(32));
        assert_eq!(again.at, Some(38));
        assert!(!again.fire(37));
    }
}
