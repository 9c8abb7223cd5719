//! The event log: one record for each event, written by the guest while the host wants them.
//!
//! The host sets [`crate::event::EventClock::recording`] where the guest stands at a doorbell. From then on
//! the guest appends each event to the records that [`EventLog`] names, and rings
//! [`crate::platform::Doorbell::Log`] when they are full; the host reads them at each doorbell and sets
//! `len` to 0. The number of a record's event follows from the clock, which counts all events: the last
//! record is the event at which the guest stands.
//!
//! Recording changes no event, nor any state but the log itself, so the trace is that of a run without it.

use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Records that a guest has room for: 48 KiB.
pub const EVENT_LOG_CAPACITY: usize = 2048;

/// Where the records are. Written by the guest, `len` by both.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct EventLog {
    /// Physical address of an array of [`EventRecord`]s, aligned to 8 bytes.
    pub records: AtomicU64,
    /// Records that there is room for.
    pub capacity: AtomicU32,
    /// Records written since the host read them last, at most `capacity`.
    pub len: AtomicU32,
}

/// One event.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout,
)]
#[repr(C)]
pub struct EventRecord {
    /// Its first argument, as its [`crate::event::EventKind`] says.
    pub a: u64,
    /// Its second argument.
    pub b: u64,
    /// Number of its [`crate::event::EventKind`].
    pub kind: u32,
    /// The process that had the CPU; 0 for none.
    pub pid: u32,
}

impl EventRecord {
    /// No event.
    pub const EMPTY: Self = Self {
        a: 0,
        b: 0,
        kind: 0,
        pid: 0,
    };
}

impl EventLog {
    /// No room.
    pub const fn new() -> Self {
        Self {
            records: AtomicU64::new(0),
            capacity: AtomicU32::new(0),
            len: AtomicU32::new(0),
        }
    }
}

impl Default for EventLog {
    fn default() -> Self {
        Self::new()
    }
}
