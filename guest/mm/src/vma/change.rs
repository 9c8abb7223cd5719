//! Areas come, go, and change their bounds and rights.

use super::{Area, Rejected, VmaError, VmaMemory, VmaObject, VmaTree, area::check_range};
use core::{num::NonZero, sync::atomic::Ordering::Relaxed};
use pagelab_abi::vma::VmFlags;

impl<M: VmaMemory> VmaTree<'_, M> {
    /// Puts an area into the tree, in an object of its memory. Neighbours are left alone: see
    /// [`Self::merge`].
    ///
    /// # Errors
    /// The object, with [`VmaError::Empty`], `NotAligned`, `NoFile`, `BeyondRange` or `Overlap`.
    pub fn insert(&mut self, object: VmaObject, area: &Area) -> Result<(), Rejected> {
        match self.place(area) {
            Ok(next) => {
                self.put(object, area, next);
                Ok(())
            }
            Err(error) => Err(Rejected { error, object }),
        }
    }

    /// Writes an area into an object and links that in.
    pub(super) fn put(&mut self, object: VmaObject, area: &Area, next: u64) {
        area.store(self.node(object.gpa()));
        self.link(object.gpa(), next);
    }

    /// The area before which a new one belongs.
    fn place(&self, area: &Area) -> Result<u64, VmaError> {
        area.check()?;
        self.check_bounds(area.start, area.end)?;
        let next = self.first_above(area.start);
        self.check_free(next, area.end)?;
        Ok(next)
    }

    fn check_bounds(&self, start: u64, end: u64) -> Result<(), VmaError> {
        let (low, high) = (self.root.start.load(Relaxed), self.root.end.load(Relaxed));
        if start < low || end > high {
            return Err(VmaError::BeyondRange {
                start: low,
                end: high,
            });
        }
        Ok(())
    }

    /// Whether `next`, if there is one, starts at `end` or above.
    fn check_free(&self, next: u64, end: u64) -> Result<(), VmaError> {
        if next != 0 && self.node(next).start.load(Relaxed) < end {
            return Err(self.overlap(next));
        }
        Ok(())
    }

    fn overlap(&self, node: u64) -> VmaError {
        let vma = self.node(node);
        VmaError::Overlap {
            start: vma.start.load(Relaxed),
            end: vma.end.load(Relaxed),
        }
    }

    /// The area that contains `address`, as a link.
    pub(super) fn mapped(&self, address: u64) -> Result<u64, VmaError> {
        self.containing(address)
            .ok_or(VmaError::NotMapped { address })
    }

    /// Takes the area that contains `address` out of the tree.
    ///
    /// # Errors
    /// [`VmaError::NotMapped`].
    pub fn remove(&mut self, address: u64) -> Result<(Area, VmaObject), VmaError> {
        let node = self.mapped(address)?;
        let area = Area::of(self.node(node));
        Ok((area, self.take(node)))
    }

    /// Takes the lowest area out of the tree, as long as there is one: the end of an address space.
    pub fn pop_first(&mut self) -> Option<(Area, VmaObject)> {
        let node = NonZero::new(self.root.first.load(Relaxed))?;
        let area = Area::of(self.node(node.get()));
        Some((area, self.take(node.get())))
    }

    /// Unlinks an area and hands out its object.
    pub(super) fn take(&mut self, node: u64) -> VmaObject {
        self.unlink(node);
        let gpa = NonZero::new(node).expect("a node is not at address 0");
        // SAFETY: the tree took the value for this object and forgets the object here.
        unsafe { VmaObject::from_gpa(gpa) }
    }

    /// Gives the area that contains `address` new bounds, as brk, mremap and the growth of a stack
    /// do. Its pages keep their place in the backing.
    ///
    /// # Errors
    /// [`VmaError`], `Overlap` if another area is in the way, be it between the old place and the new.
    pub fn resize(&mut self, address: u64, start: u64, end: u64) -> Result<(), VmaError> {
        check_range(start, end)?;
        self.check_bounds(start, end)?;
        let node = self.mapped(address)?;
        let vma = self.node(node);
        let (prev, next) = (vma.prev.load(Relaxed), vma.next.load(Relaxed));
        if prev != 0 && self.node(prev).end.load(Relaxed) > start {
            return Err(self.overlap(prev));
        }
        self.check_free(next, end)?;
        let mut area = Area::of(vma);
        area.backing = area.backing.advanced(page_steps(area.start, start));
        (area.start, area.end) = (start, end);
        area.store(vma);
        self.propagate_gap(node);
        self.propagate_gap(next);
        Ok(())
    }

    /// Changes the flags of the whole area that contains `address`, as mprotect, mlock and madvise
    /// do after they split it where needed.
    ///
    /// # Errors
    /// [`VmaError::NotMapped`].
    pub fn set_flags(&mut self, address: u64, flags: VmFlags) -> Result<(), VmaError> {
        let node = self.mapped(address)?;
        self.node(node).flags.store(flags.bits(), Relaxed);
        // GROWSDOWN may be among what changed.
        self.propagate_gap(node);
        Ok(())
    }
}

/// Pages from one page-aligned address to another.
const fn page_steps(from: u64, to: u64) -> i64 {
    (to.wrapping_sub(from) as i64) >> pagelab_abi::PAGE_SHIFT
}
