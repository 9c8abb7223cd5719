//! Whether it pays to have KVM note which pages the guest stores to.
//!
//! With the log each page costs a fault when the guest first stores to it, and a copy when the machine
//! goes back; without it each page of the snapshot costs a copy. Which is less depends on the run, so it
//! is measured, and looked at again from time to time. The choice changes nothing but the time taken.

use std::time::Duration;

/// Nanoseconds of the fault by which KVM learns of the first store to a page: about what an exit, the
/// change of the entry and the return take on VT-x and AMD-V.
const FAULT: f64 = 2000.0;

/// Nanoseconds of the copy of a page, until one was measured: 4 KiB at 16 GB/s.
const COPY: f64 = 250.0;

/// Restores without the log before one with it looks again.
const LOOK_EVERY: u32 = 64;

/// Weight of the newest measurement in the averages.
const NEWEST: f64 = 0.25;

/// What restores have cost so far.
#[derive(Debug)]
pub(super) struct Costs {
    copy: f64,
    /// Pages that a run stores to; none before the first was seen.
    dirty: Option<f64>,
    without_log: u32,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            copy: COPY,
            dirty: None,
            without_log: 0,
        }
    }
}

impl Costs {
    /// A copy of so many pages took so long.
    pub(super) fn copied(&mut self, pages: u64, took: Duration) {
        // A few pages say more of the clock than of the memory.
        if pages >= 64 {
            let each = took.as_nanos() as f64 / pages as f64;
            self.copy += (each - self.copy) * NEWEST;
        }
    }

    /// A run stored to so many pages.
    pub(super) fn dirtied(&mut self, pages: u64) {
        let dirty = self.dirty.get_or_insert(pages as f64);
        *dirty += (pages as f64 - *dirty) * NEWEST;
    }

    /// Whether the next run is to be logged, in a machine with so many pages that are not zero.
    pub(super) fn log_next(&mut self, populated: u64) -> bool {
        let with = self.dirty.unwrap_or(0.0) * (FAULT + self.copy);
        let without = populated as f64 * self.copy;
        let log = with <= without || self.without_log >= LOOK_EVERY;
        self.without_log = if log { 0 } else { self.without_log + 1 };
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_dirty_pages_are_logged_and_many_are_not() {
        let mut costs = Costs::default();
        assert!(costs.log_next(1000), "nothing is known yet");
        costs.dirtied(10);
        assert!(costs.log_next(1000));
        let mut costs = Costs::default();
        costs.dirtied(900);
        assert!(!costs.log_next(1000));
    }

    #[test]
    fn what_was_not_logged_is_looked_at_again() {
        let mut costs = Costs::default();
        costs.dirtied(1000);
        let choices: Vec<bool> = (0..200).map(|_| costs.log_next(1000)).collect();
        let looks = choices.iter().filter(|log| **log).count();
        assert!((2..=4).contains(&looks), "{looks}");
        // The runs have become small.
        for _ in 0..40 {
            costs.dirtied(1);
        }
        assert!(costs.log_next(1000));
    }

    #[test]
    fn a_slow_copy_speaks_for_the_log() {
        let mut costs = Costs::default();
        costs.dirtied(200);
        assert!(!costs.log_next(1000));
        for _ in 0..40 {
            costs.copied(1000, Duration::from_millis(5));
        }
        assert!(costs.log_next(1000));
    }
}
