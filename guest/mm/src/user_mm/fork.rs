//! A second address space with the same content (Linux kernel/fork.c: `dup_mmap`, mm/memory.c:
//! `copy_page_range`).

use super::UserMm;
use crate::{
    AllocError,
    machine::Machine,
    mutation::{Mutation, is_planted},
    pgtable::{Part, Pte},
    tlb::TlbGather,
    vma::Area,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT,
    gfp::Gfp,
    mm_struct::{MmStruct, RssStat},
    vma::VmFlags,
};

impl<M: Machine + 'static> UserMm<M> {
    /// Makes a child that shares all private pages until one of the two stores to them.
    ///
    /// # Errors
    /// [`AllocError`]; then nothing of the child is left.
    pub fn fork(&mut self) -> Result<Self, AllocError> {
        let mut child = Self::in_group(self.mm, self.vm, self.anon_group())?;
        copy_bounds(self.mm_struct(), child.mm_struct());
        let mut gather = TlbGather::new(self.mm);
        let copied = self.copy_areas(&mut child, &mut gather);
        gather.finish();
        if self.is_oom_victim() {
            // What was copied may be a part of what there was.
            return Err(AllocError::NoMemory);
        }
        // Without the child its pages are the parent's alone again: stores find that out.
        if let Err(error) = copied {
            if is_planted(Mutation::ForkUndo) {
                core::mem::forget(child);
            }
            return Err(error);
        }
        Ok(child)
    }

    fn copy_areas(
        &mut self,
        child: &mut Self,
        gather: &mut TlbGather<'_, M>,
    ) -> Result<(), AllocError> {
        let mut next = self.tree().find_vma(0).map(Area::of);
        while let Some(area) = next {
            if !area.flags.contains(VmFlags::DONTCOPY) {
                self.copy_area(&area, child, gather)?;
            }
            next = self.tree().find_vma(area.end).map(Area::of);
        }
        Ok(())
    }

    fn copy_area(
        &mut self,
        area: &Area,
        child: &mut Self,
        gather: &mut TlbGather<'_, M>,
    ) -> Result<(), AllocError> {
        let copy = Area {
            flags: area.flags - VmFlags::LOCKED - VmFlags::LOCKONFAULT,
            ..*area
        };
        let object = child.areas().alloc(Gfp::KERNEL);
        let object = object.map_err(|_| AllocError::NoMemory)?;
        child.link(&copy, object);
        child.count_area(&copy, 1);
        // What is shared is found again by a fault.
        if area.flags.intersects(VmFlags::SHARED | VmFlags::WIPEONFORK) {
            return Ok(());
        }
        self.copy_pages(area, child, gather)
    }

    /// Lets the child have all that a private area maps, and takes the right to store from both.
    fn copy_pages(
        &self,
        area: &Area,
        child: &Self,
        gather: &mut TlbGather<'_, M>,
    ) -> Result<(), AllocError> {
        // What was copied before an error is the child's, which gives it back.
        let (mut copied, mut result) = (Copied::default(), Ok(()));
        self.tables()
            .for_each_part(area.start, area.end, |address, part| {
                if result.is_err() {
                    return;
                }
                result = match part {
                    Part::Node(entries) => {
                        self.copy_node(address, entries, child, &mut copied, gather)
                    }
                    Part::Huge(entry) => self.copy_huge(address, entry, child, &mut copied, gather),
                };
            });
        child.add_rss(RssStat::Anon, copied.anon);
        if copied.other != 0 {
            child.add_rss(self.file_rss(area), copied.other);
        }
        if copied.swapped != 0 {
            child.add_rss(RssStat::Swap, copied.swapped);
        }
        result
    }

    /// Makes a child's node for entries, if any is not empty, and copies them.
    pub(super) fn copy_node(
        &self,
        address: u64,
        entries: &[AtomicU64],
        child: &Self,
        copied: &mut Copied,
        gather: &mut TlbGather<'_, M>,
    ) -> Result<(), AllocError> {
        let Some(first) = entries.iter().position(|e| e.load(Relaxed) != 0) else {
            return Ok(());
        };
        let from = address + ((first as u64) << PAGE_SHIFT);
        let entries = &entries[first..];
        let copies = child.tables().walk_alloc_many(from, entries.len())?;
        self.copy_entries(from, entries, copies, copied, gather)
    }

    /// Copies entries of one node, and counts them.
    #[inline]
    fn copy_entries(
        &self,
        address: u64,
        entries: &[AtomicU64],
        copies: &[AtomicU64],
        copied: &mut Copied,
        gather: &mut TlbGather<'_, M>,
    ) -> Result<(), AllocError> {
        for (page, (entry, copy)) in entries.iter().zip(copies).enumerate() {
            let pte = Pte(entry.load(Relaxed));
            if pte.is_none() {
                continue;
            }
            if !pte.holds_page() {
                copied.swapped += self.share_slot(pte)?;
                copy.store(pte.0, Relaxed);
                continue;
            }
            if !pte.is_special() {
                let Some(page) = self.mm.map.get(pte.pfn().0) else {
                    // Not as it was written; the child does without.
                    continue;
                };
                page.refcount.fetch_add(1, Relaxed);
                page.mapcount.fetch_add(1, Relaxed);
                if self.is_anon_page(pte.pfn()) {
                    copied.anon += 1;
                } else {
                    copied.other += 1;
                }
            }
            if pte.is_writable() {
                entry.store(pte.read_only().0, Relaxed);
                gather.change(address + ((page as u64) << PAGE_SHIFT));
            }
            copy.store(pte.read_only().unused().0, Relaxed);
        }
        Ok(())
    }

    /// One more entry leads to a slot, or names a broken frame: says how many pages in swap that is. That
    /// too many lead to one slot is a want of memory, as on Linux, where more are counted in a page of
    /// their own.
    #[cold]
    fn share_slot(&self, pte: Pte) -> Result<i64, AllocError> {
        if pte.is_hwpoison() {
            return Ok(0);
        }
        let slot = pte.swap_entry().ok_or(AllocError::NoMemory)?;
        let shared = self.mm.swap_duplicate(slot);
        shared.map(|()| 1).map_err(|_| AllocError::NoMemory)
    }
}

/// Entries that a child has got.
#[derive(Default)]
pub(super) struct Copied {
    /// For anonymous pages.
    pub(super) anon: i64,
    /// For others.
    other: i64,
    /// For what is in swap.
    swapped: i64,
}

/// What a child has from its parent besides areas.
fn copy_bounds(from: &MmStruct, to: &MmStruct) {
    for (from, to) in [
        (&from.mmap_base, &to.mmap_base),
        (&from.start_brk, &to.start_brk),
        (&from.brk, &to.brk),
        (&from.start_stack, &to.start_stack),
        (&from.stack_limit, &to.stack_limit),
        (&from.as_limit, &to.as_limit),
        (&from.data_limit, &to.data_limit),
        (&from.memlock_limit, &to.memlock_limit),
        (&from.arg_start, &to.arg_start),
        (&from.arg_end, &to.arg_end),
        (&from.env_start, &to.env_start),
        (&from.env_end, &to.env_end),
    ] {
        to.store(from.load(Relaxed), Relaxed);
    }
}
