//! /proc/PID/smaps (Linux fs/proc/task_mmu.c: `show_smap`).

use std::fmt;

use pagelab_abi::{PAGE_SIZE, vma::VmFlags};

use super::Processes;
use crate::inspect::{
    decode::{Area, UserPage},
    users::Space,
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

/// Amounts of an area, in bytes but for shares (`pss`), which have [`PSS_SHIFT`] more bits.
#[derive(Default)]
struct Amounts {
    rss: u64,
    pss: u64,
    pss_dirty: u64,
    shared: [u64; 2],
    private: [u64; 2],
    referenced: u64,
    anonymous: u64,
    anon_huge: u64,
    swap: u64,
    swap_pss: u64,
}

impl Processes<'_> {
    pub(super) fn smaps(&self, out: &mut impl fmt::Write, space: &Space) -> fmt::Result {
        for area in &space.areas {
            self.map_line(out, space, area)?;
            let amounts = self.amounts(space, area);
            amounts.write(out, area)?;
        }
        Ok(())
    }

    fn amounts(&self, space: &Space, area: &Area) -> Amounts {
        let mut amounts = Amounts::default();
        let held = space.held().filter(|(page, _)| area.contains(page.va()));
        for (page, _) in held.filter(|(page, _)| !page.is_special()) {
            for pfn in page.pfns() {
                self.add(&mut amounts, page, pfn);
            }
        }
        let swapped = space.swapped().filter(|(page, _)| area.contains(page.va()));
        for (_, slot) in swapped.filter_map(|(page, _)| page.swap_slot()) {
            let entries = self.users.swapped.get(&slot).copied().unwrap_or(1);
            amounts.swap += PAGE_SIZE;
            amounts.swap_pss += (PAGE_SIZE << PSS_SHIFT) / u64::from(entries);
        }
        amounts
    }

    fn add(&self, amounts: &mut Amounts, page: &UserPage, pfn: u32) {
        let bytes = PAGE_SIZE;
        let holders = self.users.frames.get(&pfn);
        let entries = u64::from(holders.map_or(1, |holders| holders.entries)).max(1);
        let mapping = self.snapshot.descriptor(pfn);
        let is_anon = mapping.is_none_or(|page| self.users.file(page.mapping).is_none());
        let dirty = usize::from(page.dirty());
        let share = (bytes << PSS_SHIFT) / entries;
        amounts.rss += bytes;
        amounts.pss += share;
        if page.dirty() {
            amounts.pss_dirty += share;
        }
        let kind = if entries > 1 {
            &mut amounts.shared
        } else {
            &mut amounts.private
        };
        kind[dirty] += bytes;
        if page.accessed() {
            amounts.referenced += bytes;
        }
        if is_anon {
            amounts.anonymous += bytes;
            if page.frames() > 1 {
                amounts.anon_huge += bytes;
            }
        }
    }
}

impl Amounts {
    fn write(&self, out: &mut impl fmt::Write, area: &Area) -> fmt::Result {
        let kib = |bytes: u64| bytes >> 10;
        let pss = self.pss >> PSS_SHIFT;
        let locked = if area.flags.contains(VmFlags::LOCKED) {
            pss
        } else {
            0
        };
        let lines = [
            ("Size", area.pages() * PAGE_KIB),
            ("KernelPageSize", PAGE_KIB),
            ("MMUPageSize", PAGE_KIB),
            ("Rss", kib(self.rss)),
            ("Pss", kib(pss)),
            ("Pss_Dirty", kib(self.pss_dirty >> PSS_SHIFT)),
            ("Shared_Clean", kib(self.shared[0])),
            ("Shared_Dirty", kib(self.shared[1])),
            ("Private_Clean", kib(self.private[0])),
            ("Private_Dirty", kib(self.private[1])),
            ("Referenced", kib(self.referenced)),
            ("Anonymous", kib(self.anonymous)),
            ("KSM", 0),
            ("LazyFree", 0),
            ("AnonHugePages", kib(self.anon_huge)),
            ("ShmemPmdMapped", 0),
            ("FilePmdMapped", 0),
            ("Shared_Hugetlb", 0),
            ("Private_Hugetlb", 0),
            ("Swap", kib(self.swap)),
            ("SwapPss", kib(self.swap_pss >> PSS_SHIFT)),
            ("Locked", kib(locked)),
        ];
        for (name, kib) in lines {
            writeln!(
                out,
                "{:<16}{kib:>8} kB",
                format_args!("{name}:").to_string()
            )?;
        }
        writeln!(out, "THPeligible:    {:>8}", 0)?;
        write!(out, "VmFlags: ")?;
        for (flag, letters) in LETTERS {
            if area.flags.contains(flag) {
                write!(out, "{letters} ")?;
            }
        }
        writeln!(out)
    }
}
