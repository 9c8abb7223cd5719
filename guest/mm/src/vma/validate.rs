//! The oracle: everything that must hold of a tree.

use super::{
    VmaMemory, VmaTree,
    area::{Area, check_range},
    node::Side,
};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::vma::Vma;

/// Deeper than a red-black tree of 2^60 nodes can be, twice the logarithm.
const MAX_DEPTH: u32 = 120;

/// One thing that is wrong, with the start of the area at which it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Bounds that no area has.
    Bounds(u64),
    /// Outside the address space.
    BeyondRange(u64),
    /// Begins before the area before it ends.
    Order(u64),
    /// The list does not lead where the tree's order does.
    List(u64),
    /// A child's parent link leads elsewhere.
    Parent(u64),
    /// A red node with a red parent, or a red root.
    Red(u64),
    /// More black nodes on one side than on the other.
    BlackHeight(u64),
    /// The tree is deeper than any balanced one.
    Depth(u64),
    /// The largest gap is not what it should be.
    Gap(u64),
    /// The number of areas is not what is counted.
    Count(u64),
    /// What is remembered of the last fault is no area of the tree.
    Cache(u64),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, at) = match *self {
            Self::Bounds(at) => ("empty or not page-aligned", at),
            Self::BeyondRange(at) => ("outside the address space", at),
            Self::Order(at) => ("overlaps the area before it, or stands behind it", at),
            Self::List(at) => ("wrong neighbour in the list", at),
            Self::Parent(at) => ("wrong parent", at),
            Self::Red(at) => ("red below red", at),
            Self::BlackHeight(at) => ("unequal black heights", at),
            Self::Depth(at) => ("too deep", at),
            Self::Gap(at) => ("wrong largest gap", at),
            Self::Cache(node) => {
                return write!(
                    f,
                    "the object at {node:#x} is remembered, and not in the tree"
                );
            }
            Self::Count(count) => return write!(f, "{count} areas counted, not as many found"),
        };
        write!(f, "area at {at:#x}: {what}")
    }
}

/// What the walk has seen.
struct Walk {
    /// The last node, 0 before the first.
    prev: u64,
    /// Where that one ends.
    end: u64,
    /// Nodes.
    seen: u64,
    /// The remembered area is 0, or among them.
    cache_seen: bool,
}

impl<M: VmaMemory> VmaTree<'_, M> {
    /// Checks order, balance, gaps and links. For tests: it goes through all areas.
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check_invariants(&self) -> Result<(), Violation> {
        let mut walk = Walk {
            prev: 0,
            end: 0,
            seen: 0,
            cache_seen: self.root.cache.load(Relaxed) == 0,
        };
        self.check_subtree(self.top(), 0, 0, &mut walk)?;
        if self.root.last.load(Relaxed) != walk.prev {
            return Err(Violation::List(walk.end));
        }
        // The walk ends early if it finds more.
        if walk.seen != self.len() {
            return Err(Violation::Count(self.len()));
        }
        if !walk.cache_seen {
            return Err(Violation::Cache(self.root.cache.load(Relaxed)));
        }
        match walk.prev {
            0 if self.root.first.load(Relaxed) != 0 => Err(Violation::List(0)),
            0 => Ok(()),
            last if self.node(last).next.load(Relaxed) != 0 => Err(Violation::List(walk.end)),
            _ => Ok(()),
        }
    }

    /// Checks the nodes from here on down, in order, and returns the black ones on each path.
    fn check_subtree(
        &self,
        node: u64,
        parent: u64,
        depth: u32,
        walk: &mut Walk,
    ) -> Result<u32, Violation> {
        if node == 0 {
            return Ok(0);
        }
        let start = self.node(node).start.load(Relaxed);
        if depth > MAX_DEPTH {
            return Err(Violation::Depth(start));
        }
        if self.parent(node) != parent {
            return Err(Violation::Parent(start));
        }
        if !self.is_black(node) && (parent == 0 || !self.is_black(parent)) {
            return Err(Violation::Red(start));
        }
        let left = self.check_subtree(self.child(node, Side::Left), node, depth + 1, walk)?;
        self.check_visit(node, self.node(node), walk)?;
        let right = self.check_subtree(self.child(node, Side::Right), node, depth + 1, walk)?;
        if left != right {
            return Err(Violation::BlackHeight(start));
        }
        if self.subtree_gap(node) != self.computed_gap(node) {
            return Err(Violation::Gap(start));
        }
        Ok(left + u32::from(self.is_black(node)))
    }

    /// Checks a node against the one before it.
    fn check_visit(&self, node: u64, vma: &Vma, walk: &mut Walk) -> Result<(), Violation> {
        walk.seen += 1;
        if walk.seen > self.len() {
            return Err(Violation::Count(self.len()));
        }
        let Area { start, end, .. } = Area::of(vma);
        check_range(start, end).map_err(|_| Violation::Bounds(start))?;
        if start < self.root.start.load(Relaxed) || end > self.root.end.load(Relaxed) {
            return Err(Violation::BeyondRange(start));
        }
        if start < walk.end {
            return Err(Violation::Order(start));
        }
        let from_prev = match walk.prev {
            0 => &self.root.first,
            prev => &self.node(prev).next,
        };
        if from_prev.load(Relaxed) != node || vma.prev.load(Relaxed) != walk.prev {
            return Err(Violation::List(start));
        }
        walk.cache_seen |= self.root.cache.load(Relaxed) == node;
        (walk.prev, walk.end) = (node, end);
        Ok(())
    }
}
