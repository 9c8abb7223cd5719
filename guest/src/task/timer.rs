//! Interval timers: a signal at a time of the clock, or once a process has had the CPU for so long (Linux
//! kernel/time/itimer.c).
//!
//! The clock goes on with events and while everybody waits; a process's own time with the events while
//! it has the CPU, in its program or in the kernel for it. A program that computes and makes no system
//! call for ever is so never interrupted.

use super::{Slot, Task, Tasks};
use crate::signal;
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general::{SIGALRM, SIGPROF, SIGVTALRM};
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

/// Timers of a process's own time, and their signals.
const CPU_SIGNALS: [u32; 2] = [SIGVTALRM, SIGPROF];

/// Which timer, in the numbering of setitimer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Of the clock.
    Real,
    /// Of a process's own time: `ITIMER_VIRTUAL` is the first, `ITIMER_PROF` the second. There is no
    /// telling the program's time from the kernel's for it.
    Cpu(usize),
}

/// A process's own time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuTime {
    /// Nanoseconds that it had the CPU, up to when it had it last.
    used: u64,
    timers: [Timer; 2],
}

impl Tasks {
    /// What a timer counts from: nanoseconds of the clock, or of a task's own.
    pub(crate) fn timer_clock(&self, slot: Slot, which: Which) -> u64 {
        match which {
            Which::Real => self.clock.monotonic(),
            Which::Cpu(_) => self.cpu_time(slot),
        }
    }

    /// Nanoseconds that a task has had the CPU.
    pub(crate) fn cpu_time(&self, slot: Slot) -> u64 {
        if self.loaded == Some(slot) {
            self.cpu_time_of_loaded(slot)
        } else {
            self.get(slot).cpu_time.used
        }
    }

    /// A task gets the CPU.
    pub(super) fn begin_cpu_time(&mut self, slot: Slot) {
        self.loaded_at = self.clock.monotonic();
        if self.get(slot).cpu_time.is_timed() {
            self.find_next_timer();
        }
    }

    /// A task has had the CPU.
    pub(super) fn end_cpu_time(&mut self, slot: Slot) {
        let used = self.cpu_time_of_loaded(slot);
        let task = self.get_mut(slot);
        task.cpu_time.used = used;
        task.tell_cpu_time();
    }

    fn cpu_time_of_loaded(&self, slot: Slot) -> u64 {
        let had = self.clock.monotonic().saturating_sub(self.loaded_at);
        self.get(slot).cpu_time.used.saturating_add(had)
    }

    /// Time goes on to `until` while everybody waits, so that it is nobody's.
    pub(super) fn skip_to(&mut self, until: u64) {
        let before = self.clock.monotonic();
        self.clock.skip_to(until);
        self.loaded_at += self.clock.monotonic() - before;
    }

    /// A task's timer.
    pub(crate) fn timer(&self, slot: Slot, which: Which) -> Timer {
        let task = self.get(slot);
        match which {
            Which::Real => task.timer,
            Which::Cpu(index) => task.cpu_time.timers[index],
        }
    }

    /// Sets a task's timer, and says what it was.
    pub(crate) fn set_timer(&mut self, slot: Slot, which: Which, timer: Timer) -> Timer {
        let task = self.get_mut(slot);
        let place = match which {
            Which::Real => &mut task.timer,
            Which::Cpu(index) => &mut task.cpu_time.timers[index],
        };
        let before = core::mem::replace(place, timer);
        self.find_next_timer();
        before
    }

    /// When the first timer of the clock fires.
    pub(super) fn next_timer(&self) -> Option<u64> {
        let living = self
            .iter()
            .filter(|(_, task)| task.state() != TaskState::Zombie);
        living.filter_map(|(_, task)| task.timer.at).min()
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
        if let Some(slot) = self.loaded {
            let used = self.cpu_time(slot);
            let task = self.get_mut(slot);
            for (index, signal) in CPU_SIGNALS.into_iter().enumerate() {
                if task.cpu_time.timers[index].fire(used) {
                    signal::send_kernel(task, signal);
                }
            }
        }
        self.find_next_timer();
    }

    /// After a change of any timer, or of who has the CPU.
    pub(super) fn find_next_timer(&mut self) {
        let of_loaded = self.loaded.and_then(|slot| {
            let first = self.get(slot).cpu_time.first()?;
            let left = first.saturating_sub(self.cpu_time(slot));
            Some(self.clock.monotonic().saturating_add(left))
        });
        self.next_timer = self.next_timer().into_iter().chain(of_loaded).min();
    }
}

impl Task {
    /// Tells who reads [`pagelab_abi::task::TaskStruct`] of its time and faults.
    fn tell_cpu_time(&self) {
        let usage = &self.shared.usage;
        usage.cpu_time.store(self.cpu_time.used, Relaxed);
        usage.major_faults.store(self.major_faults, Relaxed);
    }
}

impl CpuTime {
    /// Whether a timer counts it.
    fn is_timed(&self) -> bool {
        self.first().is_some()
    }

    /// When the first timer fires.
    fn first(&self) -> Option<u64> {
        self.timers.iter().filter_map(|timer| timer.at).min()
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
