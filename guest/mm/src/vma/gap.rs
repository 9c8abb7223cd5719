//! The search for free room (Linux until 6.0, mm/mmap.c: `unmapped_area_topdown`).

use super::{VmaError, VmaMemory, VmaTree, area::start_gap, node::Side};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::PAGE_SIZE;

/// Which room to prefer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The highest.
    TopDown,
    /// The lowest.
    BottomUp,
}

/// What room is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapRequest {
    /// Bytes, a multiple of the page size.
    pub len: u64,
    /// Alignment, a power of two of at least the page size.
    pub align: u64,
    /// Lowest address, page-aligned.
    pub low: u64,
    /// First address that is too high, page-aligned.
    pub high: u64,
    /// Which end of the bounds to begin at.
    pub direction: Direction,
}

impl<M: VmaMemory> VmaTree<'_, M> {
    /// Start of free room of `len` bytes between `low` and `high`, in time of the tree's depth. No
    /// room is below an area that grows down, up to the guard gap. As in Linux, a gap is taken only
    /// if it has the room whatever its own alignment: `len + align - PAGE_SIZE` bytes.
    ///
    /// # Errors
    /// [`VmaError::Empty`] or [`VmaError::NotAligned`] for what is not a legal request.
    pub fn find_gap(&self, request: &GapRequest) -> Result<Option<u64>, VmaError> {
        let GapRequest { len, align, .. } = *request;
        for value in [len, align, request.low, request.high] {
            super::area::check_aligned(value)?;
        }
        if !align.is_power_of_two() {
            return Err(VmaError::NotAligned { address: align });
        }
        if len == 0 {
            return Err(VmaError::Empty { start: 0, end: 0 });
        }
        let low = request.low.max(self.root.start.load(Relaxed));
        let high = request.high.min(self.root.end.load(Relaxed));
        let Some(need) = len.checked_add(align - PAGE_SIZE) else {
            return Ok(None);
        };
        let search = Search {
            tree: self,
            need,
            low,
            high,
        };
        Ok(match request.direction {
            Direction::TopDown => search
                .behind_the_last()
                .or_else(|| search.scan(Side::Right))
                .map(|(_, end)| (end - len) & !(align - 1)),
            Direction::BottomUp => search
                .scan(Side::Left)
                .or_else(|| search.behind_the_last())
                .map(|(start, _)| (start + (align - 1)) & !(align - 1)),
        })
    }
}

/// A search under way.
struct Search<'t, 'r, M> {
    tree: &'t VmaTree<'r, M>,
    need: u64,
    low: u64,
    high: u64,
}

impl<M: VmaMemory> Search<'_, '_, M> {
    /// A gap cut to the bounds, if it is large enough.
    fn cut(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let (start, end) = (start.max(self.low), end.min(self.high));
        (end.saturating_sub(start) >= self.need).then_some((start, end))
    }

    /// The room above all areas.
    fn behind_the_last(&self) -> Option<(u64, u64)> {
        let root = &self.tree.root;
        let start = match root.last.load(Relaxed) {
            0 => root.start.load(Relaxed),
            last => self.tree.node(last).end.load(Relaxed),
        };
        self.cut(start, root.end.load(Relaxed))
    }

    /// The gap below an area.
    fn below(&self, node: u64) -> Option<(u64, u64)> {
        let vma = self.tree.node(node);
        self.cut(self.tree.prev_end(vma), start_gap(vma))
    }

    /// Whether gaps to this side of a node can lie within the bounds.
    fn reaches(&self, node: u64, side: Side) -> bool {
        let vma = self.tree.node(node);
        match side {
            // All start at the node's end or above.
            Side::Right => self.within(vma.end.load(Relaxed), self.high),
            // All end at the start of the area before, or below.
            Side::Left => match vma.prev.load(Relaxed) {
                0 => false,
                prev => self.within(self.low, self.tree.node(prev).start.load(Relaxed)),
            },
        }
    }

    fn within(&self, start: u64, end: u64) -> bool {
        end.checked_sub(start).is_some_and(|room| room >= self.need)
    }

    fn worth(&self, node: u64) -> bool {
        self.tree.subtree_gap(node) >= self.need
    }

    /// The gaps below areas, those to `side` first. A subtree inside the bounds with a large enough
    /// gap is never entered in vain, and of those that a bound cuts there is one at each depth.
    fn scan(&self, side: Side) -> Option<(u64, u64)> {
        let tree = self.tree;
        let mut node = tree.top();
        if !self.worth(node) {
            return None;
        }
        loop {
            let first = tree.child(node, side);
            if self.worth(first) && self.reaches(node, side) {
                node = first;
                continue;
            }
            // This one, then its other side, then up to where the other side is still to do.
            loop {
                if let Some(gap) = self.below(node) {
                    return Some(gap);
                }
                if !self.reaches(node, side.other()) {
                    return None;
                }
                let second = tree.child(node, side.other());
                if self.worth(second) {
                    node = second;
                    break;
                }
                node = self.next_up(node, side)?;
            }
        }
    }

    /// The nearest node above of which this one is at `side`.
    fn next_up(&self, mut node: u64, side: Side) -> Option<u64> {
        loop {
            let parent = self.tree.parent(node);
            if parent == 0 {
                return None;
            }
            if self.tree.side_of(node, parent) == side {
                return Some(parent);
            }
            node = parent;
        }
    }
}
