//! A file's size, and holes.

use super::{FILE_GFP, FileError, FileId};
use crate::{Mm, Pfn, machine::Machine};
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
    /// [`AllocError::NoWindow`](crate::AllocError::NoWindow); of a file with a store, what that says if it
    /// or swap cannot read the last page. Then the file is as before. If the store cannot give back what it
    /// has behind the new end, the size has changed all the same.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_set_size(&self, file: FileId, size: u64) -> Result<(), FileError> {
        let old = self.file_size(file);
        if size < old {
            let rest = size
                .next_multiple_of(PAGE_SIZE)
                .min(old.next_multiple_of(PAGE_SIZE));
            self.zero_part(file, size, rest)?;
            self.space(file).size.store(size, Relaxed);
            self.drop_pages(file, size.div_ceil(PAGE_SIZE), u64::MAX);
            if let Some(store) = self.store(file) {
                store.ops.truncate(self, store.host, size)?;
            }
        } else {
            if size > old
                && let Some(store) = self.store(file)
            {
                store.ops.truncate(self, store.host, size)?;
            }
            self.space(file).size.store(size, Relaxed);
        }
        Ok(())
    }

    /// Makes bytes from `start` to below `end` a hole (Linux: `FALLOC_FL_PUNCH_HOLE`): whole pages
    /// leave the cache, parts of pages become zeros. The size stays. Who maps the whole pages must
    /// unmap them before.
    ///
    /// # Errors
    /// [`AllocError::NoWindow`](crate::AllocError::NoWindow); a part may be zeros already.
    /// [`FileError::Unsupported`] if the file has a store.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_punch_hole(&self, file: FileId, start: u64, end: u64) -> Result<(), FileError> {
        if self.file_has_store(file) {
            return Err(FileError::Unsupported);
        }
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

    /// Takes a page out of the cache, with what has been changed in it: what its store has is of no
    /// interest any more. Nobody may map it.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_forget(&self, file: FileId, page: u64) {
        self.drop_pages(file, page, page + 1);
    }

    /// Fills a part of one page with zeros, if it is in the cache or in a store.
    fn zero_part(&self, file: FileId, start: u64, end: u64) -> Result<(), FileError> {
        if start >= end {
            return Ok(());
        }
        let page = start >> PAGE_SHIFT;
        let pfn = match self.find_or_swap_in(file, page)? {
            None if self.file_has_store(file) => self.add_page(file, page, FILE_GFP)?,
            None => return Ok(()),
            Some(pfn) => pfn,
        };
        let (offset, len) = ((start % PAGE_SIZE) as usize, (end - start) as usize);
        let zeroed = self.zero_in_page(file, page, pfn, offset, len);
        self.put_page(pfn);
        zeroed
    }

    fn zero_in_page(
        &self,
        file: FileId,
        page: u64,
        pfn: Pfn,
        offset: usize,
        len: usize,
    ) -> Result<(), FileError> {
        // A hole in a store stays one.
        if self.file_has_store(file) && self.frame_is_zero(pfn, offset, len)? {
            return Ok(());
        }
        self.page_mkwrite(file, page, pfn)?;
        Ok(self.zero_frame(pfn, offset, len)?)
    }

    /// Whether a part of a page is all zeros.
    fn frame_is_zero(&self, pfn: Pfn, offset: usize, len: usize) -> Result<bool, FileError> {
        let mut bytes = [0; 64];
        let end = offset + len;
        for at in (offset..end).step_by(bytes.len()) {
            let part = &mut bytes[..(end - at).min(64)];
            self.read_frame(pfn, at, part)?;
            if part.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
