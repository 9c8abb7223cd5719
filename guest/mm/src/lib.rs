//! pagelab's memory manager: memblock, zones, buddy, per-CPU lists, slab caches, address spaces, page
//! cache, swap slots.
//!
//! There is no machine code in it: it reaches the machine only through [`machine::Machine`], so the
//! same code runs in the guest kernel, in host tests and in benchmarks. All state that outlives a
//! call stands in RAM in the layouts of `pagelab_abi`, where the host can read it.
//!
//! # Locks, in the order in which they are taken
//!
//! 1. The page cache's locks (see `page_cache`).
//! 2. A slab cache's locks (see `slab`). The lock of the swap slots (see `swap`). The lock of a
//!    lruvec (see `lru`).
//! 3. [`pagelab_abi::zone::Zone::lock`], one for each zone: free lists, their counters, and the
//!    descriptors and pageblock bytes of that zone's free blocks. Never two at a time, and nothing
//!    else is taken under it.
//!
//! A [`vma::VmaTree`] and a [`user_mm::UserMm`] have no lock: whoever changes one holds it by `&mut`. The
//! list of all address spaces is changed by the one CPU that runs processes.
//!
//! No lock is held while [`machine::Machine::event`] or a shrinker runs. Per-CPU state has no lock:
//! its CPU alone writes it; see [`pagelab_abi::percpu`]. What one CPU may run is one thread of
//! execution, with one exception: inside `Machine::event` an interrupt handler may use the memory
//! manager too, for all is consistent there.
#![cfg_attr(not(test), no_std)]

#[cfg(feature = "testing")]
extern crate std;

pub mod balloon;
mod buddy;
mod bulk;
mod direct_map;
mod fallback;
pub mod fault;
pub mod frames;
pub mod init;
pub mod kmalloc;
pub mod lru;
pub mod machine;
pub mod memblock;
pub mod memcg;
mod memmap;
pub mod memory_failure;
pub mod mm;
pub mod mutation;
pub mod oom;
pub mod page_alloc;
pub mod page_cache;
mod pcp;
pub mod pfn;
mod pgtable;
mod proc;
pub mod reclaim;
mod reporting;
pub mod shrinker;
pub mod slab;
pub mod swap;
mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tlb;
pub mod user_mm;
pub mod validate;
pub mod vma;
mod vmscan;
mod window;
pub mod zone;

pub use frames::Frames;
pub use init::{Config, InitError};
pub use memblock::Memblock;
pub use mm::Mm;
pub use page_alloc::AllocError;
pub use page_cache::FileId;
pub use pfn::{Order, Pfn};

/// CPUs that per-CPU state has room for.
pub const MAX_CPUS: usize = pagelab_abi::percpu::MAX_CPUS;
