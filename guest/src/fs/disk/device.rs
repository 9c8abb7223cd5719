//! The disk as a file of the page cache (Linux block/fops.c: `def_blk_aops`), and as the file system sees
//! it.

use crate::{
    drivers::block::{self, DiskError},
    fs::memory::{Ram, mm},
};
use pagelab_ext2::Device;
use pagelab_mm::{
    FileId, Mm, Pfn,
    page_cache::{AddressSpaceOperations, FileError},
};

/// The store of the file that is the disk: its pages are the disk's.
pub(super) struct Raw;

/// What a request to the disk comes to.
pub(super) fn io(done: Result<(), DiskError>) -> Result<(), FileError> {
    done.map_err(|error| match error {
        DiskError::ReadOnly => FileError::ReadOnly,
        _ => FileError::Io,
    })
}

impl AddressSpaceOperations<Ram> for Raw {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn read_folio(&self, _mm: &Mm<Ram>, _: u64, index: u64, pfn: Pfn) -> Result<(), FileError> {
        io(block::FILES.read(index, pfn))
    }

    fn writepage(&self, _mm: &Mm<Ram>, _: u64, index: u64, pfn: Pfn) -> Result<(), FileError> {
        io(block::FILES.write(index, pfn))
    }

    fn write_begin(&self, _mm: &Mm<Ram>, _: u64, index: u64) -> Result<(), FileError> {
        if index < block::FILES.pages() {
            Ok(())
        } else {
            Err(FileError::NoSpace)
        }
    }

    fn truncate(&self, _mm: &Mm<Ram>, _host: u64, _size: u64) -> Result<(), FileError> {
        Err(FileError::Unsupported)
    }
}

/// The disk through its pages.
pub(super) struct Blocks {
    /// The file that is the disk.
    pub(super) file: FileId,
}

impl Device for Blocks {
    type Error = FileError;

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), FileError> {
        match mm().file_read(self.file, at, bytes)? {
            read if read == bytes.len() => Ok(()),
            _ => Err(FileError::Io),
        }
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), FileError> {
        match mm().file_write(self.file, at, bytes)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(FileError::Io),
        }
    }

    fn forget(&self, block: u32) -> Result<(), FileError> {
        mm().file_forget(self.file, block.into());
        Ok(())
    }
}
