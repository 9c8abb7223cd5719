//! Pages of files come (Linux mm/memory.c: `do_fault`), and become writable in shared mappings
//! (`do_page_mkwrite`).
//!
//! In a shared mapping of a file with a store an entry is read-only until the first store through it,
//! which makes the page dirty; when the page has been written, it is so again (`page_mkclean`).

use super::{Access, FaultSignal, UserMm, fault::dirty, insert::file_of};
use crate::{
    Pfn,
    machine::Machine,
    mutation::{Mutation, is_planted},
    page_cache::{FILE_GFP, FileError, FileId},
    pgtable::Pte,
    vma::Area,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{PAGE_SIZE, mm_struct::RssStat, vma::VmFlags};

impl FaultSignal {
    /// What becomes of an access to `addr` whose page a file does not give.
    const fn of_file(error: FileError, addr: u64) -> Self {
        match error {
            FileError::Memory(_) => Self::Oom,
            FileError::HwPoison => Self::HwPoison(addr),
            _ => Self::BusAdrErr(addr),
        }
    }
}

impl<M: Machine + 'static> UserMm<M> {
    /// The first access to a page of a file (Linux: `do_read_fault`, `do_cow_fault`,
    /// `do_shared_fault`). Not in line: it would cost faults on anonymous pages registers.
    #[inline(never)]
    pub(super) fn file_fault(
        &mut self,
        addr: u64,
        area: &Area,
        pgoff: u64,
        access: Access,
    ) -> Result<(), FaultSignal> {
        let mm = self.mm;
        let file = file_of(area).ok_or(FaultSignal::BusAdrErr(addr))?;
        let end = mm.file_size(file).div_ceil(PAGE_SIZE);
        if pgoff >= end {
            return Err(FaultSignal::BusAdrErr(addr));
        }
        let page = addr & !(PAGE_SIZE - 1);
        if access != Access::Write && self.fault_around(page, area, pgoff, end)? {
            return Ok(());
        }
        let found = self.cached_page(file, pgoff, area.flags);
        let found = found.map_err(|error| {
            if error == FileError::HwPoison {
                mm.count_hwpoison_reported();
            }
            FaultSignal::of_file(error, addr)
        })?;
        let cached = found.ok_or(FaultSignal::BusAdrErr(addr))?;
        let result = self.map_cached(addr, area, cached, access);
        mm.put_page(cached);
        result
    }

    /// A page of a file with a reference, and others that may be needed soon (Linux: `filemap_fault`).
    fn cached_page(
        &self,
        file: FileId,
        pgoff: u64,
        flags: VmFlags,
    ) -> Result<Option<Pfn>, FileError> {
        let mm = self.mm;
        if mm.file_page_is_swapped(file, pgoff) {
            self.count_major_fault();
        } else if let Some(there) = mm.file_page(file, pgoff, false, FILE_GFP)? {
            mm.mmap_hit(file, pgoff, flags);
            return Ok(Some(there));
        } else if mm.file_has_store(file) {
            self.count_major_fault();
            mm.mmap_miss(file, pgoff, flags);
        }
        mm.file_page(file, pgoff, true, FILE_GFP)
    }

    /// The same with the page. The caller has a reference to it, and keeps it.
    fn map_cached(
        &mut self,
        addr: u64,
        area: &Area,
        cached: Pfn,
        access: Access,
    ) -> Result<(), FaultSignal> {
        let page = addr & !(PAGE_SIZE - 1);
        let is_shared = area.flags.contains(VmFlags::SHARED);
        if access == Access::Write && !is_shared {
            return self.copy_of_file_page(page, area, cached);
        }
        let entry = self.tables().walk_alloc(page)?;
        let mut pte = Pte::new(cached, area.flags);
        if access == Access::Write {
            self.mkwrite(addr, cached)?;
        } else if self.wants_writenotify(area) {
            pte = pte.read_only();
        }
        // Memory was allocated, perhaps; if reclaim changed the entry, the access finds out.
        if entry.load(Relaxed) == 0 {
            self.mm.get_page(cached);
            self.mm.page_add_file_rmap(cached);
            if area.flags.contains(VmFlags::LOCKED) {
                self.mm.lru_cull(cached);
            }
            entry.store(pte.0 | dirty(access), Relaxed);
            self.add_rss(self.file_rss(area), 1);
        }
        Ok(())
    }

    /// A store to a read-only page of a shared mapping. False if the entry is not the same any more,
    /// so that the access has to be tried again.
    pub(super) fn file_mkwrite(
        &mut self,
        addr: u64,
        area: &Area,
        pte: Pte,
    ) -> Result<bool, FaultSignal> {
        if !self.wants_writenotify(area) {
            return Ok(true);
        }
        let cached = pte.pfn();
        self.mm.get_page(cached);
        let made = self.mkwrite(addr, cached);
        let is_same = self.tables().get(addr & !(PAGE_SIZE - 1)) == pte;
        self.mm.put_page(cached);
        made.map(|()| is_same)
    }

    /// A page of a file is about to be stored to, through an entry. The caller has a reference to it.
    fn mkwrite(&self, addr: u64, cached: Pfn) -> Result<(), FaultSignal> {
        let Some((file, index)) = self.mm.page_file(cached) else {
            return Ok(());
        };
        let made = self.mm.page_mkwrite(file, index, cached);
        made.map_err(|error| FaultSignal::of_file(error, addr))
    }

    /// Whether entries of an area are read-only until somebody stores through them
    /// (Linux: `vma_wants_writenotify`).
    pub(super) fn wants_writenotify(&self, area: &Area) -> bool {
        area.flags.contains(VmFlags::SHARED)
            && file_of(area).is_some_and(|file| self.mm.file_has_store(file))
    }

    /// A store to a page of a file that is not there, in a private area.
    fn copy_of_file_page(
        &mut self,
        page: u64,
        area: &Area,
        cached: Pfn,
    ) -> Result<(), FaultSignal> {
        let new = self.alloc_user_page().inspect_err(|_| {
            if is_planted(Mutation::RefcountLeak) {
                self.mm.get_page(cached);
            }
        })?;
        let mapped = self
            .copy_page(new, cached)
            .and_then(|()| self.tables().walk_alloc(page));
        match mapped {
            Ok(entry) => {
                self.map_anonymous(entry, page, new, area);
                Ok(())
            }
            Err(error) => {
                if is_planted(Mutation::RssLeak) {
                    self.add_rss(RssStat::Anon, 1);
                }
                self.give_up(new, error)
            }
        }
    }
}
