//! Pages come: what an access to a page that is not there, or not so, leads to
//! (Linux arch/x86/mm/fault.c: `do_user_addr_fault`, mm/memory.c: `handle_mm_fault`).

use super::{Access, FaultSignal, UserMm, add, signal::PF_PROT};
use crate::{
    AllocError, Order, Pfn,
    machine::Machine,
    page_alloc::prepare::zero_frame,
    pgtable::Pte,
    vma::{Area, Backing},
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    event::EventKind,
    gfp::Gfp,
    mm_struct::RssStat,
    pte::{PTE_ACCESSED, PTE_DIRTY},
    vma::VmFlags,
    vmstat::VmEvent,
};

impl From<AllocError> for FaultSignal {
    fn from(_: AllocError) -> Self {
        Self::Oom
    }
}

impl<M: Machine + 'static> UserMm<M> {
    /// Handles a page fault of ring 3 at an address, with the CPU's error code. On success the
    /// access can be tried again.
    ///
    /// # Errors
    /// The signal that the program gets.
    #[inline]
    pub fn handle_fault(&mut self, addr: u64, error_code: u64) -> Result<(), FaultSignal> {
        self.fault(addr, Access::of_error_code(error_code), error_code)
    }

    /// Does what an access would do, if it is one of ring 3.
    ///
    /// # Errors
    /// The signal that the program would get.
    #[inline]
    pub fn fault_in(&mut self, addr: u64, access: Access) -> Result<(), FaultSignal> {
        self.fault(addr, access, access.error_code())
    }

    fn fault(&mut self, addr: u64, access: Access, code: u64) -> Result<(), FaultSignal> {
        self.mm
            .machine
            .event(EventKind::Fault, addr, code & !PF_PROT);
        if self.is_oom_victim() {
            // What was there is gone, and must not be found as zeros (Linux:
            // `check_stable_address_space`).
            return Err(FaultSignal::Oom);
        }
        let area = match self.tree().find_vma_again(addr).map(Area::of) {
            Some(area) if area.start <= addr => area,
            above => above
                .and_then(|area| self.expand_stack(addr, &area))
                .ok_or(FaultSignal::MapErr(addr))?,
        };
        if !permits(area.flags, access) {
            return Err(FaultSignal::AccErr(addr));
        }
        add(&self.mm_struct().min_flt, 1);
        self.mm.count_event(VmEvent::Pgfault, 1);
        let page = addr & !(PAGE_SIZE - 1);
        let found = self.tables().lookup(page);
        let pte = found.map_or(Pte(0), |(_, pte)| pte);
        if pte.is_none() {
            let entry = found.map(|(entry, _)| entry);
            return match area.backing {
                Backing::Anonymous { .. } => self.anonymous_fault(entry, page, &area, access),
                Backing::File { pgoff, .. } => {
                    let pgoff = pgoff + ((page - area.start) >> PAGE_SHIFT);
                    self.file_fault(addr, &area, pgoff, access)
                }
            };
        }
        if !pte.holds_page() {
            return self.swap_fault(addr, &area, pte, access);
        }
        if access == Access::Write && !pte.is_writable() {
            return self.write_protect_fault(addr, &area, pte);
        }
        // It is there already: the CPU had something older in mind.
        if let Some((entry, _)) = found {
            entry.fetch_or(PTE_ACCESSED | dirty(access), Relaxed);
        }
        self.mm.machine.flush_tlb_page(page);
        Ok(())
    }

    /// The first access to a page of anonymous memory (Linux: `do_anonymous_page`).
    #[inline(always)]
    fn anonymous_fault(
        &self,
        entry: Option<&AtomicU64>,
        page: u64,
        area: &Area,
        access: Access,
    ) -> Result<(), FaultSignal> {
        let entry = match entry {
            Some(entry) => entry,
            None if access == Access::Write && self.huge_fault(page, area) => return Ok(()),
            None => self.tables().walk_alloc(page)?,
        };
        if access != Access::Write {
            let pte = Pte::new(self.vm.zero_pfn, area.flags).read_only().special();
            entry.store(pte.0, Relaxed);
            return Ok(());
        }
        let pfn = self.alloc_user_page()?;
        if let Err(error) = self.zero_page(pfn) {
            return self.give_up(pfn, error);
        }
        // It is as empty as it was, whatever has been reclaimed since.
        self.map_anonymous(entry, page, pfn, area);
        Ok(())
    }

    /// A page for a program, without content.
    #[inline(always)]
    pub(super) fn alloc_user_page(&self) -> Result<Pfn, AllocError> {
        self.mm.alloc_charged(Gfp::HIGHUSER_MOVABLE)
    }

    /// The fault needs I/O. It was counted as one that does not.
    pub(super) fn count_major_fault(&self) {
        add(&self.mm_struct().min_flt, -1);
        add(&self.mm_struct().maj_flt, 1);
        self.mm.count_event(VmEvent::Pgmajfault, 1);
    }

    /// Gives back a page that was not mapped in the end.
    #[cold]
    pub(super) fn give_up(&self, pfn: Pfn, error: AllocError) -> Result<(), FaultSignal> {
        self.mm.free_pages(pfn, Order::ZERO);
        Err(error.into())
    }

    /// Maps a new anonymous page, written, where a private area is.
    #[inline(always)]
    pub(super) fn map_anonymous(&self, entry: &AtomicU64, page: u64, pfn: Pfn, area: &Area) {
        let (mm, descriptor) = (self.mm, self.mm.map.page(pfn.0));
        mm.page_add_new_anon_rmap(descriptor, self.anon_group(), area.page_index(page));
        mm.lru_add_new_anon(pfn, descriptor, area.flags.contains(VmFlags::LOCKED));
        entry.store(Pte::new(pfn, area.flags).writable().0, Relaxed);
        self.add_rss(RssStat::Anon, 1);
    }

    /// Changes the entry of a page, and lets the CPU know.
    pub(super) fn replace(&self, page: u64, pte: Pte) {
        if let Some(entry) = self.tables().walk(page) {
            entry.store(pte.0, Relaxed);
        }
        self.mm.machine.flush_tlb_page(page);
    }

    pub(super) fn zero_page(&self, pfn: Pfn) -> Result<(), AllocError> {
        zero_frame(&self.mm.machine, pfn.0)
    }
}

/// Whether an area allows an access (Linux: `access_error`). As on x86, what can be written or
/// executed can be read.
const fn permits(flags: VmFlags, access: Access) -> bool {
    match access {
        Access::Write => flags.contains(VmFlags::WRITE),
        Access::Exec => flags.contains(VmFlags::EXEC),
        Access::Read => flags.intersects(VmFlags::READ.union(VmFlags::WRITE).union(VmFlags::EXEC)),
    }
}

/// What an access leaves in an entry besides `PTE_ACCESSED`.
pub(super) const fn dirty(access: Access) -> u64 {
    match access {
        Access::Write => PTE_DIRTY,
        Access::Read | Access::Exec => 0,
    }
}
