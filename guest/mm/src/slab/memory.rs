//! From physical addresses to references: the only place that makes them out of thin air.

use super::{CacheRef, PageSource, Slab};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SHIFT,
    page::Page,
    slab::{Cache, CacheFlags, Magazine, SlabWord},
};

impl<'a, S: PageSource> Slab<'a, S> {
    /// Virtual address of a physical one in the direct map.
    #[inline(always)]
    pub(super) fn pointer(&self, gpa: u64) -> *mut u8 {
        self.source.direct_map().wrapping_add(gpa as usize)
    }

    /// Physical address of a place in the direct map; nonsense for any other.
    #[inline(always)]
    pub(crate) fn physical(&self, pointer: NonNull<u8>) -> u64 {
        (pointer.as_ptr() as usize).wrapping_sub(self.source.direct_map() as usize) as u64
    }

    /// What a caller gets for the object at `gpa`.
    #[inline(always)]
    pub(crate) fn object(&self, gpa: u64) -> NonNull<u8> {
        // SAFETY: the object lies in the direct map, which does not contain address 0.
        unsafe { NonNull::new_unchecked(self.pointer(gpa)) }
    }

    /// The cache at `gpa`.
    ///
    /// # Safety
    /// A `Cache` was written there and lives while the result is used.
    #[inline(always)]
    pub(crate) unsafe fn cache_at(&self, gpa: u64) -> CacheRef<'a> {
        // SAFETY: by contract; all that changes in a `Cache` is atomic.
        let desc = unsafe { &*self.pointer(gpa).cast::<Cache>() };
        CacheRef { desc, gpa }
    }

    /// The magazine at `gpa`.
    ///
    /// # Safety
    /// `gpa`, not 0, stands in the `magazines` of a live cache.
    #[inline(always)]
    pub(super) unsafe fn magazine_at(&self, gpa: u64) -> &'a Magazine {
        // SAFETY: by contract; a magazine lives as long as its cache, and all of it is atomic.
        unsafe { &*self.pointer(gpa).cast::<Magazine>() }
    }

    /// State bytes of the slab at `pfn`.
    pub(super) fn states(&self, cache: CacheRef<'a>, pfn: u32) -> &'a [AtomicU8] {
        let first = self.state(cache, pfn, 0);
        // SAFETY: the state bytes of a slab's objects lie one behind the other.
        unsafe { core::slice::from_raw_parts(first, cache.geometry.objects as usize) }
    }

    /// State byte of object `index` of the slab at `pfn`.
    #[inline(always)]
    pub(super) fn state(&self, cache: CacheRef<'a>, pfn: u32, index: u32) -> &'a AtomicU8 {
        self.state_of(cache, pfn, self.source.slab_page(pfn), index)
    }

    /// The same with the slab's first descriptor at hand.
    #[inline(always)]
    pub(super) fn state_of(
        &self,
        cache: CacheRef<'a>,
        pfn: u32,
        page: &'a Page,
        index: u32,
    ) -> &'a AtomicU8 {
        debug_assert!(index < cache.geometry.objects);
        let in_descriptor = (&raw const page.mapcount).cast_mut();
        let offset = u64::from(cache.geometry.states_offset);
        let in_slab = self.pointer((u64::from(pfn) << PAGE_SHIFT) + offset);
        // With objects of all sizes about, a branch would often be predicted wrongly.
        let states = core::hint::select_unpredictable(
            cache.has(CacheFlags::DESCRIPTOR_STATES),
            in_descriptor.cast(),
            in_slab,
        );
        let byte = states.wrapping_add(index as usize);
        // SAFETY: the byte is one of the slab's state bytes, in the slab or in its descriptor,
        // and is only ever accessed as an atomic byte while the slab lives.
        unsafe { AtomicU8::from_ptr(byte) }
    }

    /// The word of a slab.
    #[inline(always)]
    pub(super) fn word(&self, pfn: u32) -> SlabWord {
        SlabWord(self.source.slab_page(pfn).private.load(Relaxed))
    }
}

/// First frame of the slab that frame `pfn` belongs to: slabs are naturally aligned.
#[inline(always)]
pub(super) const fn first_frame(pfn: u32, order: u32) -> u32 {
    pfn & !((1 << order) - 1)
}

/// Why an address is not an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAnObject;

/// Index of the object that starts at `gpa`, for the slab at `pfn`.
#[inline(always)]
pub(super) fn index_of(
    cache: &Cache,
    word: SlabWord,
    pfn: u32,
    gpa: u64,
) -> Result<u32, NotAnObject> {
    let geometry = &cache.geometry;
    let start = (u64::from(pfn) << PAGE_SHIFT) + u64::from(word.colour() + geometry.object_offset);
    // In a slab, so less than 2^15 unless it wrapped around; then it is far beyond `objects`.
    let offset = gpa.wrapping_sub(start) as u32;
    let index = ((u64::from(offset) * u64::from(geometry.reciprocal)) >> 32) as u32;
    if index < geometry.objects && index.wrapping_mul(geometry.size) == offset {
        Ok(index)
    } else {
        Err(NotAnObject)
    }
}

/// Physical address of what a caller gets for object `index` of the slab at `pfn`.
#[inline(always)]
pub(super) fn address_of(cache: &Cache, word: SlabWord, pfn: u32, index: u32) -> u64 {
    let geometry = &cache.geometry;
    (u64::from(pfn) << PAGE_SHIFT)
        + u64::from(word.colour() + geometry.object_offset + index * geometry.size)
}
