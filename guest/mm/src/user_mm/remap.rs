//! mremap (Linux mm/mremap.c).

use super::{MAX_MAP_COUNT, UserMm, life::TABLES_END, mmap::is_accountable, place::check_fixed};
use crate::{
    AllocError,
    machine::Machine,
    pgtable::Pte,
    tlb::TlbGather,
    vma::{Area, VmaObject},
};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    errno::Errno,
    event::EventKind,
    gfp::Gfp,
    mman::{MapFlags, MremapFlags},
    pte::USER_END,
    vma::VmFlags,
};

/// Arguments of mremap, lengths in whole pages.
#[derive(Clone, Copy)]
struct Move {
    old: u64,
    old_len: u64,
    new_len: u64,
    flags: MremapFlags,
}

impl<M: Machine + 'static> UserMm<M> {
    /// mremap: changes the length of a part of an area, and moves it if need be. Returns where it is
    /// then.
    ///
    /// # Errors
    /// `EINVAL` for unaligned addresses, contradicting flags, no new length, or overlapping ranges,
    /// `EFAULT` if the old range is not of one area, `ENOMEM` for want of memory or room.
    pub fn mremap(
        &mut self,
        old: u64,
        old_len: u64,
        new_len: u64,
        flags: MremapFlags,
        new_addr: u64,
    ) -> Result<u64, Errno> {
        let known = (flags - MremapFlags::all()).is_empty();
        let may_move = flags.contains(MremapFlags::MAYMOVE);
        let elsewhere = flags.intersects(MremapFlags::FIXED | MremapFlags::DONTUNMAP);
        let align = |len: u64| len.checked_next_multiple_of(PAGE_SIZE).unwrap_or(0);
        let keeps = flags.contains(MremapFlags::DONTUNMAP);
        if !known
            || elsewhere && !may_move
            || keeps && old_len != new_len
            || !old.is_multiple_of(PAGE_SIZE)
            || align(new_len) == 0
            || align(new_len) > USER_END
        {
            return Err(Errno::EINVAL);
        }
        let what = Move {
            old,
            old_len: align(old_len),
            new_len: align(new_len),
            flags,
        };
        if elsewhere {
            self.check_target(what, new_addr)?;
            return if flags.contains(MremapFlags::FIXED) && what.old_len == what.new_len {
                self.remap_all(what, new_addr)
            } else {
                self.remap_to(what, new_addr)
            };
        }
        let area = self.tree().find(old).map(Area::of).ok_or(Errno::EFAULT)?;
        if what.old_len >= what.new_len {
            if what.old_len > what.new_len {
                let tail = old.checked_add(what.new_len).ok_or(Errno::EINVAL)?;
                self.munmap(tail, what.old_len - what.new_len)?;
            }
            return Ok(old);
        }
        self.check_resize(&area, what)?;
        if what.old_len == area.end - old && self.grow_in_place(&area, what) {
            return Ok(old);
        }
        if !may_move {
            return Err(Errno::ENOMEM);
        }
        let at = self.place(0, what.new_len, MapFlags::empty())?;
        self.move_area(what, at)
    }

    /// What is wrong with the target, which comes before what is wrong with the source (Linux:
    /// `check_mremap_params`, since 6.17).
    fn check_target(&mut self, what: Move, to: u64) -> Result<(), Errno> {
        let Move {
            old,
            old_len,
            new_len,
            ..
        } = what;
        let end = to.checked_add(new_len).filter(|&end| end <= USER_END);
        let Some(end) = end.filter(|_| to.is_multiple_of(PAGE_SIZE)) else {
            return Err(Errno::EINVAL);
        };
        if old.saturating_add(old_len) > to && end > old {
            return Err(Errno::EINVAL);
        }
        if self.tree().len() + 2 >= MAX_MAP_COUNT - 3 {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Moves all areas of a range, with the gaps between them but for one in front (Linux: `remap_move`,
    /// since 6.17).
    fn remap_all(&mut self, what: Move, to: u64) -> Result<u64, Errno> {
        let end = what.old.saturating_add(what.old_len);
        let (mut at, mut moved) = (what.old, Err(Errno::EFAULT));
        while let Some(area) = self.tree().find_intersection(at, end).map(Area::of) {
            if area.start > at && moved.is_err() {
                return Err(Errno::EFAULT);
            }
            let start = area.start.max(at);
            let len = area.end.min(end) - start;
            let part = Move {
                old: start,
                old_len: len,
                new_len: len,
                ..what
            };
            let done = self.remap_to(part, to + (start - what.old))?;
            moved = moved.or(Ok(done));
            at = start + len;
        }
        moved
    }

    /// Linux: `mremap_to`.
    fn remap_to(&mut self, mut what: Move, to: u64) -> Result<u64, Errno> {
        let Move {
            old,
            old_len,
            new_len,
            flags,
        } = what;
        let end = to + new_len;
        // Before anything is unmapped.
        let area = self.tree().find(old).map(Area::of).ok_or(Errno::EFAULT)?;
        let kept = Move {
            old_len: old_len.min(new_len),
            ..what
        };
        self.check_resize(&area, kept)?;
        let fixed = flags.contains(MremapFlags::FIXED);
        if fixed {
            check_fixed(to, new_len)?;
            self.unmap_range(to, end)?;
        }
        if old_len > new_len {
            self.munmap(old + new_len, old_len - new_len)?;
            what.old_len = new_len;
        }
        let area = self.tree().find(old).map(Area::of).ok_or(Errno::EFAULT)?;
        self.check_resize(&area, what)?;
        let at = if fixed {
            to
        } else {
            self.place(to, new_len, MapFlags::empty())?
        };
        self.move_area(what, at)
    }

    /// Linux: `vma_to_resize`.
    fn check_resize(&mut self, area: &Area, what: Move) -> Result<(), Errno> {
        let fixed = VmFlags::DONTEXPAND | VmFlags::PFNMAP;
        if what.old_len == 0 && !area.flags.intersects(VmFlags::SHARED | VmFlags::MAYSHARE)
            || what.flags.contains(MremapFlags::DONTUNMAP) && area.flags.intersects(fixed)
        {
            return Err(Errno::EINVAL);
        }
        if what.old_len > area.end - what.old {
            return Err(Errno::EFAULT);
        }
        let more = what.new_len.saturating_sub(what.old_len);
        if more > 0 && area.flags.intersects(fixed) {
            return Err(Errno::EFAULT);
        }
        let counts = area.flags.contains(VmFlags::ACCOUNT) || is_accountable(area.flags);
        self.may_lock_future(area.flags, more >> PAGE_SHIFT)?;
        self.may_expand(area.flags, more >> PAGE_SHIFT)?;
        if what.new_len > USER_END || counts && more >> PAGE_SHIFT > self.mm.total_ram_and_swap() {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Makes an area longer where it is. False if something is in the way.
    fn grow_in_place(&mut self, area: &Area, what: Move) -> bool {
        let end = what.old + what.new_len;
        if end > USER_END || self.tree().find_intersection(area.end, end).is_some() {
            return false;
        }
        let more = Area {
            start: area.end,
            end,
            ..*area
        };
        let done = self.tree().resize(area.start, area.start, end);
        debug_assert_eq!(done, Ok(()));
        self.count_area(&more, 1);
        self.merge_at(area.start);
        self.mm
            .machine
            .event(EventKind::Map, more.start, more.pages());
        if area.flags.contains(VmFlags::LOCKED) {
            self.populate_what_goes(more.start, end);
        }
        true
    }

    /// Makes a new area, moves the pages there, and takes the old one away (Linux: `move_vma`).
    fn move_area(&mut self, what: Move, to: u64) -> Result<u64, Errno> {
        if self.tree().len() >= MAX_MAP_COUNT - 3 {
            return Err(Errno::ENOMEM);
        }
        let old = what.old..what.old + what.old_len;
        let keeps = what.flags.contains(MremapFlags::DONTUNMAP);
        let object = self.areas().alloc(Gfp::KERNEL);
        let object = object.map_err(|_| Errno::ENOMEM)?;
        let moved = self.move_with(object, old.clone(), to, what.new_len);
        let Some(new) = moved else {
            return Err(Errno::ENOMEM);
        };
        if keeps {
            let unlocked = self.munlock(old.start, what.old_len);
            debug_assert_eq!(unlocked, Ok(()));
        } else if what.old_len > 0 {
            // It is an area of its own, so nothing is split.
            let unmapped = self.unmap_range(old.start, old.end);
            debug_assert_eq!(unmapped, Ok(()));
        }
        self.mm
            .machine
            .event(EventKind::Map, to, what.new_len >> PAGE_SHIFT);
        if new.flags.contains(VmFlags::LOCKED) {
            self.populate_what_goes(to + what.old_len, to + what.new_len);
        }
        Ok(to)
    }

    /// The new area with the pages of the old one, which is an area of its own then. None, and all
    /// is as before, for want of memory.
    fn move_with(
        &mut self,
        object: VmaObject,
        old: Range<u64>,
        to: u64,
        new_len: u64,
    ) -> Option<Area> {
        let area = self.tree().find(old.start).map(Area::of);
        let Some(area) = area else {
            self.areas().free(object);
            return None;
        };
        if !old.is_empty() && self.isolate(&area, &old).is_err() {
            self.areas().free(object);
            return None;
        }
        let skipped = ((old.start - area.start) >> PAGE_SHIFT) as i64;
        let new = Area {
            start: to,
            end: to + new_len,
            backing: area.backing.advanced(skipped),
            ..area
        };
        let below = self
            .tree()
            .before(to)
            .map_or(0, |below| Area::of(below).end);
        let above = self
            .tree()
            .find_vma(to)
            .map_or(TABLES_END, |above| above.start.load(Relaxed));
        self.count_area(&new, 1);
        self.link(&new, object);
        if self.make_nodes(old.clone(), to).is_err() {
            let mut gather = TlbGather::new(self.mm);
            self.tables()
                .free_nodes(to..to + new_len, &(below..above), &mut gather);
            gather.finish();
            self.count_area(&new, -1);
            self.unlink(to);
            self.merge_at(old.start);
            return None;
        }
        self.move_entries(old, to);
        self.merge_at(to);
        Some(new)
    }

    /// Makes the nodes that the entries of a range need elsewhere.
    fn make_nodes(&self, from: Range<u64>, to: u64) -> Result<(), AllocError> {
        let tables = self.tables();
        let mut result = Ok(());
        tables.for_each_node(from.start, from.end, |address, entries| {
            for (page, entry) in entries.iter().enumerate() {
                if result.is_ok() && entry.load(Relaxed) != 0 {
                    let at = address + ((page as u64) << PAGE_SHIFT);
                    result = tables.walk_alloc(to + (at - from.start)).map(drop);
                }
            }
        });
        result
    }

    /// Moves the entries of a range to where there are nodes for them.
    fn move_entries(&self, from: Range<u64>, to: u64) {
        let tables = self.tables();
        let mut gather = TlbGather::new(self.mm);
        tables.for_each_node(from.start, from.end, |address, entries| {
            for (page, entry) in entries.iter().enumerate() {
                let pte = Pte(entry.load(Relaxed));
                if pte.is_none() {
                    continue;
                }
                let at = address + ((page as u64) << PAGE_SHIFT);
                if let Some(target) = tables.walk(to + (at - from.start)) {
                    entry.store(0, Relaxed);
                    target.store(pte.0, Relaxed);
                    gather.change(at);
                }
            }
        });
        gather.finish();
    }
}
