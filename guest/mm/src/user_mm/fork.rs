//! A second address space with the same content (Linux kernel/fork.c: `dup_mmap`, mm/memory.c:
//! `copy_page_range`).

use super::UserMm;
use crate::{AllocError, machine::Machine, pgtable::Pte, tlb::TlbGather, vma::Area};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT,
    gfp::Gfp,
    mm_struct::{MmStruct, RssStat},
    page::is_anon,
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
        // Without the child its pages are the parent's alone again: stores find that out.
        copied.map(|()| child)
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
        let mut result = Ok(());
        self.tables()
            .for_each_node(area.start, area.end, |address, entries| {
                let Some(first) = entries.iter().position(|e| e.load(Relaxed) != 0) else {
                    return;
                };
                if result.is_err() {
                    return;
                }
                let from = address + ((first as u64) << PAGE_SHIFT);
                let entries = &entries[first..];
                match child.tables().walk_alloc_many(from, entries.len()) {
                    Ok(copies) => {
                        let (anon, other) = self.copy_entries(from, entries, copies, gather);
                        child.add_rss(RssStat::Anon, anon);
                        if other != 0 {
                            child.add_rss(self.file_rss(area), other);
                        }
                    }
                    Err(error) => result = Err(error),
                }
            });
        result
    }

    /// Copies entries of one node, and returns how many lead to anonymous pages and to others.
    #[inline]
    fn copy_entries(
        &self,
        address: u64,
        entries: &[AtomicU64],
        copies: &[AtomicU64],
        gather: &mut TlbGather<'_, M>,
    ) -> (i64, i64) {
        let (mut anon, mut other) = (0, 0);
        for (page, (entry, copy)) in entries.iter().zip(copies).enumerate() {
            let pte = Pte(entry.load(Relaxed));
            if pte.is_none() {
                continue;
            }
            if !pte.is_special() {
                let page = self.mm.map.page(pte.pfn().0);
                page.refcount.fetch_add(1, Relaxed);
                page.mapcount.fetch_add(1, Relaxed);
                if is_anon(page.mapping.load(Relaxed)) {
                    anon += 1;
                } else {
                    other += 1;
                }
            }
            if pte.is_writable() {
                entry.store(pte.read_only().0, Relaxed);
                gather.change(address + ((page as u64) << PAGE_SHIFT));
            }
            copy.store(pte.read_only().unused().0, Relaxed);
        }
        (anon, other)
    }
}

/// What a child has from its parent besides areas.
fn copy_bounds(from: &MmStruct, to: &MmStruct) {
    for (from, to) in [
        (&from.mmap_base, &to.mmap_base),
        (&from.start_brk, &to.start_brk),
        (&from.brk, &to.brk),
        (&from.start_stack, &to.start_stack),
        (&from.stack_limit, &to.stack_limit),
        (&from.arg_start, &to.arg_start),
        (&from.arg_end, &to.arg_end),
        (&from.env_start, &to.env_start),
        (&from.env_end, &to.env_end),
    ] {
        to.store(from.load(Relaxed), Relaxed);
    }
}
