//! Transparent huge pages: 2 MiB of anonymous memory at once, in one entry (Linux mm/huge_memory.c:
//! `do_huge_pmd_anonymous_page`, `copy_huge_pmd`, `do_huge_pmd_wp_page`).
//!
//! Linux makes a compound page of it, with one count of references for all. Here the 512 pages are single
//! ones from the start, and only the page table knows that they are mapped by one entry: a fork
//! counts each of them, but when the entry is split nothing has to be done to the pages, and reclaim
//! takes each by itself.

use super::{UserMm, fork::Copied};
use crate::{
    AllocError, Order, Pfn,
    machine::Machine,
    page_alloc::prepare::zero_frame,
    pgtable::{HUGE_SIZE, Pte},
    tlb::TlbGather,
    vma::Area,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SIZE,
    gfp::Gfp,
    mm_struct::RssStat,
    page::PAGEBLOCK_PAGES,
    pte::{PTE_ACCESSED, PTE_LARGE},
    vma::VmFlags,
    vmstat::VmEvent,
};

/// Which areas get huge pages (Linux: `/sys/kernel/mm/transparent_hugepage/enabled`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum ThpEnabled {
    /// None.
    Never = 0,
    /// Those for which madvise said so: as most distributions have it.
    #[default]
    Madvise = 1,
    /// All but those for which madvise said no.
    Always = 2,
}

impl ThpEnabled {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Never, Self::Madvise, Self::Always];

    /// The name on the kernel's command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Madvise => "madvise",
            Self::Always => "always",
        }
    }

    /// Whether an area of these flags gets them.
    const fn allows(self, flags: VmFlags) -> bool {
        match self {
            Self::Never => false,
            Self::Madvise => flags.contains(VmFlags::HUGEPAGE),
            Self::Always => !flags.contains(VmFlags::NOHUGEPAGE),
        }
    }
}

/// A block that may well not be there: the program does not wait for it (Linux:
/// `GFP_TRANSHUGE_LIGHT`).
const HUGE_GFP: Gfp = Gfp::HIGHUSER_MOVABLE
    .difference(Gfp::RECLAIM)
    .union(Gfp::NORETRY)
    .union(Gfp::NOWARN);

const PAGES: i64 = PAGEBLOCK_PAGES as i64;

impl<M: Machine + 'static> UserMm<M> {
    /// The first store to anonymous memory: maps all of the 2 MiB around it, if they lie in the area
    /// and nothing of them is mapped, and there is a block. Otherwise false: a single page will do.
    #[inline]
    pub(super) fn huge_fault(&self, page: u64, area: &Area) -> bool {
        let enabled = self.mm.thp_enabled();
        let base = page & !(HUGE_SIZE - 1);
        let fits = base >= area.start && base.saturating_add(HUGE_SIZE) <= area.end;
        if !fits || !enabled.allows(area.flags) || area.flags.contains(VmFlags::GROWSDOWN) {
            return false;
        }
        self.map_huge_page(base, area)
    }

    #[inline(never)]
    fn map_huge_page(&self, base: u64, area: &Area) -> bool {
        if self.tables().has_node(base) || !self.mm.may_charge(PAGES as u64) {
            return false;
        }
        let mapped = self.new_huge_page().map(|head| {
            let room = self.tables().huge_room(base);
            let Ok(Some(room)) = room else {
                self.mm.free_pages(head, Order::PAGEBLOCK);
                return false;
            };
            self.mm.split_to_pages(head, Order::PAGEBLOCK);
            let (group, index) = (self.anon_group(), area.page_index(base));
            for page in 0..PAGEBLOCK_PAGES {
                let pfn = Pfn(head.0 + page);
                self.mm.charge_present(pfn);
                let descriptor = self.mm.map.page(pfn.0);
                let index = index + u64::from(page);
                self.mm.page_add_new_anon_rmap(descriptor, group, index);
                let unevictable = area.flags.contains(VmFlags::LOCKED);
                self.mm.lru_add_new_anon(pfn, descriptor, unevictable);
            }
            let first = Pte::new(head, area.flags).writable();
            self.tables().map_huge(room, first);
            self.add_rss(RssStat::Anon, PAGES);
            true
        });
        let mapped = mapped.unwrap_or(false);
        let event = if mapped {
            VmEvent::ThpFaultAlloc
        } else {
            VmEvent::ThpFaultFallback
        };
        self.mm.count_event(event, 1);
        mapped
    }

    /// A block of zeros.
    fn new_huge_page(&self) -> Result<Pfn, AllocError> {
        let head = self.mm.alloc_pages(HUGE_GFP, Order::PAGEBLOCK)?;
        for frame in head.0..head.0 + PAGEBLOCK_PAGES {
            if let Err(error) = zero_frame(&self.mm.machine, frame) {
                self.mm.free_pages(head, Order::PAGEBLOCK);
                return Err(error);
            }
        }
        Ok(head)
    }

    /// A store to a page of a large entry that does not allow it. True if nobody else has any of the
    /// pages any more, and the entry allows it now; otherwise the entry is to be split, and one page
    /// copied.
    pub(super) fn reuse_huge(&self, page: u64) -> bool {
        let Some(entry) = self.tables().huge(page) else {
            return false;
        };
        let pte = Pte(entry.load(Relaxed));
        let alone = pte.small().all(|pte| {
            let page = self.mm.map.page(pte.pfn().0);
            page.refcount.load(Relaxed) == 1
        });
        if alone {
            entry.store(Pte(pte.0 | PTE_ACCESSED).writable().0, Relaxed);
            self.mm.machine.flush_tlb_page(page);
        }
        alone
    }

    /// Lets a child have what a large entry maps, and takes the right to store from both.
    pub(super) fn copy_huge(
        &self,
        address: u64,
        entry: &AtomicU64,
        child: &Self,
        copied: &mut Copied,
        gather: &mut TlbGather<'_, M>,
    ) -> Result<(), AllocError> {
        let room = child.tables().huge_room(address)?;
        let room = room.ok_or(AllocError::NoMemory)?;
        let pte = Pte(entry.load(Relaxed));
        if pte.0 & PTE_LARGE == 0 {
            // Reclaim has split it meanwhile.
            child.tables().give_back(room);
            let mut result = Ok(());
            self.tables()
                .for_each_node(address, address + HUGE_SIZE, |from, entries| {
                    result = self.copy_node(from, entries, child, copied, gather);
                });
            return result;
        }
        for small in pte.small() {
            let page = self.mm.map.page(small.pfn().0);
            page.refcount.fetch_add(1, Relaxed);
            page.mapcount.fetch_add(1, Relaxed);
        }
        if pte.is_writable() {
            entry.store(pte.read_only().0, Relaxed);
            gather.change(address);
            gather.change(address + HUGE_SIZE - PAGE_SIZE);
        }
        child.tables().map_huge(room, pte.read_only().unused());
        copied.anon += PAGES;
        Ok(())
    }
}
