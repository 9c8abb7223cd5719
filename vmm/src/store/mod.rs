//! The disk that a guest keeps files on: an ext2 file system, made of a directory of the host before a run
//! and read back into one after it.
//!
//! * `pack`: from a directory to a disk. `unpack`: from a disk to a directory. Both by the code that the
//!   guest has (`pagelab-ext2`), which its own tests hold to others' readers and checkers.

mod device;
mod error;
mod pack;
#[cfg(test)]
mod tests;
mod unpack;

pub use error::StoreError;
pub use unpack::unpack;

use std::path::Path;

use crate::devices::block::Backing;
use crate::machine::DiskSource;

/// Opens the disk that `--disk` names: of a size, an empty file system in memory of the host; of a directory,
/// a copy of it, in memory; of a file, what is in it.
///
/// # Errors
/// [`StoreError`].
pub fn open(source: &DiskSource) -> Result<Backing, StoreError> {
    match source {
        DiskSource::Memory(size) => pack::empty(size.0),
        DiskSource::File(path) if is_directory(path) => pack::directory(path),
        DiskSource::File(path) => Ok(Backing::open(path, false)?),
    }
}

fn is_directory(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_dir())
}
