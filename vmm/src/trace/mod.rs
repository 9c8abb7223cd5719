//! What happened in a run, event by event: recorded by the guest, read by the host where the guest stands.
//!
//! [`Sink`] is who wants to know. [`Chrome`] writes a file that Perfetto and Chrome's `about:tracing` draw:
//! `tracks` says where an event is drawn, `slice` how calls and faults become bars.

mod chrome;
mod slice;
#[cfg(test)]
mod tests;
mod tracks;

use pagelab_abi::event::EventKind;
use pagelab_abi::event_log::EventRecord;
use std::io;

pub use chrome::Chrome;

/// One event of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number, from 1 on: the clock's count after it.
    pub number: u64,
    /// What it is; none for a number that the ABI does not know.
    pub kind: Option<EventKind>,
    /// The process that had the CPU; 0 for none.
    pub pid: u32,
    /// Its arguments, as its kind says.
    pub arguments: [u64; 2],
}

impl Event {
    /// What a record says.
    pub fn new(number: u64, record: &EventRecord) -> Self {
        let index = (record.kind as usize).checked_sub(1);
        Self {
            number,
            // The kinds are numbered from 1 in their order.
            kind: index.and_then(|index| EventKind::ALL.get(index).copied()),
            pid: record.pid,
            arguments: [record.a, record.b],
        }
    }
}

/// What the host did or found at an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It asked the balloon for so many bytes, and the balloon held so many.
    Balloon {
        /// Asked for.
        requested: u64,
        /// Held then.
        achieved: u64,
    },
    /// It armed a fault, or turned a bit over: as on the command line.
    Fault(String),
    /// It made all audits, and this many did not hold.
    Audit {
        /// Audits that were violated or skipped.
        violated: usize,
    },
}

/// Who wants to know what happens. Events come in their order, and marks between them.
pub trait Sink {
    /// An event happened.
    ///
    /// # Errors
    /// If it cannot be written.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// The host did something at event `at`.
    ///
    /// # Errors
    /// If it cannot be written.
    fn mark(&mut self, at: u64, mark: &Mark) -> io::Result<()>;

    /// Nothing more comes.
    ///
    /// # Errors
    /// If it cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}
