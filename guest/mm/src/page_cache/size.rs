//! A file's size, and holes.

use super::FileId;
use crate::{AllocError, Mm, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{PAGE_SHIFT, PAGE_SIZE};

impl<M: Machine + 'static> Mm<M> {
    /// Bytes of a file.
    ///
    /// # Panics
    /// If there is no such file.
    #[inline]
    pub fn file_size(&self, file: FileId) -> u64 {
        self.space(file).size.load(Relaxed)
    }

    /// Makes a file longer, by a hole, or shorter: then pages beyond its end leave the cache, and
    /// the rest of its last page becomes zeros. Who maps such pages must unmap them before.
    ///
    /// # Errors
    /// [`AllocError::NoWindow`]; the file is as before.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_set_size(&self, file: FileId, size: u64) -> Result<(), AllocError> {
        let old = self.file_size(file);
        if size < old {
            let rest = size
                .next_multiple_of(PAGE_SIZE)
                .min(old.next_multiple_of(PAGE_SIZE));
            self.zero_part(file, size, rest)?;
            self.space(file).size.store(size, Relaxed);
            self.drop_pages(file, size.div_ceil(PAGE_SIZE), u64::MAX);
        } else {
            self.space(file).size.store(size, Relaxed);
        }
        Ok(())
    }

    /// Makes bytes from `start` to below `end` a hole (Linux: `FALLOC_FL_PUNCH_HOLE`): whole pages
    /// leave the cache, parts of pages become zeros. The size stays. Who maps the whole pages must
    /// unmap them before.
    ///
    /// # Errors
    /// [`AllocError::NoWindow`]; a part may be zeros already.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_punch_hole(&self, file: FileId, start: u64, end: u64) -> Result<(), AllocError> {
        if start >= end {
            return Ok(());
        }
        let first = start.div_ceil(PAGE_SIZE);
        let last = end >> PAGE_SHIFT;
        if first > last {
            return self.zero_part(file, start, end);
        }
        self.zero_part(file, start, first << PAGE_SHIFT)?;
        self.zero_part(file, last << PAGE_SHIFT, end)?;
        self.drop_pages(file, first, last);
        Ok(())
    }

    /// Fills a part of one page with zeros, if it is in the cache.
    fn zero_part(&self, file: FileId, start: u64, end: u64) -> Result<(), AllocError> {
        if start >= end {
            return Ok(());
        }
        let Some(pfn) = self.find_page(file, start >> PAGE_SHIFT) else {
            return Ok(());
        };
        let offset = (start % PAGE_SIZE) as usize;
        let zeroed = self.zero_frame(pfn, offset, (end - start) as usize);
        self.put_page(pfn);
        zeroed
    }
}
