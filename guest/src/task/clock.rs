//! What time it is, for programs: a fixed time for each event of the event clock, and the time that
//! passed while every task was waiting.

use crate::root;

/// Nanoseconds of an event.
const EVENT_NS: u64 = 1000;

/// Seconds from 1970 to the start of every run: the first day of 2025.
const EPOCH: u64 = 1_735_689_600;

/// Nanoseconds from 1970 to the start of every run.
pub(crate) const EPOCH_NS: u64 = EPOCH * SECOND;

/// Nanoseconds of a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// The clock.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Nanoseconds that were skipped.
    skipped: u64,
}

impl Clock {
    pub(crate) const fn new() -> Self {
        Self { skipped: 0 }
    }

    /// Nanoseconds since boot.
    pub(crate) fn monotonic(&self) -> u64 {
        (root::events() * EVENT_NS).saturating_add(self.skipped)
    }

    /// Nanoseconds since 1970.
    pub(crate) fn realtime(&self) -> u64 {
        self.monotonic().saturating_add(EPOCH * SECOND)
    }

    /// Nanoseconds since boot, which takes as long as an event, though it is none: who looks at the
    /// clock again and again sees it go on.
    pub(super) fn read(&mut self) -> u64 {
        self.skipped = self.skipped.saturating_add(EVENT_NS);
        self.monotonic()
    }

    /// Lets time go on to `until`.
    pub(super) fn skip_to(&mut self, until: u64) {
        self.skipped += until.saturating_sub(self.monotonic());
    }
}
