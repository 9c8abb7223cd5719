//! Fault-injection attributes, with the names and the meaning of Linux's `struct fault_attr`
//! (Documentation/fault-injection/fault-injection.rst), and `nth` as in `/proc/PID/fail-nth`.

use crate::task::COMM_LEN;
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Ranges in [`FaultAttr::require`].
pub const MAX_CALL_SITES: usize = 32;

/// Frames of the stack that a call is looked for in (Linux: `MAX_STACK_TRACE_DEPTH`).
pub const STACKTRACE_DEPTH: usize = 32;

/// Code of the kernel: virtual addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct CallSite {
    /// First byte (Linux: `require-start`).
    pub start: u64,
    /// First byte behind it (Linux: `require-end`).
    pub end: u64,
}

/// One injector's knobs and its state. A request is a *candidate* if it passes the filters
/// (`min_order`, `gfp_filter`, `cache`, `require`, `pid`, `comm`, `task_filter`); only candidates are
/// counted.
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
    /// What `nth` becomes when it has fired, so that two of one run's candidates can fail.
    pub then: AtomicU64,
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
    /// Only requests on behalf of the process with this number; 0 means any.
    pub pid: AtomicU32,
    /// Only requests on behalf of processes whose `make-it-fail` is 1, unless this is 0 (Linux:
    /// `task-filter`).
    pub task_filter: AtomicU32,
    /// Not zero while the host wants to see each candidate: the guest describes it in
    /// [`FaultCandidate`] and rings [`crate::platform::Doorbell::Candidate`].
    pub observe: AtomicU32,
    /// Only requests on behalf of processes of this name, NUL-padded; all zero means any.
    pub comm: [u8; COMM_LEN],
    /// Only requests from within this code: one of the callers, up to [`STACKTRACE_DEPTH`], is in
    /// one of the ranges. Those in use come first; none means any.
    pub require: [CallSite; MAX_CALL_SITES],
}

/// On whose behalf the kernel allocates, as the injectors see it. Written by the guest: when a
/// process gets the CPU, when it writes to its /proc/self/fail-nth, and with each candidate.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct FaultCaller {
    /// Fail the n-th candidate of this process from now, of whatever kind and regardless of what
    /// else is armed; 0 means not armed. Counted down, and 0 again when it has fired (Linux:
    /// `fail_nth` of `task_struct`).
    pub fail_nth: AtomicU32,
    /// Number of the process; 0 while the kernel works for none.
    pub pid: AtomicU32,
    /// 1 if [`FaultAttr::task_filter`] lets this process fail.
    pub make_it_fail: AtomicU32,
    /// Zero.
    pub reserved: u32,
    /// Its name, NUL-padded.
    pub comm: [AtomicU8; COMM_LEN],
}

/// The candidate at which the guest stands while it rings [`crate::platform::Doorbell::Candidate`]. Written
/// by the guest.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct FaultCandidate {
    /// Its [`crate::gfp::Gfp`] flags.
    pub gfp: AtomicU32,
    /// Bytes asked for.
    pub size: AtomicU32,
    /// `failslab`: the cache's name, NUL-padded; all zero for a page allocation.
    pub cache: [AtomicU8; 24],
}

impl FaultCandidate {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            gfp: AtomicU32::new(0),
            size: AtomicU32::new(0),
            cache: [const { AtomicU8::new(0) }; 24],
        }
    }
}

impl Default for FaultCandidate {
    fn default() -> Self {
        Self::new()
    }
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
            then: AtomicU64::new(0),
            cache: [0; 24],
            seen: AtomicU64::new(0),
            injected: AtomicU64::new(0),
            rng: AtomicU64::new(0x9e37_79b9_7f4a_7c15),
            interval_left: AtomicU32::new(0),
            pid: AtomicU32::new(0),
            task_filter: AtomicU32::new(0),
            observe: AtomicU32::new(0),
            comm: [0; COMM_LEN],
            require: [CallSite { start: 0, end: 0 }; MAX_CALL_SITES],
        }
    }
}

impl Default for FaultAttr {
    fn default() -> Self {
        Self::new()
    }
}

impl FaultCaller {
    /// No process.
    pub const fn new() -> Self {
        Self {
            fail_nth: AtomicU32::new(0),
            pid: AtomicU32::new(0),
            make_it_fail: AtomicU32::new(0),
            reserved: 0,
            comm: [const { AtomicU8::new(0) }; COMM_LEN],
        }
    }
}

impl Default for FaultCaller {
    fn default() -> Self {
        Self::new()
    }
}
