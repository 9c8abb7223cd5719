//! Why an address space cannot be changed as asked.

use super::VmaObject;
use core::{error::Error, fmt};

/// Why not. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmaError {
    /// The range has no page.
    Empty {
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
    },
    /// An address is not a multiple of the page size.
    NotAligned {
        /// The address.
        address: u64,
    },
    /// The range leaves the address space.
    BeyondRange {
        /// Lowest address possible.
        start: u64,
        /// First address that is too high.
        end: u64,
    },
    /// There is an area already.
    Overlap {
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
    },
    /// No area contains the address.
    NotMapped {
        /// The address.
        address: u64,
    },
    /// The address is an area's start, so one side of a split would be empty.
    Boundary {
        /// The address.
        address: u64,
    },
    /// A file of number 0, which stands for no file.
    NoFile,
}

impl fmt::Display for VmaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty { start, end } => {
                write!(
                    f,
                    "no page in {start:#x}-{end:#x}: give an end above the start"
                )
            }
            Self::NotAligned { address } => {
                write!(f, "{address:#x} is not a multiple of the page size")
            }
            Self::BeyondRange { start, end } => {
                write!(f, "outside the address space, which is {start:#x}-{end:#x}")
            }
            Self::Overlap { start, end } => {
                write!(f, "overlaps the area {start:#x}-{end:#x}: unmap that first")
            }
            Self::NotMapped { address } => write!(f, "no area contains {address:#x}"),
            Self::Boundary { address } => {
                write!(
                    f,
                    "an area starts at {address:#x} already: nothing to split"
                )
            }
            Self::NoFile => f.write_str("file 0 stands for no file: give the file a number"),
        }
    }
}

impl Error for VmaError {}

/// The object that was brought in vain, for the caller to use again or to free.
#[derive(Debug)]
pub struct Rejected {
    /// Why.
    pub error: VmaError,
    /// The object.
    pub object: VmaObject,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Rejected {}
