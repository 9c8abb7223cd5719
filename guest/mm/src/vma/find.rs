//! Searches by address.

use super::{VmaMemory, VmaTree};
use core::{hint::select_unpredictable, iter::FusedIterator, sync::atomic::Ordering::Relaxed};
use pagelab_abi::vma::Vma;

impl<'r, M: VmaMemory> VmaTree<'r, M> {
    /// The first area that ends above `address`, 0 if there is none.
    ///
    /// Which way a search turns cannot be predicted, so nothing is jumped to; and going on to a
    /// leaf costs less than a jump out at the right node.
    #[inline]
    pub(super) fn first_above(&self, address: u64) -> u64 {
        let (mut node, mut found) = (self.top(), 0);
        while node != 0 {
            let vma = self.node(node);
            let (left, right) = (vma.left.load(Relaxed), vma.right.load(Relaxed));
            let above = vma.end.load(Relaxed) > address;
            found = select_unpredictable(above, node, found);
            node = select_unpredictable(above, left, right);
        }
        found
    }

    fn get(&self, node: u64) -> Option<&Vma> {
        (node != 0).then(|| self.node(node))
    }

    /// The area that contains `address`.
    #[inline]
    pub fn find(&self, address: u64) -> Option<&Vma> {
        self.find_vma(address)
            .filter(|vma| vma.start.load(Relaxed) <= address)
    }

    /// The first area that ends above `address` (Linux: `find_vma`). It need not contain it.
    #[inline]
    pub fn find_vma(&self, address: u64) -> Option<&Vma> {
        self.get(self.first_above(address))
    }

    /// As [`Self::find_vma`], for faults: they often come one after the other in one area, which is
    /// remembered.
    #[inline(always)]
    pub fn find_vma_again(&self, address: u64) -> Option<&Vma> {
        let cache = &self.root.cache;
        if let Some(vma) = self.get(cache.load(Relaxed))
            && vma.start.load(Relaxed) <= address
            && address < vma.end.load(Relaxed)
        {
            return Some(vma);
        }
        let node = self.first_above(address);
        cache.store(node, Relaxed);
        self.get(node)
    }

    /// The last area that ends at `address` or below.
    pub fn before(&self, address: u64) -> Option<&Vma> {
        let next = self.first_above(address);
        let prev = if next == 0 {
            &self.root.last
        } else {
            &self.node(next).prev
        };
        self.get(prev.load(Relaxed))
    }

    /// The first area with a page in `start..end` (Linux: `find_vma_intersection`).
    #[inline]
    pub fn find_intersection(&self, start: u64, end: u64) -> Option<&Vma> {
        self.find_vma(start)
            .filter(|vma| vma.start.load(Relaxed) < end)
    }

    /// The link of the area that contains `address`.
    pub(super) fn containing(&self, address: u64) -> Option<u64> {
        let node = self.first_above(address);
        (node != 0 && self.node(node).start.load(Relaxed) <= address).then_some(node)
    }

    /// All areas in the order of their addresses.
    pub fn iter(&self) -> Iter<'_, 'r, M> {
        self.iter_from(0)
    }

    /// The areas that end above `address`, in order.
    pub fn iter_from(&self, address: u64) -> Iter<'_, 'r, M> {
        Iter {
            tree: self,
            next: self.first_above(address),
        }
    }
}

/// Areas in the order of their addresses.
#[derive(Debug)]
pub struct Iter<'t, 'r, M> {
    tree: &'t VmaTree<'r, M>,
    next: u64,
}

impl<'t, M: VmaMemory> Iterator for Iter<'t, '_, M> {
    type Item = &'t Vma;

    fn next(&mut self) -> Option<&'t Vma> {
        let vma = self.tree.get(self.next)?;
        self.next = vma.next.load(Relaxed);
        Some(vma)
    }
}

impl<M: VmaMemory> FusedIterator for Iter<'_, '_, M> {}

impl<'t, 'r, M: VmaMemory> IntoIterator for &'t VmaTree<'r, M> {
    type Item = &'t Vma;
    type IntoIter = Iter<'t, 'r, M>;

    fn into_iter(self) -> Iter<'t, 'r, M> {
        self.iter()
    }
}
