//! The event clock: the guest's only notion of time.
//!
//! Time is a count of memory events. Each event also enters the trace hash, so two runs with equal
//! hashes did the same things to the same frames in the same order. The host arms the clock with
//! [`EventClock::stop_at`]; the guest compares one word per event.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// What happened. The two arguments of an event are given with each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventKind {
    /// Pages were allocated: pfn, order | gfp << 8.
    PageAlloc = 1,
    /// Pages were freed: pfn, order.
    PageFree = 2,
    /// A page allocation failed: order, gfp.
    PageAllocFail = 3,
    /// A slab object was allocated: physical address, cache index.
    SlabAlloc = 4,
    /// A slab object was freed: physical address, cache index.
    SlabFree = 5,
    /// A slab allocation failed: cache index, gfp.
    SlabAllocFail = 6,
    /// A page fault: virtual address, error code.
    Fault = 7,
    /// A range was mapped: virtual address, pages.
    Map = 8,
    /// A range was unmapped: virtual address, pages.
    Unmap = 9,
    /// Reclaim did a step: what (a shrinker's index, or a list), pages or objects freed.
    Reclaim = 10,
    /// A page was read from swap: slot, pfn.
    SwapIn = 11,
    /// A page was written to swap: slot, pfn.
    SwapOut = 12,
    /// A program made a system call: number, first argument.
    Syscall = 13,
    /// A per-CPU list was filled from or drained to its zone: zone index, pages.
    PcpMove = 14,
    /// The balloon took (or gave back) pages: pages, 1 for inflate or 0 for deflate.
    Balloon = 15,
    /// A phase of the workload began: phase number, 0.
    Phase = 16,
    /// A page of a file was read from its store: inode << 32 | page, pfn.
    FileRead = 17,
    /// A page of a file was written to its store: inode << 32 | page, pfn.
    FileWrite = 18,
    /// The OOM killer killed a process and took its memory: pid, pages that became free.
    OomKill = 19,
    /// The memory of a frame is broken, and the kernel has dealt with it: pfn,
    /// [`crate::memory_failure::MfType`] | [`crate::memory_failure::MfResult`] << 8.
    MemoryFailure = 20,
    /// The kernel waits for a disk, and nothing else happens: the event from which on the disk answers, the event that
    /// this is.
    IoWait = 21,
}

/// Number of [`EventKind`]s.
pub const NR_EVENT_KINDS: usize = 21;

impl EventKind {
    /// All kinds, in the order of their numbers, which start at 1.
    pub const ALL: [Self; NR_EVENT_KINDS] = [
        Self::PageAlloc,
        Self::PageFree,
        Self::PageAllocFail,
        Self::SlabAlloc,
        Self::SlabFree,
        Self::SlabAllocFail,
        Self::Fault,
        Self::Map,
        Self::Unmap,
        Self::Reclaim,
        Self::SwapIn,
        Self::SwapOut,
        Self::Syscall,
        Self::PcpMove,
        Self::Balloon,
        Self::Phase,
        Self::FileRead,
        Self::FileWrite,
        Self::OomKill,
        Self::MemoryFailure,
        Self::IoWait,
    ];

    /// The name used in output and in stop conditions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PageAlloc => "page_alloc",
            Self::PageFree => "page_free",
            Self::PageAllocFail => "page_alloc_fail",
            Self::SlabAlloc => "slab_alloc",
            Self::SlabFree => "slab_free",
            Self::SlabAllocFail => "slab_alloc_fail",
            Self::Fault => "fault",
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Reclaim => "reclaim",
            Self::SwapIn => "swap_in",
            Self::SwapOut => "swap_out",
            Self::Syscall => "syscall",
            Self::PcpMove => "pcp_move",
            Self::Balloon => "balloon",
            Self::Phase => "phase",
            Self::FileRead => "file_read",
            Self::FileWrite => "file_write",
            Self::OomKill => "oom_kill",
            Self::MemoryFailure => "memory_failure",
            Self::IoWait => "io_wait",
        }
    }
}

/// Value of [`EventClock::next_stop`] at which the clock never stops.
pub const NEVER: u64 = u64::MAX;

/// The clock. Written by the guest's one vCPU, and by the host only while that vCPU stands at a
/// doorbell; hence relaxed loads and stores and no locked operation.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct EventClock {
    /// Events so far.
    pub count: AtomicU64,
    /// Hash of all events so far.
    pub hash: AtomicU64,
    /// The one word that is compared at each event: the clock is looked at closer once `count`
    /// reaches it. Equal to `at`, or 0 while `condition` is armed or the host wants a record, so that each
    /// event is looked at.
    pub next_stop: AtomicU64,
    /// The doorbell rings when `count` reaches this value; [`NEVER`] means not at all.
    pub at: AtomicU64,
    /// What else the host may stop at.
    pub condition: StopCondition,
    /// Not 0 while the host wants a record of each event ([`crate::event_log`]).
    pub recording: AtomicU32,
    /// Zero.
    pub reserved: u32,
    /// Events of each kind; index `kind as usize - 1`.
    pub by_kind: [AtomicU64; NR_EVENT_KINDS],
}

/// "Stop at the k-th event of a kind": looked at only while armed.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct StopCondition {
    /// Number of the [`EventKind`] to count; 0 means that the condition is not armed.
    pub kind: AtomicU32,
    /// For page allocations: count those of at least this order.
    pub min_order: AtomicU32,
    /// Events of that kind left until the stop, at least 1.
    pub countdown: AtomicU64,
}

/// The hash after an event: one multiply and one rotation for each argument, so that order,
/// kind and both arguments matter. The multiplier is that of Knuth's MMIX generator (TAOCP 2,
/// 3.3.4), which is odd and has a high spectral merit.
#[inline]
pub const fn mix(hash: u64, kind: EventKind, a: u64, b: u64) -> u64 {
    const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
    let hash = (hash ^ a ^ ((kind as u64) << 56))
        .wrapping_mul(MULTIPLIER)
        .rotate_left(29);
    (hash ^ b).wrapping_mul(MULTIPLIER).rotate_left(31)
}

impl EventClock {
    /// A clock at event 0, not armed.
    pub const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            hash: AtomicU64::new(0),
            next_stop: AtomicU64::new(NEVER),
            at: AtomicU64::new(NEVER),
            condition: StopCondition {
                kind: AtomicU32::new(0),
                min_order: AtomicU32::new(0),
                countdown: AtomicU64::new(0),
            },
            recording: AtomicU32::new(0),
            reserved: 0,
            by_kind: [const { AtomicU64::new(0) }; NR_EVENT_KINDS],
        }
    }

    /// Counts one event. True if it must be looked at closer: the caller then writes a record if
    /// [`Self::is_recording`], and asks [`Self::is_wanted`].
    #[inline]
    #[must_use = "a stop that is not rung is lost"]
    pub fn tick(&self, kind: EventKind, a: u64, b: u64) -> bool {
        let count = self.count.load(Relaxed).wrapping_add(1);
        self.count.store(count, Relaxed);
        self.hash
            .store(mix(self.hash.load(Relaxed), kind, a, b), Relaxed);
        let of_kind = &self.by_kind[kind as usize - 1];
        of_kind.store(of_kind.load(Relaxed).wrapping_add(1), Relaxed);
        count >= self.next_stop.load(Relaxed)
    }

    /// Whether the host wants a record of each event.
    pub fn is_recording(&self) -> bool {
        self.recording.load(Relaxed) != 0
    }

    /// Has each event recorded from now on, or none.
    pub fn set_recording(&self, recording: bool) {
        self.recording.store(recording.into(), Relaxed);
        self.rearm();
    }

    /// Stops at the first event whose number is at least `at`, besides an armed condition.
    pub fn stop_at(&self, at: u64) {
        self.at.store(at, Relaxed);
        self.rearm();
    }

    /// Stops at the `nth` event of a kind from now (`nth` at least 1), for page allocations
    /// only those of at least `min_order`.
    pub fn stop_at_nth(&self, kind: EventKind, nth: u64, min_order: u32) {
        self.condition.kind.store(kind as u32, Relaxed);
        self.condition.min_order.store(min_order, Relaxed);
        self.condition.countdown.store(nth, Relaxed);
        self.rearm();
    }

    fn rearm(&self) {
        let armed = self.condition.kind.load(Relaxed) != 0 || self.is_recording();
        self.next_stop
            .store(if armed { 0 } else { self.at.load(Relaxed) }, Relaxed);
    }

    /// Whether the event that was just counted can be one to stop at: otherwise [`Self::is_wanted`] need not
    /// be asked, as while each event is only recorded.
    #[inline]
    pub fn may_stop(&self) -> bool {
        let due = self.count.load(Relaxed) >= self.at.load(Relaxed);
        due || self.condition.kind.load(Relaxed) != 0
    }

    /// Whether the event that was just counted is one to stop at: the caller then rings
    /// [`crate::platform::Doorbell::Stop`]. Disarms what it met.
    #[must_use = "a stop that is not rung is lost"]
    pub fn is_wanted(&self, kind: EventKind, b: u64) -> bool {
        let count = self.count.load(Relaxed);
        let due = count >= self.at.load(Relaxed);
        if due {
            self.at.store(NEVER, Relaxed);
        }
        let met = self.condition.is_met(kind, b as u32 & 0xff);
        self.rearm();
        due || met
    }
}

impl StopCondition {
    /// Counts an event of the armed kind down. True, and disarmed, at the last one.
    fn is_met(&self, kind: EventKind, order: u32) -> bool {
        let is_small = kind == EventKind::PageAlloc && order < self.min_order.load(Relaxed);
        if self.kind.load(Relaxed) != kind as u32 || is_small {
            return false;
        }
        let left = self.countdown.load(Relaxed).saturating_sub(1);
        self.countdown.store(left, Relaxed);
        if left == 0 {
            self.kind.store(0, Relaxed);
        }
        left == 0
    }
}

impl Default for EventClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(clock: &EventClock, events: &[(EventKind, u64)]) -> [bool; 6] {
        let mut stops = [false; 6];
        for (stop, (kind, b)) in stops.iter_mut().zip(events) {
            *stop = clock.tick(*kind, 0, *b) && clock.is_wanted(*kind, *b);
        }
        stops
    }

    #[test]
    fn stops_once_at_an_event() {
        let clock = EventClock::new();
        clock.stop_at(3);
        let events = [(EventKind::PageFree, 0); 6];
        assert_eq!(
            stops(&clock, &events),
            [false, false, true, false, false, false]
        );
        assert_eq!(clock.count.load(Relaxed), 6);
        assert_eq!(
            clock.by_kind[EventKind::PageFree as usize - 1].load(Relaxed),
            6
        );
    }

    #[test]
    fn stops_at_the_kth_allocation_of_an_order_and_at_an_event() {
        use EventKind::{PageAlloc, PageFree};
        let clock = EventClock::new();
        clock.stop_at(6);
        clock.stop_at_nth(PageAlloc, 2, 2);
        let flags = 7 << 8;
        let events = [
            (PageAlloc, flags | 2),
            (PageAlloc, flags | 1),
            (PageFree, 2),
            (PageAlloc, flags | 3),
            (PageAlloc, flags | 3),
            (PageAlloc, flags),
        ];
        assert_eq!(
            stops(&clock, &events),
            [false, false, false, true, false, true]
        );
        assert_eq!(clock.next_stop.load(Relaxed), NEVER);
    }

    #[test]
    fn while_recording_each_event_is_looked_at_and_stops_are_met_as_before() {
        let clock = EventClock::new();
        clock.stop_at(2);
        clock.set_recording(true);
        let looks = [1, 2, 3].map(|_| {
            let is_looked_at = clock.tick(EventKind::PageFree, 0, 0);
            let may_stop = clock.may_stop();
            let is_wanted = clock.is_wanted(EventKind::PageFree, 0);
            assert_eq!(may_stop, is_wanted);
            (is_looked_at, is_wanted)
        });
        assert_eq!(looks, [(true, false), (true, true), (true, false)]);
        clock.set_recording(false);
        assert!(!clock.tick(EventKind::PageFree, 0, 0));
    }

    #[test]
    fn the_hash_sees_order_kind_and_both_arguments() {
        use EventKind::{PageAlloc, PageFree};
        let one = mix(0, PageAlloc, 1, 2);
        assert_ne!(one, mix(0, PageFree, 1, 2));
        assert_ne!(one, mix(0, PageAlloc, 2, 2));
        assert_ne!(one, mix(0, PageAlloc, 1, 3));
        assert_ne!(one, mix(0, PageAlloc, 2, 1));
        assert_ne!(
            mix(one, PageFree, 1, 2),
            mix(mix(0, PageFree, 1, 2), PageAlloc, 1, 2)
        );
    }

    #[test]
    fn numbers_and_kinds_agree() {
        for (index, kind) in EventKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index + 1);
        }
    }
}
