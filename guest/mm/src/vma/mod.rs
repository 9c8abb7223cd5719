//! Virtual memory areas: the logical view of an address space.
//!
//! The areas of an address space do not overlap and hang in a red-black tree (Guibas and Sedgewick,
//! A Dichromatic Framework for Balanced Trees, FOCS 1978; insertion and removal as in Cormen et
//! al., Introduction to Algorithms, chapter 13) whose nodes also know the largest free gap below
//! them (so did Linux's mm/mmap.c until 6.0). Node and area are one object, which the caller
//! brings: nothing here allocates, so nothing here fails for want of memory. The layout is that of
//! [`pagelab_abi::vma`].
//!
//! * `area`: what an area says, and which areas can be one. `object`: where areas live.
//! * `cache`: areas as objects of a slab cache.
//! * `node`, `rotate`, `link`, `unlink`: the balanced tree. `gap`: the search for free room.
//! * `find`: searches. `change`: insert, remove, resize, protect. `join`: split and merge.
//! * `error`: why not. `validate`: everything that must hold, checked.

mod area;
mod cache;
mod change;
mod error;
mod find;
mod gap;
mod join;
mod link;
mod node;
mod object;
mod rotate;
#[cfg(test)]
mod tests;
mod unlink;
mod validate;

use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::vma::VmaRoot;

pub use area::{Area, Backing};
pub use cache::VmaCache;
pub use error::{Rejected, VmaError};
pub use find::Iter;
pub use gap::{Direction, GapRequest};
pub use object::{VmaMemory, VmaObject};
pub use validate::Violation;

/// The areas of one address space. Changes need `&mut`; the caller's lock stands for that.
#[derive(Debug)]
pub struct VmaTree<'r, M> {
    root: &'r mut VmaRoot,
    memory: M,
}

impl<'r, M: VmaMemory> VmaTree<'r, M> {
    /// An empty tree for areas from `start` to below `end`, whose objects are in `memory`. What
    /// `root` held is forgotten.
    ///
    /// # Errors
    /// [`VmaError::Empty`] or [`VmaError::NotAligned`], if no area fits between these bounds.
    pub fn new(root: &'r mut VmaRoot, memory: M, start: u64, end: u64) -> Result<Self, VmaError> {
        area::check_range(start, end)?;
        *root = VmaRoot::new();
        root.start.store(start, Relaxed);
        root.end.store(end, Relaxed);
        Ok(Self { root, memory })
    }

    /// The tree that a root holds already.
    ///
    /// # Safety
    /// `root` was last changed by a tree over the same `memory`, and its areas still live.
    pub unsafe fn attach(root: &'r mut VmaRoot, memory: M) -> Self {
        Self { root, memory }
    }

    /// Number of areas.
    pub fn len(&self) -> u64 {
        self.root.count.load(Relaxed)
    }

    /// Whether there is no area.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
