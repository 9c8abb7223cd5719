//! Errors of record files.

use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a record file cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The disk is full, or the file may not grow.
    #[error(
        "there is no room for more records in {path}: {error}; what was recorded is kept: make room and give \
         the same command again, and it goes on from there", path = path.display()
    )]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It cannot be opened, read or written.
    #[error("record file {path} cannot be used: {error}; check the path and its rights", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process writes it.
    #[error("record file {path} is being written by another process; wait for it, or write elsewhere with -o", path = .0.display())]
    Busy(PathBuf),
    /// A line is not what it should be.
    #[error("{path}:{line}: {message}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what to do.
        message: String,
    },
    /// It is of another experiment, guest or version.
    #[error(
        "{path} has the records of another campaign ('{title}', with another experiment file, program, guest \
         or version of pagelab); write elsewhere with -o, or remove it", path = path.display()
    )]
    OtherCampaign {
        /// The file.
        path: PathBuf,
        /// The other's title.
        title: String,
    },
    /// It is of another part.
    #[error(
        "{path} has the records of {found}, and not of {wanted}; write each part into a file of its own, with \
         -o", path = path.display()
    )]
    OtherPartition {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What was asked for.
        wanted: String,
    },
}

impl JournalError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::NoRoom { path, error },
            _ => Self::Io { path, error },
        }
    }
}
