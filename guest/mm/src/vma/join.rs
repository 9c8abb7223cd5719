//! One area becomes two, and two become one.

use super::{Area, Rejected, VmaError, VmaMemory, VmaObject, VmaTree, area::check_aligned};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{PAGE_SHIFT, vma::VmFlags};

impl<M: VmaMemory> VmaTree<'_, M> {
    /// Splits the area that contains `address` there. The upper part goes into `object`.
    ///
    /// # Errors
    /// The object, with [`VmaError::NotAligned`], `NotMapped`, or `Boundary`.
    pub fn split(&mut self, address: u64, object: VmaObject) -> Result<(), Rejected> {
        match self.divisible(address) {
            Ok(node) => {
                self.divide(node, address, object);
                Ok(())
            }
            Err(error) => Err(Rejected { error, object }),
        }
    }

    fn divisible(&self, address: u64) -> Result<u64, VmaError> {
        check_aligned(address)?;
        let node = self.mapped(address)?;
        if self.node(node).start.load(Relaxed) == address {
            return Err(VmaError::Boundary { address });
        }
        Ok(node)
    }

    fn divide(&mut self, node: u64, address: u64, object: VmaObject) {
        let vma = self.node(node);
        let lower = Area::of(vma);
        let next = vma.next.load(Relaxed);
        vma.end.store(address, Relaxed);
        let pages = (address - lower.start) >> PAGE_SHIFT;
        let upper = Area {
            start: address,
            backing: lower.backing.advanced(pages as i64),
            ..lower
        };
        self.put(object, &upper, next);
    }

    /// Makes the area that contains `address` one with its neighbours, as far as [`Area::can_merge`]
    /// allows, and returns the objects that are not needed any more: that of the upper neighbour,
    /// and that of the area itself if the lower one took it in.
    ///
    /// # Errors
    /// [`VmaError::NotMapped`].
    pub fn merge(&mut self, address: u64) -> Result<[Option<VmaObject>; 2], VmaError> {
        let node = self.mapped(address)?;
        let upper = self.merge_next(node);
        let own = match self.node(node).prev.load(Relaxed) {
            0 => None,
            prev => self.merge_next(prev),
        };
        Ok([upper, own])
    }

    /// Lets an area take in the next one, if it can.
    fn merge_next(&mut self, node: u64) -> Option<VmaObject> {
        let vma = self.node(node);
        let next = vma.next.load(Relaxed);
        if next == 0 {
            return None;
        }
        let (mut area, other) = (Area::of(vma), Area::of(self.node(next)));
        if !area.can_merge(&other) {
            return None;
        }
        area.end = other.end;
        area.flags |= other.flags & VmFlags::SOFTDIRTY;
        // First, so that what follows `next` finds its gap unchanged.
        area.store(vma);
        Some(self.take(next))
    }
}
