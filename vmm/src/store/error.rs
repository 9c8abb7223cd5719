//! Why a directory does not become a disk, or a disk a directory.

use std::io;
use std::path::PathBuf;

use pagelab_ext2::{Error, FormatError};
use thiserror::Error as ThisError;

use crate::devices::block::BackingError;

/// Why there is no disk with files, or nothing came back from it. Each names the value and the remedy.
#[derive(Debug, ThisError)]
pub enum StoreError {
    /// There is nothing to keep the sectors in.
    #[error(transparent)]
    Backing(#[from] BackingError),
    /// A disk of this size cannot have a file system.
    #[error("a disk of {size} bytes cannot have files: give 256K to 8T")]
    Size {
        /// What was asked for.
        size: u64,
    },
    /// Something of the host's cannot be read or written.
    #[error("{path}: {source}")]
    Host {
        /// What.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// Something cannot be on such a disk.
    #[error("{path} cannot be put on the disk: {reason}")]
    Entry {
        /// What.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file system on the disk cannot be read.
    #[error("what is on the disk cannot be read: {0}")]
    Unreadable(String),
    /// There is something already where the files are to go.
    #[error("{0} is not empty; name a directory that is, or none that is there")]
    NotEmpty(PathBuf),
}

impl StoreError {
    /// The same with the path it is about.
    pub(super) fn host(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Host { path, source }
    }

    /// An entry that the file system does not take.
    pub(super) fn entry(path: impl Into<PathBuf>) -> impl FnOnce(Error<io::Error>) -> Self {
        let path = path.into();
        move |error| Self::Entry {
            path,
            reason: error.to_string(),
        }
    }

    /// A file system that could not be made.
    pub(super) fn format(size: u64) -> impl FnOnce(FormatError<io::Error>) -> Self {
        move |error| match error {
            FormatError::Size => Self::Size { size },
            FormatError::Disk(error) => Self::Unreadable(error.to_string()),
        }
    }
}
