//! Errors of a run.

use super::StopAt;
use crate::inspect::{image::ImageError, pagetable::PagingError};
use crate::machine::snapshot::file::SnapshotFileError;
use crate::machine::{
    MachineError, SnapshotError, call_sites::SiteError, host::HostError, root::RootError,
};
use crate::store::StoreError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a run could not be made, or its result not be kept. What the guest does wrong is in the
/// report instead.
#[derive(Debug, Error)]
pub enum RunError {
    /// The machine could not be built or run.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// What is on the disk with files cannot be copied.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine could not be kept at a moment, or not be made what it was.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The guest did not come to the point at which experiments begin.
    #[error(
        "the guest did not come to the end of its boot: {0}; try `pagelab run` with the same flags"
    )]
    NotReady(String),
    /// An experiment needs another machine than the one that was booted.
    #[error("the experiment differs from the booted machine in {0}; boot one for it")]
    OtherMachine(&'static str),
    /// An experiment differs from the run that led to the fork point.
    #[error(
        "the experiment differs from the run up to event {event}, where it would begin, in {what}; approach \
         its own fault first"
    )]
    OtherPast {
        /// In what.
        what: &'static str,
        /// The event of the fork point.
        event: u64,
    },
    /// What an experiment's fault is to hit has been already where it would begin.
    #[error(
        "the experiment's fault comes before event {0}, where it would begin; approach it first"
    )]
    TooLate(u64),
    /// A file with a snapshot cannot be written or used.
    #[error("{}: {source}", path.display())]
    SnapshotFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SnapshotFileError,
    },
    /// A run cannot be kept, as more is to be done to the guest than its snapshot knows of.
    #[error(
        "the run cannot be kept here: pressure or faults are still to come, the first at event \
         {0}; stop at a later event"
    )]
    StillToCome(u64),
    /// A run cannot be kept, as its memory is not all memory.
    #[error(
        "the run cannot be kept here: --fault readonly has made frames read-only, which a file cannot \
         keep; stop at an earlier event"
    )]
    Readonly,
    /// KVM refused something.
    #[error(transparent)]
    Host(#[from] HostError),
    /// `--stop-at` named a point that the run did not come to.
    #[error(
        "the run never came to {stop_at}: it ended after {events} events; give an earlier point"
    )]
    StopNotReached {
        /// Where it should have stopped.
        stop_at: StopAt,
        /// Events of the whole run.
        events: u64,
    },
    /// `--stop-at` named an event of early boot.
    #[error(
        "cannot stop at event {event}: the host can look at the guest from event {ready} on, \
         the end of boot; give that or a later one"
    )]
    StopTooEarly {
        /// Where it should have stopped.
        event: u64,
        /// The end of boot.
        ready: u64,
    },
    /// A fault is asked for in code that the kernel has not.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The machine could not be saved.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// There are no page tables to walk.
    #[error(transparent)]
    Paging(#[from] PagingError),
    /// The trace could not be written.
    #[error("cannot write the trace: {0}; is the disk full?")]
    Trace(#[source] std::io::Error),
    /// The guest's root page went away or is not what it was.
    #[error(transparent)]
    Root(#[from] RootError),
}
