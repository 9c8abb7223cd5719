//! The memory manager's root structure, from which the host decodes all of it.

use crate::{
    lru::{Lruvec, MAX_MEMORY_GROUPS},
    memblock::RegionTable,
    memcg::MemoryGroup,
    memory_failure::MemoryFailureState,
    page_cache::PageCacheState,
    slab::SlabState,
    vmstat::NR_NODE_STATS,
    zone::{MAX_ZONES, Zone},
};
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Words of [`MmState::reserved`], which end where a cache line does.
const MM_RESERVED: usize = (73 - NR_NODE_STATS) % 8;

/// The root structure; [`crate::root::MmLayout::state`] points to it. Addresses are physical.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub struct MmState {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Number of the [`crate::zone::ZoneModel`].
    pub model: u32,
    /// Zones in use, lowest first.
    pub nr_zones: u32,
    /// CPUs that have an entry in the per-CPU area.
    pub nr_cpus: u32,
    /// First frame that `mem_map` describes, a multiple of 2^10.
    pub start_pfn: u32,
    /// Frame after the last one that `mem_map` describes, a multiple of 2^10.
    pub end_pfn: u32,
    /// Address of the array of [`crate::page::Page`].
    pub mem_map: u64,
    /// Bytes from one descriptor to the next.
    pub page_stride: u32,
    /// Frames in a pageblock, as a power of two.
    pub pageblock_order: u32,
    /// Address of the pageblock table, one byte for each pageblock.
    pub pageblocks: u64,
    /// Address of the array of [`crate::percpu::PerCpu`].
    pub percpu: u64,
    /// Bytes from one CPU's entry to the next.
    pub percpu_stride: u32,
    /// Bytes of a [`Zone`].
    pub zone_stride: u32,
    /// KiB that the min watermarks add up to in low memory.
    pub min_free_kbytes: AtomicU32,
    /// Distance between watermarks, in 1/10000 of a zone.
    pub watermark_scale_factor: AtomicU32,
    /// Not zero while background reclaim is asked for: 1 + order of the request.
    pub kswapd_wake: AtomicU32,
    /// Runs of background reclaim in a row that freed nothing.
    pub kswapd_failures: AtomicU32,
    /// Pages of RAM below the end of the last zone.
    pub present_pages: u64,
    /// Pages that boot took for `mem_map`.
    pub memmap_pages: u64,
    /// Amounts; index [`crate::vmstat::NodeStat`].
    pub node_stat: [AtomicI64; NR_NODE_STATS],
    /// The slab allocator's part.
    pub slab: SlabState,
    /// The page cache's part.
    pub page_cache: PageCacheState,
    /// Zero.
    pub reserved: [u64; MM_RESERVED],
    /// The zones.
    pub zones: [Zone; MAX_ZONES],
    /// All RAM.
    pub memory: RegionTable,
    /// RAM that was taken before the page allocator began.
    pub memory_reserved: RegionTable,
    /// The newest [`crate::mm_struct::MmStruct`], 0 for none.
    pub mm_list: AtomicU64,
    /// Number of the next one.
    pub next_mm_id: AtomicU64,
    /// The page of zeros that all programs share, 0 before there is one.
    pub zero_pfn: AtomicU32,
    /// [`crate::mm_struct::MmStruct`]s in the list.
    pub nr_mms: AtomicU32,
    /// The [`crate::swap::SwapInfo`], 0 without swap.
    pub swap: AtomicU64,
    /// How much swap is preferred to pages of files, 0 to 200 (Linux: `vm_swappiness`).
    pub swappiness: AtomicU32,
    /// Number of the memory group of the process that runs: pages are charged to it.
    pub current_memory_group: AtomicU32,
    /// Slots of swap that are read at once at most, as a power of two (Linux: `page_cluster`).
    pub page_cluster: AtomicU32,
    /// Zero.
    pub tail: [u32; 1],
    /// Lists of pages; index: number of the memory group. The root group has the first.
    pub lruvecs: [Lruvec; MAX_MEMORY_GROUPS],
    /// The memory groups, by their numbers. The root group has the first.
    pub memory_groups: [MemoryGroup; MAX_MEMORY_GROUPS],
    /// What became of frames whose memory is broken.
    pub memory_failure: MemoryFailureState,
}
