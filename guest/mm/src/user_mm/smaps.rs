//! /proc/PID/smaps (Linux fs/proc/task_mmu.c: `show_smap`).

use super::{UserMm, maps::NameOf};
use crate::{
    machine::Machine,
    pgtable::{HUGE_SIZE, Part, Pte},
    swap::SwapEntry,
    vma::Area,
};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    page::MAPPING_ANON,
    pte::{PTE_ACCESSED, PTE_DIRTY},
    vma::VmFlags,
};

/// KiB of a page.
const PAGE_KIB: u64 = PAGE_SIZE >> 10;

/// Fractions of a byte that shares are counted in (Linux: `PSS_SHIFT`).
const PSS_SHIFT: u32 = 12;

/// Letters of an area's properties, in Linux's order.
const LETTERS: [(VmFlags, &str); 23] = [
    (VmFlags::READ, "rd"),
    (VmFlags::WRITE, "wr"),
    (VmFlags::EXEC, "ex"),
    (VmFlags::SHARED, "sh"),
    (VmFlags::MAYREAD, "mr"),
    (VmFlags::MAYWRITE, "mw"),
    (VmFlags::MAYEXEC, "me"),
    (VmFlags::MAYSHARE, "ms"),
    (VmFlags::GROWSDOWN, "gd"),
    (VmFlags::PFNMAP, "pf"),
    (VmFlags::LOCKED, "lo"),
    (VmFlags::IO, "io"),
    (VmFlags::SEQ_READ, "sr"),
    (VmFlags::RAND_READ, "rr"),
    (VmFlags::DONTCOPY, "dc"),
    (VmFlags::DONTEXPAND, "de"),
    (VmFlags::LOCKONFAULT, "lf"),
    (VmFlags::ACCOUNT, "ac"),
    (VmFlags::NORESERVE, "nr"),
    (VmFlags::WIPEONFORK, "wf"),
    (VmFlags::DONTDUMP, "dd"),
    (VmFlags::MIXEDMAP, "mm"),
    (VmFlags::HUGEPAGE, "hg"),
];

/// Amounts of an area in pages; shares have [`PSS_SHIFT`] more bits and are in bytes.
#[derive(Default)]
struct Amounts {
    rss: u64,
    pss: u64,
    pss_dirty: u64,
    /// Clean, then dirty.
    shared: [u64; 2],
    private: [u64; 2],
    referenced: u64,
    anonymous: u64,
    anon_huge: u64,
    swap: u64,
    swap_pss: u64,
}

impl<M: Machine + 'static> UserMm<M> {
    /// Writes /proc/PID/smaps. `name` is that of [`Self::maps`].
    ///
    /// # Errors
    /// Those of `out`.
    pub fn smaps(&mut self, out: &mut dyn Write, name: &mut NameOf<'_>) -> fmt::Result {
        let mut at = 0;
        while let Some(area) = self.next_area(at) {
            // Looked at as a whole before anything is written, for writing may need memory.
            let amounts = self.amounts(&area);
            self.write_area(&area, out, name)?;
            amounts.write(&area, out)?;
            at = area.end;
        }
        Ok(())
    }

    fn amounts(&self, area: &Area) -> Amounts {
        let mut amounts = Amounts::default();
        self.tables()
            .for_each_part(area.start, area.end, |_, part| match part {
                Part::Node(entries) => {
                    for entry in entries {
                        self.add_amounts(&mut amounts, Pte(entry.load(Relaxed)));
                    }
                }
                Part::Huge(entry) => {
                    amounts.anon_huge += HUGE_SIZE >> PAGE_SHIFT;
                    for pte in Pte(entry.load(Relaxed)).small() {
                        self.add_amounts(&mut amounts, pte);
                    }
                }
            });
        amounts
    }

    fn add_amounts(&self, amounts: &mut Amounts, pte: Pte) {
        if pte.is_none() || pte.is_special() || pte.is_hwpoison() {
            return;
        }
        if let Some(slot) = SwapEntry::of_pte(pte.0) {
            amounts.swap += 1;
            let entries = u64::from(self.mm.swap_count(slot).max(1));
            amounts.swap_pss += (PAGE_SIZE << PSS_SHIFT) / entries;
            return;
        }
        let page = self.mm.map.page(pte.pfn().0);
        let entries = u64::from(page.mapcount.load(Relaxed).max(1).unsigned_abs());
        let share = (PAGE_SIZE << PSS_SHIFT) / entries;
        let is_dirty = pte.0 & PTE_DIRTY != 0;
        amounts.rss += 1;
        amounts.pss += share;
        if is_dirty {
            amounts.pss_dirty += share;
        }
        let kind = if entries > 1 {
            &mut amounts.shared
        } else {
            &mut amounts.private
        };
        kind[usize::from(is_dirty)] += 1;
        amounts.referenced += u64::from(pte.0 & PTE_ACCESSED != 0);
        amounts.anonymous += u64::from(page.mapping.load(Relaxed) & MAPPING_ANON != 0);
    }
}

impl Amounts {
    fn write(&self, area: &Area, out: &mut dyn Write) -> fmt::Result {
        let pss = self.pss >> PSS_SHIFT >> 10;
        let is_locked = area.flags.contains(VmFlags::LOCKED);
        let lines = [
            ("Size:", area.pages() * PAGE_KIB),
            ("KernelPageSize:", PAGE_KIB),
            ("MMUPageSize:", PAGE_KIB),
            ("Rss:", self.rss * PAGE_KIB),
            ("Pss:", pss),
            ("Pss_Dirty:", self.pss_dirty >> PSS_SHIFT >> 10),
            ("Shared_Clean:", self.shared[0] * PAGE_KIB),
            ("Shared_Dirty:", self.shared[1] * PAGE_KIB),
            ("Private_Clean:", self.private[0] * PAGE_KIB),
            ("Private_Dirty:", self.private[1] * PAGE_KIB),
            ("Referenced:", self.referenced * PAGE_KIB),
            ("Anonymous:", self.anonymous * PAGE_KIB),
            ("KSM:", 0),
            ("LazyFree:", 0),
            ("AnonHugePages:", self.anon_huge * PAGE_KIB),
            ("ShmemPmdMapped:", 0),
            ("FilePmdMapped:", 0),
            ("Shared_Hugetlb:", 0),
            ("Private_Hugetlb:", 0),
            ("Swap:", self.swap * PAGE_KIB),
            ("SwapPss:", self.swap_pss >> PSS_SHIFT >> 10),
            ("Locked:", if is_locked { pss } else { 0 }),
        ];
        for (name, kib) in lines {
            writeln!(out, "{name:<16}{kib:>8} kB")?;
        }
        write!(out, "THPeligible:    {:>8}\nVmFlags: ", 0)?;
        for (flag, letters) in LETTERS {
            if area.flags.contains(flag) {
                write!(out, "{letters} ")?;
            }
        }
        writeln!(out)
    }
}
