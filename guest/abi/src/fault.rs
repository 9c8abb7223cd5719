//! Fault-injection attributes, with the names and the meaning of Linux's `struct fault_attr`
//! (Documentation/fault-injection/fault-injection.rst), and `nth` as in `/proc/PID/fail-nth`.

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// One injector's knobs and its state. A request is a *candidate* if it passes the filters
/// (`min_order`, `gfp_filter`, `cache`); only candidates are counted.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct FaultAttr {
    /// Likelihood in percent, 0 to 100; 0 disarms the attribute unless `nth` is set.
    pub probability: AtomicU32,
    /// Fail only each `interval`-th candidate that the probability let through; 0 and 1 mean each.
    pub interval: AtomicU32,
    /// Failures left; -1 means no limit.
    pub times: AtomicI32,
    /// Bytes that may still be allocated before the first failure.
    pub space: AtomicI32,
    /// `fail_page_alloc`: only requests of at least this order.
    pub min_order: AtomicU32,
    /// Only requests that have all of these [`crate::gfp::Gfp`] bits; 0 means any.
    pub gfp_filter: AtomicU32,
    /// Fail exactly the n-th candidate from now, counted from 1, regardless of the other knobs;
    /// 0 means not armed. Counted down, and 0 again when it has fired.
    pub nth: AtomicU64,
    /// `failslab`: only the cache of this name, NUL-padded; all zero means any.
    pub cache: [u8; 24],
    /// Candidates seen.
    pub seen: AtomicU64,
    /// Failures injected.
    pub injected: AtomicU64,
    /// State of the generator that `probability` draws from; seeded from the run's seed.
    pub rng: AtomicU64,
    /// Candidates until the next one that `interval` lets fail.
    pub interval_left: AtomicU32,
    /// Zero.
    pub reserved: u32,
}

impl FaultAttr {
    /// Not armed.
    pub const fn new() -> Self {
        Self {
            probability: AtomicU32::new(0),
            interval: AtomicU32::new(1),
            times: AtomicI32::new(-1),
            space: AtomicI32::new(0),
            min_order: AtomicU32::new(0),
            gfp_filter: AtomicU32::new(0),
            nth: AtomicU64::new(0),
            cache: [0; 24],
            seen: AtomicU64::new(0),
            injected: AtomicU64::new(0),
            rng: AtomicU64::new(0x9e37_79b9_7f4a_7c15),
            interval_left: AtomicU32::new(0),
            reserved: 0,
        }
    }
}

impl Default for FaultAttr {
    fn default() -> Self {
        Self::new()
    }
}
