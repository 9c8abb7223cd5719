//! munmap (Linux mm/mmap.c: `do_munmap`).

use super::{MAX_MAP_COUNT, UserMm, life::TABLES_END, place::page_align};
use crate::{
    machine::Machine,
    tlb::TlbGather,
    vma::{Area, VmaObject},
};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{PAGE_SHIFT, PAGE_SIZE, errno::Errno, event::EventKind, gfp::Gfp, pte::USER_END};

impl<M: Machine + 'static> UserMm<M> {
    /// Unmaps all that is in a range.
    ///
    /// # Errors
    /// `EINVAL` for an unaligned address, an empty range or one outside the program's half,
    /// `ENOMEM` if an area would have to be split and there is no memory for that, or too many areas.
    pub fn munmap(&mut self, addr: u64, len: u64) -> Result<(), Errno> {
        if !addr.is_multiple_of(PAGE_SIZE) || addr > USER_END || len > USER_END - addr {
            return Err(Errno::EINVAL);
        }
        let len = page_align(len)?;
        self.unmap_range(addr, addr + len)
    }

    /// Unmaps what is in a page-aligned range.
    pub(super) fn unmap_range(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        let tree = self.tree();
        let Some(first) = tree.find_intersection(start, end).map(Area::of) else {
            return Ok(());
        };
        let object = if first.start < start && first.end > end {
            if tree.len() >= MAX_MAP_COUNT {
                return Err(Errno::ENOMEM);
            }
            let object = self.areas().alloc(Gfp::KERNEL);
            Some(object.map_err(|_| Errno::ENOMEM)?)
        } else {
            None
        };
        let room = self.room_around(&first, start, end);
        let mut gather = TlbGather::new(self.mm);
        let mut next = Some(first);
        while let Some(area) = next.filter(|area| area.start < end) {
            let part = area.start.max(start)..area.end.min(end);
            self.zap(&area, part, &mut gather);
            next = self.tree().find_vma(area.end).map(Area::of);
        }
        // Not before all entries are empty: areas share nodes.
        self.tables().free_nodes(start..end, &room, &mut gather);
        gather.finish();
        self.cut(start, end, object);
        let pages = (end - start) >> PAGE_SHIFT;
        self.mm.machine.event(EventKind::Unmap, start, pages);
        Ok(())
    }

    /// What no area but those in `start..end` has a page of; `first` is the first of these.
    fn room_around(&mut self, first: &Area, start: u64, end: u64) -> Range<u64> {
        let tree = self.tree();
        let low = if first.start < start {
            start
        } else {
            tree.before(first.start)
                .map_or(0, |prev| Area::of(prev).end)
        };
        let high = match tree.find_vma(end - 1).map(Area::of) {
            Some(last) if last.end > end => last.start.max(end),
            // It ends just here, so the next one is the first above.
            _ => tree
                .find_vma(end)
                .map_or(TABLES_END, |next| next.start.load(Relaxed)),
        };
        low..high
    }

    /// Takes a range, in which nothing is mapped any more, out of the areas. `object` is there if
    /// an area contains the range and more on both sides.
    fn cut(&mut self, start: u64, end: u64, object: Option<VmaObject>) {
        if let Some(object) = object {
            self.split(end, object);
        }
        while let Some(area) = self.tree().find_intersection(start, end).map(Area::of) {
            let gone = Area {
                start: area.start.max(start),
                end: area.end.min(end),
                ..area
            };
            self.count_area(&gone, -1);
            let done = if area.start < start {
                self.tree().resize(area.start, area.start, start)
            } else if area.end > end {
                self.tree().resize(area.start, end, area.end)
            } else {
                self.unlink(area.start);
                Ok(())
            };
            debug_assert_eq!(done, Ok(()));
        }
    }
}
