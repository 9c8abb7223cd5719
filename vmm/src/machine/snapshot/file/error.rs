//! What can be wrong with a file.

use std::io;

use thiserror::Error;

use super::VERSION;
use crate::machine::SnapshotError;
use crate::machine::host::HostError;
use crate::size::ByteSize;

/// Why a snapshot cannot be written to a file, or not be read from one.
#[derive(Debug, Error)]
pub enum SnapshotFileError {
    /// The host cannot read or write it.
    #[error("cannot {step} the snapshot: {source}")]
    File {
        /// What was being done: `write` or `read`.
        step: &'static str,
        /// What the host said.
        source: io::Error,
    },
    /// It does not begin as a snapshot does.
    #[error("it is no snapshot; give a file that pagelab has written as one")]
    NoSnapshot,
    /// It is of another version of the format.
    #[error(
        "it is a snapshot of version {0} of the format, and this program reads version {VERSION}; \
         use the program that wrote it"
    )]
    Version(u32),
    /// It ends too early.
    #[error("it is cut off; make it anew")]
    CutOff,
    /// It goes on behind its end.
    #[error("it goes on behind its checksum; make it anew")]
    Trailing,
    /// Its content is not what was written.
    #[error("it is damaged: its checksum is not that of its content; make it anew")]
    Checksum,
    /// The checksum is right, and it makes no sense all the same.
    #[error("it makes no sense: {0}; use the program that wrote it")]
    Senseless(String),
    /// It was taken on another CPU.
    #[error(
        "it was taken on another CPU, or with another KVM: {what} differs; resume it on a host \
         like {vendor}"
    )]
    OtherCpu {
        /// The first leaf of CPUID that differs.
        what: String,
        /// Who made the CPU on which it was taken.
        vendor: String,
    },
    /// The disk has more than the host can keep.
    #[error("its disk of {} cannot be made: {source}", ByteSize(*.size))]
    Disk {
        /// Bytes of the disk.
        size: u64,
        /// What the host said.
        source: io::Error,
    },
    /// The host has no memory for the pages.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// KVM does not tell what CPU it has.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl SnapshotFileError {
    /// The error of a read; the end of the file is not the host's fault.
    pub(super) fn read(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            _ => Self::File {
                step: "read",
                source,
            },
        }
    }

    /// The error of a write.
    pub(super) fn write(source: io::Error) -> Self {
        Self::File {
            step: "write",
            source,
        }
    }
}
