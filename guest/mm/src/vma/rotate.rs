//! Moves of nodes that keep their order.

use super::{VmaMemory, VmaTree, node::Side};
use core::sync::atomic::Ordering::Relaxed;

impl<M: VmaMemory> VmaTree<'_, M> {
    /// Puts `new`, which may be 0, where `old` hangs.
    pub(super) fn replace(&mut self, old: u64, new: u64) {
        let parent = self.parent(old);
        if parent == 0 {
            self.root.root.store(new, Relaxed);
        } else {
            let side = self.side_of(old, parent);
            self.set_child(parent, side, new);
        }
        if new != 0 {
            self.set_parent(new, parent);
        }
    }

    /// Moves a node down to `side`, and its child of the other side up in its place.
    pub(super) fn rotate(&mut self, node: u64, side: Side) {
        let up = self.child(node, side.other());
        let inner = self.child(up, side);
        self.replace(node, up);
        self.set_child(node, side.other(), inner);
        if inner != 0 {
            self.set_parent(inner, node);
        }
        self.set_child(up, side, node);
        self.set_parent(node, up);
        // The one above now covers what the other did.
        let gap = self.subtree_gap(node);
        self.node(up).subtree_gap.store(gap, Relaxed);
        self.update_gap(node);
    }
}
