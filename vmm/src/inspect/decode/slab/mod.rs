//! Slab caches: descriptors, slabs, objects and magazines.

mod cache;
mod magazine;
mod object;
mod slab_list;

pub use cache::{Cache, MAX_CACHES, SlabListHead};
pub use magazine::Magazine;
pub use object::{States, Track};
pub use slab_list::{Slab, SlabFault};
