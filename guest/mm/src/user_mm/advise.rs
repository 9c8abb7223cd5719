//! madvise (Linux mm/madvise.c).

use super::{Access, FaultSignal, UserMm, insert::file_of};
use crate::{
    machine::Machine,
    page_cache::FileError,
    tlb::TlbGather,
    vma::{Area, Backing},
};
use core::ops::Range;
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    errno::Errno,
    event::EventKind,
    mman::{
        MADV_COLD, MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_DONTFORK, MADV_DONTNEED,
        MADV_FREE, MADV_HUGEPAGE, MADV_KEEPONFORK, MADV_MERGEABLE, MADV_NOHUGEPAGE, MADV_NORMAL,
        MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_RANDOM, MADV_REMOVE,
        MADV_SEQUENTIAL, MADV_UNMERGEABLE, MADV_WILLNEED, MADV_WIPEONFORK,
    },
    vma::VmFlags,
};

/// Areas whose pages are not to be touched by advice (Linux: `can_madv_lru_vma`).
const PINNED: VmFlags = VmFlags::LOCKED.union(VmFlags::PFNMAP);

impl<M: Machine + 'static> UserMm<M> {
    /// madvise. `MADV_MERGEABLE` is heard, and nothing is done.
    ///
    /// # Errors
    /// `EINVAL` for unknown advice, an unaligned address, or advice that the area does not take,
    /// `ENOMEM` if a part is not mapped (the rest is done) or for want of memory, `EFAULT` for a page
    /// that cannot be populated.
    pub fn madvise(&mut self, addr: u64, len: u64, advice: u32) -> Result<(), Errno> {
        if advice > MADV_POPULATE_WRITE || matches!(advice, 5..=7) {
            return Err(Errno::EINVAL);
        }
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let len = len.checked_next_multiple_of(PAGE_SIZE);
        let end = len.and_then(|len| addr.checked_add(len));
        let end = end.ok_or(Errno::EINVAL)?;
        match advice {
            MADV_POPULATE_READ => self.populate_for(addr..end, Access::Read),
            MADV_POPULATE_WRITE => self.populate_for(addr..end, Access::Write),
            _ => self.advise_range(addr..end, advice),
        }
    }

    /// Linux: `madvise_walk_vmas`.
    fn advise_range(&mut self, range: Range<u64>, advice: u32) -> Result<(), Errno> {
        let (mut at, mut result) = (range.start, Ok(()));
        while at < range.end {
            let Some(area) = self.tree().find_vma(at).map(Area::of) else {
                return Err(Errno::ENOMEM);
            };
            if area.start > at {
                result = Err(Errno::ENOMEM);
            }
            if area.start >= range.end {
                break;
            }
            let part = at.max(area.start)..area.end.min(range.end);
            at = part.end;
            self.advise_part(&area, part, advice)?;
        }
        result
    }

    /// Linux: `madvise_vma_behavior`.
    fn advise_part(&mut self, area: &Area, part: Range<u64>, advice: u32) -> Result<(), Errno> {
        let flags = area.flags;
        let anonymous = matches!(area.backing, Backing::Anonymous { .. });
        let flags = match advice {
            MADV_MERGEABLE | MADV_UNMERGEABLE => return Ok(()),
            MADV_WILLNEED => {
                match (file_of(area), area.backing) {
                    (Some(file), Backing::File { pgoff, .. }) => {
                        let first = pgoff + ((part.start - area.start) >> PAGE_SHIFT);
                        let pages = (part.end - part.start) >> PAGE_SHIFT;
                        self.mm.file_willneed(file, first, pages);
                    }
                    _ => self.swap_in_ahead(part),
                }
                return Ok(());
            }
            MADV_DONTNEED | MADV_FREE | MADV_COLD | MADV_PAGEOUT if flags.intersects(PINNED) => {
                return Err(Errno::EINVAL);
            }
            MADV_FREE if !anonymous => return Err(Errno::EINVAL),
            MADV_DONTNEED => {
                self.drop_pages(area, part);
                return Ok(());
            }
            MADV_FREE => {
                self.free_lazily(part);
                return Ok(());
            }
            MADV_COLD => {
                self.deactivate(part);
                return Ok(());
            }
            MADV_PAGEOUT => {
                self.page_out(part);
                return Ok(());
            }
            MADV_REMOVE => return self.remove_pages(area, part),
            MADV_NORMAL => flags - (VmFlags::RAND_READ | VmFlags::SEQ_READ),
            MADV_SEQUENTIAL => (flags - VmFlags::RAND_READ) | VmFlags::SEQ_READ,
            MADV_RANDOM => (flags - VmFlags::SEQ_READ) | VmFlags::RAND_READ,
            MADV_DONTFORK => flags | VmFlags::DONTCOPY,
            MADV_DOFORK if flags.contains(VmFlags::IO) => return Err(Errno::EINVAL),
            MADV_DOFORK => flags - VmFlags::DONTCOPY,
            MADV_WIPEONFORK if !anonymous => return Err(Errno::EINVAL),
            MADV_WIPEONFORK => flags | VmFlags::WIPEONFORK,
            MADV_KEEPONFORK => flags - VmFlags::WIPEONFORK,
            MADV_DONTDUMP => flags | VmFlags::DONTDUMP,
            MADV_DODUMP if flags.intersects(VmFlags::SPECIAL) => return Err(Errno::EINVAL),
            MADV_DODUMP => flags - VmFlags::DONTDUMP,
            MADV_HUGEPAGE => (flags - VmFlags::NOHUGEPAGE) | VmFlags::HUGEPAGE,
            MADV_NOHUGEPAGE => (flags - VmFlags::HUGEPAGE) | VmFlags::NOHUGEPAGE,
            _ => return Err(Errno::EINVAL),
        };
        if flags != area.flags {
            self.isolate(area, &part)?;
            self.set_flags(part.start, flags);
            self.merge_at(part.start);
        }
        Ok(())
    }

    /// Takes the pages of a part away; the area stays (Linux: `zap_page_range`).
    fn drop_pages(&mut self, area: &Area, part: Range<u64>) {
        let mut gather = TlbGather::new(self.mm);
        self.zap(area, part.clone(), &mut gather);
        gather.finish();
        let pages = (part.end - part.start) >> PAGE_SHIFT;
        self.mm.machine.event(EventKind::Unmap, part.start, pages);
    }

    /// Makes a hole in the file (Linux: `madvise_remove`).
    fn remove_pages(&mut self, area: &Area, part: Range<u64>) -> Result<(), Errno> {
        let (Some(file), Backing::File { pgoff, .. }) = (file_of(area), area.backing) else {
            return Err(Errno::EINVAL);
        };
        if area.flags.contains(VmFlags::LOCKED) {
            return Err(Errno::EINVAL);
        }
        if !area.flags.contains(VmFlags::SHARED | VmFlags::WRITE) {
            return Err(Errno::EACCES);
        }
        let offset = |at: u64| (pgoff << PAGE_SHIFT) + (at - area.start);
        let (start, end) = (offset(part.start), offset(part.end));
        let punched = self.mm.punch_hole(file, start, end);
        punched.map_err(FileError::errno)
    }

    /// Linux: `madvise_populate`.
    fn populate_for(&mut self, range: Range<u64>, access: Access) -> Result<(), Errno> {
        self.each_area(range.start, range.end, |user, _, part| {
            user.fault_range(part, access)
                .map_err(|signal| match signal {
                    FaultSignal::Oom => Errno::ENOMEM,
                    FaultSignal::BusAdrErr(_) => Errno::EFAULT,
                    FaultSignal::HwPoison(_) => Errno::EHWPOISON,
                    _ => Errno::EINVAL,
                })
        })
    }
}
