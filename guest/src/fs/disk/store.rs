//! Files of the disk as the page cache sees them (Linux fs/ext2/inode.c: `ext2_aops`).

use super::{device::io, file_error, mounted};
use crate::{drivers::block, fs::memory::Ram};
use pagelab_abi::PAGE_SIZE;
use pagelab_mm::{
    Mm, Pfn,
    page_cache::{AddressSpaceOperations, FileError},
};

/// The store of all files of the disk; `host` is the inode.
pub(super) struct Store;

impl AddressSpaceOperations<Ram> for Store {
    fn name(&self) -> &'static str {
        "ext2"
    }

    fn read_folio(&self, mm: &Mm<Ram>, host: u64, index: u64, pfn: Pfn) -> Result<(), FileError> {
        let mount = mounted().ok_or(FileError::Io)?;
        match mount.fs.block_of(host as u32, index).map_err(file_error)? {
            Some(block) => io(block::FILES.read(block.into(), pfn)),
            None => Ok(mm.zero_frame(pfn, 0, PAGE_SIZE as usize)?),
        }
    }

    /// Blocks that follow one another on the disk are read at once.
    fn readahead(&self, mm: &Mm<Ram>, host: u64, first: u64, frames: &[Pfn]) -> usize {
        let Some(mount) = mounted() else { return 0 };
        let block_of = |place: usize| mount.fs.block_of(host as u32, first + place as u64);
        let mut done = 0;
        while let Some(&frame) = frames.get(done) {
            let (count, read) = match block_of(done) {
                Ok(Some(block)) => {
                    let follows = |place: &usize| {
                        let there = block.checked_add((place - done) as u32);
                        there.is_some() && block_of(*place).ok().flatten() == there
                    };
                    let run = 1 + (done + 1..frames.len()).take_while(follows).count();
                    let frames = &frames[done..done + run];
                    (run, block::FILES.read_many(block.into(), frames).is_ok())
                }
                Ok(None) => (1, mm.zero_frame(frame, 0, PAGE_SIZE as usize).is_ok()),
                Err(_) => (1, false),
            };
            if !read {
                break;
            }
            done += count;
        }
        done
    }

    fn writepage(&self, _mm: &Mm<Ram>, host: u64, index: u64, pfn: Pfn) -> Result<(), FileError> {
        let mount = mounted().ok_or(FileError::Io)?;
        match mount.fs.block_of(host as u32, index).map_err(file_error)? {
            Some(block) => io(block::FILES.write(block.into(), pfn)),
            // There was room when the page was changed.
            None => Err(FileError::Corrupt),
        }
    }

    fn write_begin(&self, _mm: &Mm<Ram>, host: u64, index: u64) -> Result<(), FileError> {
        let mount = mounted().ok_or(FileError::Io)?;
        let made = mount.fs.make_block(host as u32, index);
        made.map(|_| ()).map_err(file_error)
    }

    fn truncate(&self, _mm: &Mm<Ram>, host: u64, size: u64) -> Result<(), FileError> {
        if size > MAX_SIZE {
            return Err(FileError::TooLarge);
        }
        let mount = mounted().ok_or(FileError::Io)?;
        mount.fs.truncate(host as u32, size).map_err(file_error)
    }
}

/// Largest file: its sectors are counted in 32 bits (Linux fs/ext2/super.c: `ext2_max_size`).
const MAX_SIZE: u64 = 2 << 40;
