//! Where a machine's disk keeps its sectors, as a user says it.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use crate::devices::block::{Backing, BackingError};
use crate::size::{ByteSize, SizeError};

/// Where a disk keeps its sectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskSource {
    /// Anonymous memory of the host: this many bytes, of which only what is written is there.
    Memory(ByteSize),
    /// A file or a block device.
    File(PathBuf),
}

/// Why a word names no disk.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DiskError {
    /// It starts like a size.
    #[error("{0}; for a file of that name write ./ before it")]
    Size(#[from] SizeError),
    /// It is empty.
    #[error("a disk needs a size, such as 256M, or the path of a file")]
    Empty,
}

impl From<Infallible> for DiskError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl DiskSource {
    /// Opens or makes the disk.
    pub(super) fn open(&self) -> Result<Backing, BackingError> {
        match self {
            Self::Memory(size) => Backing::anonymous(size.0),
            Self::File(path) => Backing::open(path, false),
        }
    }
}

impl FromStr for DiskSource {
    type Err = DiskError;

    /// A word that starts with a digit is a size, any other the path of a file.
    fn from_str(text: &str) -> Result<Self, DiskError> {
        match text.bytes().next() {
            None => Err(DiskError::Empty),
            Some(b'0'..=b'9') => Ok(Self::Memory(text.parse()?)),
            Some(_) => Ok(Self::File(text.parse()?)),
        }
    }
}

impl fmt::Display for DiskSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(size) => size.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_size_and_a_name_a_file() {
        let parse = |text: &str| text.parse::<DiskSource>();
        assert_eq!(parse("256M"), Ok(DiskSource::Memory(ByteSize(256 << 20))));
        assert_eq!(parse("./256M"), Ok(DiskSource::File("./256M".into())));
        assert_eq!(parse("/dev/sdb1").unwrap().to_string(), "/dev/sdb1");
        assert_eq!(parse(""), Err(DiskError::Empty));
        let text = parse("256X").unwrap_err().to_string();
        assert!(text.contains("256X") && text.contains("./"), "{text}");
    }
}
