//! Nodes, their links, colours and gaps.

use super::{VmaMemory, VmaTree, area::start_gap};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::vma::{BLACK, Vma};

/// One of a node's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Lower addresses.
    Left,
    /// Higher addresses.
    Right,
}

impl Side {
    /// The other one.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// The link to a child.
fn link(vma: &Vma, side: Side) -> &AtomicU64 {
    match side {
        Side::Left => &vma.left,
        Side::Right => &vma.right,
    }
}

impl<M: VmaMemory> VmaTree<'_, M> {
    /// The area that a link, not 0, leads to.
    #[inline(always)]
    pub(super) fn node(&self, gpa: u64) -> &Vma {
        debug_assert_ne!(gpa, 0);
        // SAFETY: links come from `VmaObject`s that the tree took and has not given back, and the
        // tree's functions take links out of the tree or its new objects only.
        unsafe { self.memory.vma(gpa) }
    }

    /// The root, 0 in an empty tree.
    #[inline(always)]
    pub(super) fn top(&self) -> u64 {
        self.root.root.load(Relaxed)
    }

    pub(super) fn child(&self, node: u64, side: Side) -> u64 {
        link(self.node(node), side).load(Relaxed)
    }

    pub(super) fn set_child(&mut self, node: u64, side: Side, child: u64) {
        link(self.node(node), side).store(child, Relaxed);
    }

    pub(super) fn parent(&self, node: u64) -> u64 {
        self.node(node).parent.load(Relaxed) & !BLACK
    }

    /// Changes the parent. The colour stays.
    pub(super) fn set_parent(&mut self, node: u64, parent: u64) {
        let word = &self.node(node).parent;
        word.store(parent | (word.load(Relaxed) & BLACK), Relaxed);
    }

    /// Whether a node is black, as missing ones are.
    pub(super) fn is_black(&self, node: u64) -> bool {
        node == 0 || self.node(node).parent.load(Relaxed) & BLACK != 0
    }

    pub(super) fn set_black(&mut self, node: u64, black: bool) {
        let word = &self.node(node).parent;
        word.store((word.load(Relaxed) & !BLACK) | u64::from(black), Relaxed);
    }

    /// Which child of `parent` the node is.
    pub(super) fn side_of(&self, node: u64, parent: u64) -> Side {
        if self.child(parent, Side::Left) == node {
            Side::Left
        } else {
            Side::Right
        }
    }

    /// End of the area before this one, or the start of the address space.
    pub(super) fn prev_end(&self, vma: &Vma) -> u64 {
        match vma.prev.load(Relaxed) {
            0 => self.root.start.load(Relaxed),
            prev => self.node(prev).end.load(Relaxed),
        }
    }

    /// Bytes of the gap below an area.
    pub(super) fn own_gap(&self, node: u64) -> u64 {
        let vma = self.node(node);
        start_gap(vma).saturating_sub(self.prev_end(vma))
    }

    /// Largest gap of a node and those below it, 0 for none.
    pub(super) fn subtree_gap(&self, node: u64) -> u64 {
        if node == 0 {
            0
        } else {
            self.node(node).subtree_gap.load(Relaxed)
        }
    }

    /// What [`Self::subtree_gap`] must be, if it is right for the children.
    pub(super) fn computed_gap(&self, node: u64) -> u64 {
        self.own_gap(node)
            .max(self.subtree_gap(self.child(node, Side::Left)))
            .max(self.subtree_gap(self.child(node, Side::Right)))
    }

    /// Computes a node's largest gap anew. True if it changed.
    pub(super) fn update_gap(&mut self, node: u64) -> bool {
        let gap = self.computed_gap(node);
        let word = &self.node(node).subtree_gap;
        let changed = word.load(Relaxed) != gap;
        word.store(gap, Relaxed);
        changed
    }

    /// After a node's own gap changed: it and those above it, as far as the change goes.
    pub(super) fn propagate_gap(&mut self, mut node: u64) {
        while node != 0 && self.update_gap(node) {
            node = self.parent(node);
        }
    }

    /// After nodes moved: all from this one to the root.
    pub(super) fn refresh_gaps(&mut self, mut node: u64) {
        while node != 0 {
            self.update_gap(node);
            node = self.parent(node);
        }
    }
}
