//! What the file system needs of a disk, and why it does not do what it is asked.

use core::fmt;

/// A disk. Requests are within one block of 4 KiB.
pub trait Device {
    /// Why the disk failed.
    type Error;

    /// Reads from a byte on.
    ///
    /// # Errors
    /// The disk's.
    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), Self::Error>;

    /// Writes from a byte on. Somebody may read it before it reaches the disk, but gets what was written.
    ///
    /// # Errors
    /// The disk's.
    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Self::Error>;

    /// A block that was written through this is free now, and may be written by other ways: what is
    /// still on its way to the disk must not arrive.
    ///
    /// # Errors
    /// The disk's.
    fn forget(&self, block: u32) -> Result<(), Self::Error>;
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The disk failed.
    Device(E),
    /// There is no ext2 file system on it.
    NotExt2,
    /// It has something that is not known here: what.
    Unsupported(&'static str),
    /// What stands on it cannot be: what.
    Corrupt(&'static str),
    /// No block is free.
    NoSpace,
    /// No inode is free.
    NoInodes,
    /// A file cannot be so large.
    TooLarge,
    /// A name is longer than 255 bytes, or a symbolic link than a block, or empty.
    BadName,
    /// There is no such name.
    NotFound,
}

impl<E> From<E> for Error<E> {
    fn from(error: E) -> Self {
        Self::Device(error)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(error) => error.fmt(f),
            Self::NotExt2 => f.write_str("there is no ext2 file system"),
            Self::Unsupported(what) => write!(f, "the ext2 file system has {what}"),
            Self::Corrupt(what) => write!(f, "the ext2 file system is corrupt: {what}"),
            Self::NoSpace => f.write_str("no block is free"),
            Self::NoInodes => f.write_str("no inode is free"),
            Self::TooLarge => f.write_str("a file cannot be so large"),
            Self::BadName => f.write_str("a name or link is too long or empty"),
            Self::NotFound => f.write_str("there is no such name"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}
