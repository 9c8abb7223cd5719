//! A node leaves the tree.

use super::{VmaMemory, VmaTree, node::Side};
use core::sync::atomic::Ordering::Relaxed;

impl<M: VmaMemory> VmaTree<'_, M> {
    /// Takes a node out of list and tree.
    pub(super) fn unlink(&mut self, node: u64) {
        let vma = self.node(node);
        let (prev, next) = (vma.prev.load(Relaxed), vma.next.load(Relaxed));
        let cache = &self.root.cache;
        if cache.load(Relaxed) == node {
            cache.store(0, Relaxed);
        }
        self.set_next(prev, next);
        self.set_prev(next, prev);
        let count = &self.root.count;
        count.store(count.load(Relaxed) - 1, Relaxed);

        let left = self.child(node, Side::Left);
        let right = self.child(node, Side::Right);
        let (lost_black, parent, side);
        if left != 0 && right != 0 {
            // `next` is the lowest below `right` and takes the node's place and colour.
            let orphan = self.child(next, Side::Right);
            lost_black = self.is_black(next);
            if next == right {
                (parent, side) = (next, Side::Right);
            } else {
                (parent, side) = (self.parent(next), Side::Left);
                self.replace(next, orphan);
                self.adopt(next, Side::Right, right);
            }
            self.replace(node, next);
            self.adopt(next, Side::Left, left);
            let black = self.is_black(node);
            self.set_black(next, black);
        } else {
            lost_black = self.is_black(node);
            parent = self.parent(node);
            side = if parent == 0 {
                Side::Left
            } else {
                self.side_of(node, parent)
            };
            self.replace(node, if left != 0 { left } else { right });
        }
        self.refresh_gaps(parent);
        self.refresh_gaps(next);
        if lost_black {
            self.balance_after_unlink(parent, side);
        }
    }

    fn adopt(&mut self, parent: u64, side: Side, child: u64) {
        self.set_child(parent, side, child);
        self.set_parent(child, parent);
    }

    /// The paths through the child at `side` of `parent` (the root if that is 0) lack a black node.
    fn balance_after_unlink(&mut self, mut parent: u64, mut side: Side) {
        while parent != 0 {
            let node = self.child(parent, side);
            if !self.is_black(node) {
                self.set_black(node, true);
                return;
            }
            // There is a sibling: the paths through it have a black node more.
            let mut sibling = self.child(parent, side.other());
            if !self.is_black(sibling) {
                self.set_black(sibling, true);
                self.set_black(parent, false);
                self.rotate(parent, side);
                sibling = self.child(parent, side.other());
            }
            let near = self.child(sibling, side);
            let far = self.child(sibling, side.other());
            if self.is_black(near) && self.is_black(far) {
                self.set_black(sibling, false);
                let node = parent;
                parent = self.parent(node);
                if parent == 0 {
                    self.set_black(node, true);
                    return;
                }
                side = self.side_of(node, parent);
                continue;
            }
            if self.is_black(far) {
                self.set_black(near, true);
                self.set_black(sibling, false);
                self.rotate(sibling, side.other());
                sibling = near;
            }
            let black = self.is_black(parent);
            self.set_black(sibling, black);
            self.set_black(parent, true);
            let far = self.child(sibling, side.other());
            self.set_black(far, true);
            self.rotate(parent, side);
            return;
        }
        let top = self.top();
        if top != 0 {
            self.set_black(top, true);
        }
    }
}
