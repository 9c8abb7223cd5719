//! The time that files are stamped with. Who knows it says so before a system call on files.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

static NOW: AtomicU64 = AtomicU64::new(0);

/// Says what time it is, in nanoseconds since 1970.
pub(crate) fn set(now: u64) {
    NOW.store(now, Relaxed);
}

/// What time it is.
pub(super) fn now() -> u64 {
    NOW.load(Relaxed)
}
