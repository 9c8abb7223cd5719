//! msync and mincore (Linux mm/msync.c, mm/mincore.c).

use super::{Fault, UserMm, insert::file_of};
use crate::{
    machine::Machine,
    vma::{Area, Backing},
};
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE, errno::Errno, gfp::Gfp, mman::MsyncFlags, pte::USER_END, vma::VmFlags,
};

/// Pages whose state is told at once.
const CHUNK: u64 = 256;

impl<M: Machine + 'static> UserMm<M> {
    /// msync. Nothing stands behind the files, so what is stored is where it belongs already.
    ///
    /// # Errors
    /// `EINVAL` for unknown or contradicting flags or an unaligned address, `EBUSY` for locked
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
            at = area.end;
        }
        result
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
            return pte.holds_page() || self.is_swap_cached(pte);
        }
        let (Some(file), Backing::File { pgoff, .. }) = (file_of(area), area.backing) else {
            return false;
        };
        let index = pgoff + ((page - area.start) >> PAGE_SHIFT);
        match self.mm.file_page(file, index, false, Gfp::KERNEL) {
            Ok(Some(pfn)) => {
                self.mm.put_page(pfn);
                true
            }
            _ => false,
        }
    }
}
