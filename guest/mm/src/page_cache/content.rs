//! Bytes in and out.

use super::FileId;
use crate::{AllocError, Mm, Pfn, machine::Machine};
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
    /// zeros, and stay holes. Short as well if no kmap window is free.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_read(&self, file: FileId, position: u64, buf: &mut [u8]) -> usize {
        let left = self.file_size(file).saturating_sub(position);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let mut done = 0;
        while done < wanted {
            let Part { page, offset, len } = part(position + done as u64, wanted - done);
            let to = &mut buf[done..done + len];
            if self.read_page(file, page, offset, to).is_err() {
                break;
            }
            done += len;
        }
        done
    }

    fn read_page(
        &self,
        file: FileId,
        page: u64,
        offset: usize,
        to: &mut [u8],
    ) -> Result<(), AllocError> {
        match self.find_page(file, page) {
            Some(pfn) => {
                let read = self.read_frame(pfn, offset, to);
                self.put_page(pfn);
                read
            }
            None => {
                to.fill(0);
                Ok(())
            }
        }
    }

    /// Writes at a position, makes the file longer if need be, and returns how much was written:
    /// less than asked for if memory runs out on the way.
    ///
    /// # Errors
    /// If not one byte could be written: [`AllocError`], `BadRequest` beyond the largest file.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_write(&self, file: FileId, position: u64, buf: &[u8]) -> Result<usize, AllocError> {
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
    ) -> Result<(), AllocError> {
        let pfn: Pfn = match self.find_page(file, page) {
            Some(pfn) => pfn,
            None => self.add_page(file, page, FILE_GFP | Gfp::ZERO)?,
        };
        let written = self.write_frame(pfn, offset, from);
        self.put_page(pfn);
        written
    }
}
