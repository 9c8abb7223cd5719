//! Bytes in and out.

use super::{FileError, FileId, Reader};
use crate::{
    Mm, Pfn,
    machine::Machine,
    mutation::{Mutation, is_planted},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{PAGE_SHIFT, PAGE_SIZE, gfp::Gfp};

/// Where the pages of files come from (Linux: `GFP_HIGHUSER`, which ramfs asks for).
pub const FILE_GFP: Gfp = Gfp::HIGHUSER;

/// The part of a page that an operation touches next.
struct Part {
    page: u64,
    offset: usize,
    len: usize,
}

/// The first part of `len` bytes at `position`.
fn part(position: u64, len: usize) -> Part {
    let offset = (position % PAGE_SIZE) as usize;
    Part {
        page: position >> PAGE_SHIFT,
        offset,
        len: len.min(PAGE_SIZE as usize - offset),
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Reads from a position on, up to the file's end, and returns how much that was. Holes read as
    /// zeros, and stay holes unless there is a store. Short as well if a page cannot be read, or no
    /// kmap window is free.
    ///
    /// # Errors
    /// If not one byte could be read: what the store says, [`AllocError`](crate::AllocError).
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_read(
        &self,
        file: FileId,
        position: u64,
        buf: &mut [u8],
    ) -> Result<usize, FileError> {
        self.read_parts(file, position, buf, |_| true)
    }

    /// The same for a reader, who will want `left` bytes from the position on, those of `buf` first.
    /// Pages are read ahead as it has read so far, and each page that it comes to counts as used once
    /// (Linux: `filemap_read`).
    ///
    /// # Errors
    /// As [`Mm::file_read`].
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_read_by(
        &self,
        reader: &Reader<'_>,
        file: FileId,
        position: u64,
        buf: &mut [u8],
        left: u64,
    ) -> Result<usize, FileError> {
        let end = position.saturating_add(left).min(self.file_size(file));
        let last = end.div_ceil(PAGE_SIZE);
        let has_store = self.file_has_store(file);
        self.read_parts(file, position, buf, |page| {
            if has_store {
                self.read_ahead(file, reader, page, last.saturating_sub(page).max(1));
            }
            let before = reader.ra.prev_index.swap(page as u32, Relaxed);
            before != page as u32 && !reader.noreuse
        })
    }

    /// Reads page by page. Before each of them `comes` is told its number, and says whether it is used
    /// by that.
    fn read_parts(
        &self,
        file: FileId,
        position: u64,
        buf: &mut [u8],
        mut comes: impl FnMut(u64) -> bool,
    ) -> Result<usize, FileError> {
        let left = self.file_size(file).saturating_sub(position);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let mut done = 0;
        while done < wanted {
            let Part { page, offset, len } = part(position + done as u64, wanted - done);
            let is_used = comes(page);
            let to = &mut buf[done..done + len];
            match self.read_page(file, page, offset, to, is_used) {
                Ok(()) => done += len,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn read_page(
        &self,
        file: FileId,
        page: u64,
        offset: usize,
        to: &mut [u8],
        is_used: bool,
    ) -> Result<(), FileError> {
        let found = match self.find_or_swap_in(file, page)? {
            None if self.file_has_store(file) => Some(self.add_page(file, page, FILE_GFP)?),
            found => found,
        };
        match found {
            Some(pfn) => {
                let read = self.read_frame(pfn, offset, to);
                if is_used {
                    self.mark_page_accessed(pfn);
                }
                self.put_page(pfn);
                Ok(read?)
            }
            None => {
                to.fill(0);
                Ok(())
            }
        }
    }

    /// Writes at a position, makes the file longer if need be, and returns how much was written:
    /// less than asked for if memory runs out, or the store fails, on the way.
    ///
    /// # Errors
    /// If not one byte could be written: [`AllocError`](crate::AllocError), `BadRequest` beyond the largest file; what
    /// the store says.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_write(&self, file: FileId, position: u64, buf: &[u8]) -> Result<usize, FileError> {
        let mut done = 0;
        while done < buf.len() {
            let Some(at) = position.checked_add(done as u64) else {
                break;
            };
            let Part { page, offset, len } = part(at, buf.len() - done);
            match self.write_page(file, page, offset, &buf[done..done + len]) {
                Ok(()) => done += len,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
            let size = &self.space(file).size;
            size.fetch_max(at + len as u64, Relaxed);
        }
        Ok(done)
    }

    fn write_page(
        &self,
        file: FileId,
        page: u64,
        offset: usize,
        from: &[u8],
    ) -> Result<(), FileError> {
        let pfn: Pfn = match self.find_or_swap_in(file, page)? {
            Some(pfn) => pfn,
            None if from.len() == PAGE_SIZE as usize && self.file_has_store(file) => {
                return self.write_whole(file, page, from);
            }
            None => self.add_page(file, page, FILE_GFP)?,
        };
        let written = self
            .page_mkwrite(file, page, pfn)
            .and_then(|()| Ok(self.write_frame(pfn, offset, from)?));
        self.put_page(pfn);
        if written.is_err() && page << PAGE_SHIFT >= self.file_size(file) {
            // It was added for this write (Linux: `ext2_write_failed`).
            self.drop_pages(file, page, page + 1);
        }
        written
    }

    /// Writes a page that is not in the cache. What the store has there need not be read, as nothing
    /// of it stays.
    fn write_whole(&self, file: FileId, page: u64, from: &[u8]) -> Result<(), FileError> {
        let fill = |pfn| Ok(self.write_frame(pfn, 0, from)?);
        let pfn = self.add_filled(file, page, FILE_GFP, fill)?;
        let made = self.page_mkwrite(file, page, pfn);
        if made.is_err() {
            // It is not what the store has.
            self.remove_page(file, page, pfn);
        }
        self.put_page(pfn);
        made
    }

    /// A page of a file is about to be changed: its store makes room for it, and it is dirty
    /// (Linux: `page_mkwrite`, `write_begin`). The caller has a reference to the page.
    ///
    /// # Errors
    /// What the store says; the page is as before.
    pub(crate) fn page_mkwrite(&self, file: FileId, page: u64, pfn: Pfn) -> Result<(), FileError> {
        let Some(store) = self.store(file) else {
            return Ok(());
        };
        if !self.page_is_dirty(pfn) {
            match store.ops.write_begin(self, store.host, page) {
                Err(_) if is_planted(Mutation::LostDirty) => return Ok(()),
                begun => begun?,
            }
            self.mark_dirty(file, page, pfn);
        }
        Ok(())
    }
}
