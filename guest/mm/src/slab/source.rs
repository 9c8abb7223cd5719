//! What the slab allocator needs of the rest of the memory manager.

use pagelab_abi::{
    event::EventKind,
    gfp::Gfp,
    page::Page,
    slab::{Cache, SlabState},
};

/// Where slabs come from. A trait, so that a test can let exactly the n-th page allocation fail
/// and see every call.
pub trait PageSource {
    /// Number of the CPU that runs the caller, below [`pagelab_abi::percpu::MAX_CPUS`].
    fn cpu(&self) -> usize;

    /// First of `1 << order` frames, naturally aligned and in the direct map. None if there is no
    /// memory.
    fn alloc_pages(&self, gfp: Gfp, order: u32) -> Option<u32>;

    /// Gives back what [`Self::alloc_pages`] returned for the same order.
    fn free_pages(&self, pfn: u32, order: u32);

    /// Descriptor of any frame; none if the frame does not exist or its descriptor is not valid.
    fn page(&self, pfn: u32) -> Option<&Page>;

    /// Descriptor of a frame that came from [`Self::alloc_pages`].
    fn slab_page(&self, pfn: u32) -> &Page;

    /// The allocator's root structure, always the same.
    fn slab_state(&self) -> &SlabState;

    /// Where physical address 0 stands in the direct map, which is linear.
    fn direct_map(&self) -> *mut u8;

    /// Asks the failslab injector about one allocation.
    fn should_failslab(&self, cache: &Cache, gfp: Gfp) -> bool;

    /// Adds `frames` (negative: takes them away) to `nr_slab_reclaimable` or
    /// `nr_slab_unreclaimable`.
    fn account_slab(&self, reclaimable: bool, frames: i64);

    /// Whether the zone of this slab has so much free memory that the slab may stay with its cache
    /// when it is empty, together with the other `empty` slabs of `1 << order` frames there.
    fn may_keep(&self, pfn: u32, empty: u32, order: u32) -> bool;

    /// Called in each round of a wait for another CPU.
    fn relax(&self) {
        core::hint::spin_loop();
    }

    /// One tick of the event clock; never called under a lock.
    fn event(&self, kind: EventKind, a: u64, b: u64);
}
