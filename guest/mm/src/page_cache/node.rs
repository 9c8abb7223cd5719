//! Nodes as objects, one at a time or in a chain through their `parent`.

use super::PageCache;
use crate::{AllocError, Mm, machine::Machine, slab::Slab};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use pagelab_abi::{
    gfp::Gfp,
    page_cache::{MAP_SIZE, NR_TAGS, RadixTreeNode, pack_place},
};

/// Flags of a request for a page that a request for a node on its behalf has as well: a node is
/// the kernel's own, in the direct map.
const NODE_FLAGS: Gfp = Gfp::RECLAIM
    .union(Gfp::HIGH)
    .union(Gfp::NORETRY)
    .union(Gfp::NOFAIL)
    .union(Gfp::NOWARN)
    .union(Gfp::MEMALLOC)
    .union(Gfp::NOMEMALLOC);

/// Nodes that are in no tree. They leak unless they are given to [`Mm::free_nodes`].
#[must_use = "the nodes leak unless they are freed"]
#[derive(Debug, Default)]
pub(super) struct Nodes {
    first: u64,
    count: u32,
}

impl Nodes {
    /// None.
    pub(super) const fn new() -> Self {
        Self { first: 0, count: 0 }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> u32 {
        self.count
    }

    /// Adds a node that is in no tree and in no chain.
    pub(super) fn push<M: Machine + 'static>(&mut self, mm: &Mm<M>, node: u64) {
        mm.node(node).parent.store(self.first, Relaxed);
        self.first = node;
        self.count += 1;
    }

    /// Takes one out.
    pub(super) fn pop<M: Machine + 'static>(&mut self, mm: &Mm<M>) -> Option<u64> {
        if self.first == 0 {
            return None;
        }
        let node = self.first;
        self.first = mm.node(node).parent.load(Relaxed);
        self.count -= 1;
        Some(node)
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// The node at a link, not 0, of a live tree or of a chain.
    #[inline(always)]
    pub(super) fn node(&self, gpa: u64) -> &RadixTreeNode {
        debug_assert_ne!(gpa, 0);
        // SAFETY: links lead to objects that `alloc_nodes` wrote and `free_nodes` has not freed,
        // and all that changes in them is atomic.
        unsafe { self.slab().object(gpa).cast().as_ref() }
    }

    /// Adds empty nodes to a chain until it has `count`, for a page asked for with `gfp`. What is in
    /// the chain stays there if that fails.
    pub(super) fn alloc_nodes(
        &self,
        nodes: &mut Nodes,
        count: u32,
        gfp: Gfp,
    ) -> Result<(), AllocError> {
        let slab: Slab<'_, Self> = self.slab();
        let PageCache { nodes: cache, .. } = self.page_cache();
        while nodes.len() < count {
            let object = slab
                .kmem_cache_alloc(cache, gfp & NODE_FLAGS)
                .map_err(|_| AllocError::NoMemory)?;
            let node = RadixTreeNode {
                parent: AtomicU64::new(0),
                shift: AtomicU32::new(0),
                place: AtomicU32::new(pack_place(0, 0)),
                slots: [const { AtomicU64::new(0) }; MAP_SIZE],
                tags: [const { AtomicU64::new(0) }; NR_TAGS],
            };
            // SAFETY: the object has the size and alignment of a node and is this function's.
            unsafe { object.cast().write(node) };
            nodes.push(self, slab.physical(object));
        }
        Ok(())
    }

    /// Frees a chain.
    pub(super) fn free_nodes(&self, mut nodes: Nodes) {
        while let Some(node) = nodes.pop(self) {
            let slab = self.slab();
            // SAFETY: it came from this cache and is in no tree.
            unsafe { slab.kmem_cache_free(&self.page_cache().nodes, slab.object(node)) };
        }
    }
}
