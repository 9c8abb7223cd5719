//! A node comes into the tree.

use super::{VmaMemory, VmaTree, node::Side};
use core::sync::atomic::Ordering::Relaxed;

impl<M: VmaMemory> VmaTree<'_, M> {
    /// Links a node, whose area is written, in before `next`, or as the last one if that is 0.
    pub(super) fn link(&mut self, node: u64, next: u64) {
        let prev = self.link_list(node, next);
        // In the order, a node's neighbour is its parent: one of the two places is free.
        let (parent, side) = if next != 0 && self.child(next, Side::Left) == 0 {
            (next, Side::Left)
        } else {
            (prev, Side::Right)
        };
        for side in [Side::Left, Side::Right] {
            self.set_child(node, side, 0);
        }
        // Red.
        self.node(node).parent.store(parent, Relaxed);
        if parent == 0 {
            self.root.root.store(node, Relaxed);
        } else {
            self.set_child(parent, side, node);
        }
        let count = &self.root.count;
        count.store(count.load(Relaxed) + 1, Relaxed);
        self.refresh_gaps(node);
        self.propagate_gap(next);
        self.balance_after_link(node);
    }

    /// Links a node into the list before `next`, and returns the one before it.
    fn link_list(&mut self, node: u64, next: u64) -> u64 {
        let prev = if next == 0 {
            self.root.last.load(Relaxed)
        } else {
            self.node(next).prev.load(Relaxed)
        };
        let vma = self.node(node);
        vma.prev.store(prev, Relaxed);
        vma.next.store(next, Relaxed);
        self.set_next(prev, node);
        self.set_prev(next, node);
        prev
    }

    /// What comes after `node`, or first if that is 0.
    pub(super) fn set_next(&mut self, node: u64, next: u64) {
        if node == 0 {
            self.root.first.store(next, Relaxed);
        } else {
            self.node(node).next.store(next, Relaxed);
        }
    }

    /// What comes before `node`, or last if that is 0.
    pub(super) fn set_prev(&mut self, node: u64, prev: u64) {
        if node == 0 {
            self.root.last.store(prev, Relaxed);
        } else {
            self.node(node).prev.store(prev, Relaxed);
        }
    }

    /// `node` is red, and its parent may be.
    fn balance_after_link(&mut self, mut node: u64) {
        loop {
            let mut parent = self.parent(node);
            if parent == 0 {
                self.set_black(node, true);
                return;
            }
            if self.is_black(parent) {
                return;
            }
            // The root is black, so a red parent has one itself.
            let grandparent = self.parent(parent);
            let side = self.side_of(parent, grandparent);
            let uncle = self.child(grandparent, side.other());
            if !self.is_black(uncle) {
                self.set_black(parent, true);
                self.set_black(uncle, true);
                self.set_black(grandparent, false);
                node = grandparent;
                continue;
            }
            if self.side_of(node, parent) != side {
                self.rotate(parent, side);
                parent = node;
            }
            self.set_black(parent, true);
            self.set_black(grandparent, false);
            self.rotate(grandparent, side.other());
            return;
        }
    }
}
