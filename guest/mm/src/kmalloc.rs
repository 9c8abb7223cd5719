//! kmalloc: memory of any size in the direct map, after Linux's mm/slab_common.c.
//!
//! Up to 8 KiB from caches of fixed sizes, above from compound pages. A power of two is aligned to
//! itself, anything else to its largest divisor that is a power of two, and at least to 8.

use crate::slab::{AllocError, CacheRef, CreateError, PageSource, Slab, misuse};
use core::{panic::Location, ptr::NonNull, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    gfp::Gfp,
    page::{MAX_ORDER, Page, PageFlags, order_of},
    slab::{CacheFlags, KMALLOC_SIZES},
};

/// What an allocation of no bytes returns (Linux: `ZERO_SIZE_PTR`). It may be freed, not accessed.
pub const ZERO_SIZE_PTR: NonNull<u8> = NonNull::without_provenance(
    // Not 0, so the unwrap is a constant.
    core::num::NonZero::new(16).unwrap(),
);

/// Largest allocation in bytes.
pub const KMALLOC_MAX_SIZE: usize = (PAGE_SIZE as usize) << MAX_ORDER;

/// Largest allocation that comes from a cache.
const MAX_CACHE_SIZE: usize = KMALLOC_SIZES[KMALLOC_SIZES.len() - 1] as usize;

/// Names of the caches in ZONE_DMA by [`KMALLOC_SIZES`]; the others lack the `dma-`.
const NAMES: [&str; KMALLOC_SIZES.len()] = [
    "dma-kmalloc-8",
    "dma-kmalloc-16",
    "dma-kmalloc-32",
    "dma-kmalloc-64",
    "dma-kmalloc-96",
    "dma-kmalloc-128",
    "dma-kmalloc-192",
    "dma-kmalloc-256",
    "dma-kmalloc-512",
    "dma-kmalloc-1k",
    "dma-kmalloc-2k",
    "dma-kmalloc-4k",
    "dma-kmalloc-8k",
];

/// Class of sizes up to 192 by `(size - 1) / 8`, which are not all powers of two.
static SMALL_CLASSES: [u8; 32] = small_classes();

const fn small_classes() -> [u8; 32] {
    let mut classes = [0; 32];
    let mut i = 0;
    while i < 32 {
        let mut class = 0;
        while KMALLOC_SIZES[class] < 8 * (i as u32 + 1) {
            class += 1;
        }
        classes[i] = class as u8;
        i += 1;
    }
    classes
}

/// Index in [`KMALLOC_SIZES`] of the smallest class for `size`, 1 to [`MAX_CACHE_SIZE`].
#[inline(always)]
fn class_of(size: usize) -> usize {
    // Sizes come as they like, so neither is jumped to.
    let small = SMALL_CLASSES[((size - 1) / 8) % SMALL_CLASSES.len()] as usize;
    // 256 is class 7, and each further power of two is the next one.
    let large = ((usize::BITS - (size - 1).leading_zeros()) as usize).wrapping_sub(1);
    core::hint::select_unpredictable(size <= 192, small, large)
}

impl<'a, S: PageSource> Slab<'a, S> {
    /// At least `size` bytes in the direct map, from ZONE_DMA with `DMA`, zeros with `ZERO`.
    /// No bytes give [`ZERO_SIZE_PTR`].
    ///
    /// # Errors
    /// If there is no memory, failslab says so, or `size` is above [`KMALLOC_MAX_SIZE`].
    #[inline]
    #[track_caller]
    pub fn kmalloc(&self, size: usize, gfp: Gfp) -> Result<NonNull<u8>, AllocError> {
        if size == 0 || size > MAX_CACHE_SIZE {
            return self.kmalloc_large(size, gfp);
        }
        let class = class_of(size);
        let cache = if gfp.contains(Gfp::DMA) {
            self.dma_cache(class)?
        } else {
            // SAFETY: the kmalloc caches live for ever once `init` has run.
            unsafe { self.cache_at(self.root().kmalloc[class].load(Relaxed)) }
        };
        self.alloc_object(cache, gfp, Location::caller())
    }

    /// Gives back what [`Slab::kmalloc`] or [`Slab::krealloc`] returned.
    ///
    /// # Safety
    /// Nobody uses it any more.
    ///
    /// # Panics
    /// As [`Slab::kmem_cache_free`], and for an object of a cache that is not kmalloc's.
    #[inline]
    #[track_caller]
    pub unsafe fn kfree(&self, object: NonNull<u8>) {
        let Some((pfn, page)) = self.slab_of(object) else {
            return self.kfree_large(object);
        };
        let cache = self.kmalloc_cache("kfree", page, object);
        self.free_object("kfree", cache, pfn, page, object);
    }

    /// Bytes that may be used of an allocation: its class, or its pages.
    ///
    /// # Panics
    /// If kmalloc did not return this pointer.
    #[track_caller]
    pub fn ksize(&self, object: NonNull<u8>) -> usize {
        if object == ZERO_SIZE_PTR {
            return 0;
        }
        match self.slab_of(object) {
            Some((_, page)) => {
                let cache = self.kmalloc_cache("ksize", page, object);
                cache.geometry.object_size as usize
            }
            None => {
                let (_, page) = self.large_page("ksize", object);
                (PAGE_SIZE as usize) << order_of(page.flags.load(Relaxed))
            }
        }
    }

    /// Changes the size of an allocation. The content is kept up to the smaller size; with `ZERO`
    /// the bytes beyond what the old allocation could hold are zeros. No object acts as
    /// [`Slab::kmalloc`], a size of 0 as [`Slab::kfree`].
    ///
    /// # Errors
    /// As [`Slab::kmalloc`]; the old allocation is then as it was.
    ///
    /// # Safety
    /// On success nobody uses the old pointer any more.
    ///
    /// # Panics
    /// As [`Slab::kfree`].
    #[track_caller]
    pub unsafe fn krealloc(
        &self,
        object: Option<NonNull<u8>>,
        size: usize,
        gfp: Gfp,
    ) -> Result<NonNull<u8>, AllocError> {
        let Some(object) = object else {
            return self.kmalloc(size, gfp);
        };
        if size == 0 {
            // SAFETY: by contract.
            unsafe { self.kfree(object) };
            return Ok(ZERO_SIZE_PTR);
        }
        let old_size = self.ksize(object);
        if old_size >= size {
            return Ok(object);
        }
        let new = self.kmalloc(size, gfp)?;
        // SAFETY: both are live allocations of kmalloc, hence disjoint and of at least
        // `old_size` bytes; the old one is not used again, by contract.
        unsafe {
            new.copy_from_nonoverlapping(object, old_size);
            self.kfree(object);
        }
        Ok(new)
    }

    /// Makes the kmalloc caches.
    pub(crate) fn kmalloc_init(&self) -> Result<(), CreateError> {
        for class in 0..KMALLOC_SIZES.len() {
            let cache = self.kmalloc_create(class, CacheFlags::empty())?;
            self.root().kmalloc[class].store(cache.gpa(), Relaxed);
        }
        Ok(())
    }

    fn kmalloc_create(&self, class: usize, flags: CacheFlags) -> Result<CacheRef<'a>, CreateError> {
        let size = KMALLOC_SIZES[class];
        let name = if flags.contains(CacheFlags::CACHE_DMA) {
            NAMES[class]
        } else {
            &NAMES[class]["dma-".len()..]
        };
        let align = 1 << size.trailing_zeros();
        let flags = flags | CacheFlags::KMALLOC | self.debug();
        self.create(name, size, align, flags, None)
    }

    /// The cache of a class in ZONE_DMA, made at its first use.
    #[cold]
    fn dma_cache(&self, class: usize) -> Result<CacheRef<'a>, AllocError> {
        let slot = &self.root().dma_kmalloc[class];
        let gpa = slot.load(Relaxed);
        if gpa != 0 {
            // SAFETY: the kmalloc caches live for ever.
            return Ok(unsafe { self.cache_at(gpa) });
        }
        match self.kmalloc_create(class, CacheFlags::CACHE_DMA) {
            Ok(cache) => {
                slot.store(cache.gpa(), Relaxed);
                Ok(cache)
            }
            // Another CPU has just made it, or somebody else took the name.
            Err(CreateError::Duplicate) => self
                .find(NAMES[class])
                .filter(|cache| cache.has(CacheFlags::KMALLOC))
                .ok_or(AllocError),
            Err(_) => Err(AllocError),
        }
    }

    /// The kmalloc cache that a slab belongs to.
    #[inline(always)]
    #[track_caller]
    fn kmalloc_cache(&self, call: &'static str, page: &Page, object: NonNull<u8>) -> CacheRef<'a> {
        // SAFETY: the frame has the SLAB flag, so its `mapping` is a live cache.
        let cache = unsafe { self.cache_at(page.mapping.load(Relaxed)) };
        if !cache.has(CacheFlags::KMALLOC) {
            misuse::not_kmalloc(call, cache, object);
        }
        cache
    }

    #[cold]
    fn kmalloc_large(&self, size: usize, gfp: Gfp) -> Result<NonNull<u8>, AllocError> {
        if size == 0 {
            return Ok(ZERO_SIZE_PTR);
        }
        if size > KMALLOC_MAX_SIZE {
            return Err(AllocError);
        }
        let order = size
            .div_ceil(PAGE_SIZE as usize)
            .next_power_of_two()
            .trailing_zeros();
        let gfp = gfp.difference(Gfp::HIGHMEM | Gfp::MOVABLE | Gfp::DMA32) | Gfp::COMP;
        let pfn = self.source.alloc_pages(gfp, order).ok_or(AllocError)?;
        let page = self.source.slab_page(pfn);
        let flags = page.flags.load(Relaxed);
        page.flags
            .store(flags | PageFlags::LARGE_KMALLOC.bits(), Relaxed);
        self.source.account_slab(false, 1 << order);
        Ok(self.object(u64::from(pfn) << PAGE_SHIFT))
    }

    /// The head of a page-backed allocation.
    #[track_caller]
    fn large_page(&self, call: &'static str, object: NonNull<u8>) -> (u32, &'a Page) {
        let large = PageFlags::LARGE_KMALLOC.bits();
        match self.head_of(object) {
            Some((pfn, page))
                if page.flags.load(Relaxed) & large != 0
                    && self.physical(object) == u64::from(pfn) << PAGE_SHIFT =>
            {
                (pfn, page)
            }
            _ => misuse::not_in_a_slab(call, object),
        }
    }

    #[cold]
    #[track_caller]
    fn kfree_large(&self, object: NonNull<u8>) {
        if object == ZERO_SIZE_PTR {
            return;
        }
        let (pfn, page) = self.large_page("kfree", object);
        let flags = page.flags.load(Relaxed);
        page.flags
            .store(flags & !PageFlags::LARGE_KMALLOC.bits(), Relaxed);
        let order = order_of(flags);
        self.source.account_slab(false, -(1 << order));
        self.source.free_pages(pfn, order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_gets_the_smallest_class_that_holds_it() {
        for size in 1..=MAX_CACHE_SIZE {
            let smallest = KMALLOC_SIZES.iter().position(|&s| s as usize >= size);
            assert_eq!(Some(class_of(size)), smallest, "{size}");
        }
    }

    #[test]
    fn names_are_those_of_linux() {
        for (name, size) in NAMES.iter().zip(KMALLOC_SIZES) {
            let size = if size < 1024 {
                size.to_string()
            } else {
                format!("{}k", size / 1024)
            };
            assert_eq!(*name, format!("dma-kmalloc-{size}"));
        }
    }
}
