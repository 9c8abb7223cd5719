//! Decoders of the guest's structures, from raw guest-physical memory.
//!
//! Nothing read here is trusted: every index is checked, every walk is bounded by the number of
//! frames, and what does not fit is a [`DecodeError`] or a fault that names the place. [`Snapshot`]
//! is the way in.

mod block;
mod error;
mod frame_set;
mod free_list;
mod linked;
mod lru;
mod mem_map;
mod memory_failure;
mod mm_struct;
mod page_cache;
mod pageblock;
mod pcp;
mod region;
mod slab;
mod snapshot;
mod swap;
mod task;
mod user_pages;
mod vmstat;
mod zone;

pub use block::{Block, BlockFault, BlockFaultKind, BlockState, Blocks};
pub use error::DecodeError;
pub use frame_set::FrameSet;
pub use free_list::{ListFault, ListId};
pub use lru::LruFault;
pub use mem_map::{Descriptor, MemMap, pfn_to_gpa};
pub use memory_failure::MemoryFailure;
pub use mm_struct::{Area, AreasFault, MAX_AREAS, UserMm};
pub use page_cache::{CachedFile, CachedPages};
pub use pageblock::{Pageblock, Pageblocks};
pub use pcp::{Cpu, Pcp, PcpFault, pcp_lists};
pub use region::{Frames, Regions};
pub use slab::{Cache, MAX_CACHES, Magazine, Slab, SlabFault, SlabListHead, States, Track};
pub use snapshot::Snapshot;
pub use swap::{Cluster, Slot, Swap};
pub use task::Task;
pub(in crate::inspect) use user_pages::Budget;
pub use user_pages::{PageTable, UserPage, UserPages};
pub use vmstat::VmStat;
pub use zone::{FreeListHead, Zone};

pub(in crate::inspect) use free_list::Described;
