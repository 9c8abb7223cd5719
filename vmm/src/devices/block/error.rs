//! Why a disk cannot be made.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{BLOCK_SIZE, MAX_SIZE};

/// Why there is nothing to keep a disk's sectors in. Each names the value and the remedy.
#[derive(Debug, Error)]
pub enum BackingError {
    /// The size is no size of a disk.
    #[error(
        "a disk of {size} bytes cannot be made: give a multiple of {BLOCK_SIZE} bytes from \
         {BLOCK_SIZE} to {MAX_SIZE}"
    )]
    Size {
        /// What was asked for.
        size: u64,
    },
    /// A file's length is no size of a disk.
    #[error(
        "{path} has {size} bytes and cannot be a disk: make it a multiple of {BLOCK_SIZE} bytes up \
         to {MAX_SIZE} (`truncate --size 256M {path}`)"
    )]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Its length.
        size: u64,
    },
    /// It is neither a file nor a block device.
    #[error("{0} is neither a file nor a block device; name one that is")]
    NoFile(PathBuf),
    /// The file cannot be opened.
    #[error("cannot open {path} as a disk: {source}; check that it is there and its permissions")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// Another machine uses the file.
    #[error("{0} is in use by another machine; end that one, or give this one its own copy")]
    InUse(PathBuf),
    /// The host gives no memory for an anonymous disk.
    #[error("the host gives no memory for a disk of {size} bytes: {source}; give a smaller size")]
    Memory {
        /// What was asked for.
        size: u64,
        /// What the host said.
        source: io::Error,
    },
}
