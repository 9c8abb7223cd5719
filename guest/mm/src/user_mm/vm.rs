//! What all address spaces share.

use crate::{
    AllocError, Mm, Order, Pfn,
    machine::Machine,
    slab::{CreateError, KmemCache},
    vma::VmaCache,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    mm_struct::{ANON_GROUP, AnonGroup, MM_STRUCT, MmStruct},
    slab::CacheFlags,
    zone::Zone,
};

/// The caches of address spaces, of their families and of areas, and the zero page.
pub(crate) struct Vm {
    pub(super) vm_area_struct: KmemCache,
    pub(super) mm_struct: KmemCache,
    pub(super) anon_group: KmemCache,
    /// The page of zeros that reads of untouched anonymous memory get.
    pub(super) zero_pfn: Pfn,
}

impl<M: Machine + 'static> Mm<M> {
    /// Makes what address spaces need. Called once, after [`Mm::slab_init`].
    ///
    /// # Errors
    /// If there is no memory.
    pub fn vm_init(&self) -> Result<(), AllocError> {
        let slab = self.slab();
        let no_memory = |_: CreateError| AllocError::NoMemory;
        let vm_area_struct = VmaCache::create(slab).map_err(no_memory)?;
        let (size, align) = (size_of::<MmStruct>() as u32, align_of::<MmStruct>() as u32);
        let mm_struct = slab
            .kmem_cache_create(MM_STRUCT, size, align, CacheFlags::empty(), None)
            .map_err(no_memory)?;
        let (size, align) = (
            size_of::<AnonGroup>() as u32,
            align_of::<AnonGroup>() as u32,
        );
        let anon_group = slab
            .kmem_cache_create(ANON_GROUP, size, align, CacheFlags::empty(), None)
            .map_err(no_memory)?;
        let zero_pfn = self.alloc_pages(Gfp::KERNEL | Gfp::ZERO, Order::ZERO)?;
        self.state.zero_pfn.store(zero_pfn.0, Relaxed);
        self.vm.call_once(|| Vm {
            vm_area_struct,
            mm_struct,
            anon_group,
            zero_pfn,
        });
        Ok(())
    }

    /// Pages that the page allocator has, used or not (Linux: `totalram_pages`).
    pub(crate) fn total_ram(&self) -> u64 {
        self.zones()
            .iter()
            .map(|zone| u64::from(zone.managed.load(Relaxed)))
            .sum()
    }

    /// Pages that there is room for, in memory or in swap, used or not: one area alone cannot have more
    /// (Linux: `__vm_enough_memory` with `OVERCOMMIT_GUESS`).
    pub(super) fn total_ram_and_swap(&self) -> u64 {
        let managed = |zone: &Zone| u64::from(zone.managed.load(Relaxed));
        self.zones().iter().map(managed).sum::<u64>() + self.swap_slots().0
    }
}
