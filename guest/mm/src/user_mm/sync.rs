//! msync and mincore (Linux mm/msync.c, mm/mincore.c).

use super::{Fault, UserMm, insert::file_of};
use crate::{
    machine::Machine,
    page_cache::FileError,
    vma::{Area, Backing},
};
use core::{ops::Range, sync::atomic::AtomicU32};
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE, errno::Errno, mman::MsyncFlags, pte::USER_END, vma::VmFlags,
};

/// Pages whose state is told at once.
const CHUNK: u64 = 256;

impl<M: Machine + 'static> UserMm<M> {
    /// msync. With `SYNC`, dirty pages of files in shared mappings are written to their stores.
    ///
    /// # Errors
    /// `EIO` and its like if that fails: errors that nobody has seen yet count. `EINVAL` for unknown or contradicting flags or an unaligned address, `EBUSY` for locked
    /// pages with `INVALIDATE`, `ENOMEM` if a part is not mapped.
    pub fn msync(&mut self, addr: u64, len: u64, flags: MsyncFlags) -> Result<(), Errno> {
        let both = MsyncFlags::ASYNC | MsyncFlags::SYNC;
        if !(flags - MsyncFlags::all()).is_empty()
            || flags.contains(both)
            || !addr.is_multiple_of(PAGE_SIZE)
        {
            return Err(Errno::EINVAL);
        }
        // Linux rounds a length at the end of all up to 0.
        let len = len.checked_next_multiple_of(PAGE_SIZE).unwrap_or(0);
        let end = addr.checked_add(len).ok_or(Errno::ENOMEM)?;
        let (mut at, mut result) = (addr, Ok(()));
        while at < end {
            let Some(area) = self.tree().find_vma(at).map(Area::of) else {
                return Err(Errno::ENOMEM);
            };
            if area.start > at {
                result = Err(Errno::ENOMEM);
            }
            if area.start < end
                && flags.contains(MsyncFlags::INVALIDATE)
                && area.flags.contains(VmFlags::LOCKED)
            {
                return Err(Errno::EBUSY);
            }
            if flags.contains(MsyncFlags::SYNC) && area.flags.contains(VmFlags::SHARED) {
                self.write_back(&area, at.max(area.start)..area.end.min(end))?;
            }
            at = area.end;
        }
        result
    }

    /// Writes the pages of a file that a part of an area maps (Linux: `vfs_fsync_range`).
    fn write_back(&self, area: &Area, part: Range<u64>) -> Result<(), Errno> {
        let (Some(file), Backing::File { pgoff, .. }) = (file_of(area), area.backing) else {
            return Ok(());
        };
        if part.is_empty() || !self.mm.file_has_store(file) {
            return Ok(());
        }
        let since = AtomicU32::new(self.mm.file_sample_wb_err(file));
        let page = |at: u64| pgoff + ((at - area.start) >> PAGE_SHIFT);
        let written = self
            .mm
            .filemap_write(file, page(part.start)..page(part.end));
        let noted = self.mm.file_check_wb_err(file, &since);
        noted.map_err(|errno| Errno::from_number(errno).unwrap_or(Errno::EIO))?;
        written.map_err(FileError::errno)
    }

    /// mincore: stores for each page of a range a byte at `vec`: 1 if an access to it would have no
    /// need to bring it in.
    ///
    /// # Errors
    /// `EINVAL` for an unaligned address, `ENOMEM` if a part is not mapped, `EFAULT` if there is no
    /// room at `vec`.
    pub fn mincore(&mut self, addr: u64, len: u64, vec: u64) -> Result<(), Errno> {
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        if addr > USER_END || len > USER_END - addr {
            return Err(Errno::ENOMEM);
        }
        let pages = len.div_ceil(PAGE_SIZE);
        if vec.checked_add(pages).is_none_or(|end| end > USER_END) {
            return Err(Errno::EFAULT);
        }
        let mut done = 0;
        while done < pages {
            let start = addr + (done << PAGE_SHIFT);
            let area = self.tree().find(start).map(Area::of).ok_or(Errno::ENOMEM)?;
            let count = (pages - done)
                .min((area.end - start) >> PAGE_SHIFT)
                .min(CHUNK);
            let mut bytes = [0; CHUNK as usize];
            for (page, byte) in (0..count).zip(&mut bytes) {
                *byte = u8::from(self.is_in_core(&area, start + (page << PAGE_SHIFT)));
            }
            self.write(vec + done, &bytes[..count as usize])
                .map_err(|fault: Fault| Errno::from(fault))?;
            done += count;
        }
        Ok(())
    }

    /// Whether a page is mapped, or in the page cache or the swap cache.
    fn is_in_core(&self, area: &Area, page: u64) -> bool {
        let pte = self.tables().get(page);
        if !pte.is_none() {
            // As on Linux, which counts what is no swap entry as there.
            return pte.holds_page() || pte.is_hwpoison() || self.is_swap_cached(pte);
        }
        let (Some(file), Backing::File { pgoff, .. }) = (file_of(area), area.backing) else {
            return false;
        };
        let index = pgoff + ((page - area.start) >> PAGE_SHIFT);
        self.mm.file_page_in_core(file, index)
    }
}
