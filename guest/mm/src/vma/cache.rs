//! Areas as objects of a slab cache.

use super::{VmaMemory, VmaObject};
use crate::slab::{AllocError, CreateError, KmemCache, PageSource, Slab};
use core::num::NonZero;
use pagelab_abi::{gfp::Gfp, slab::CacheFlags, vma::Vma};

/// The cache of areas, one for all address spaces.
#[derive(Debug)]
pub struct VmaCache<'a, S: PageSource> {
    slab: Slab<'a, S>,
    cache: &'a KmemCache,
}

impl<S: PageSource> Clone for VmaCache<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: PageSource> Copy for VmaCache<'_, S> {}

impl<'a, S: PageSource> VmaCache<'a, S> {
    /// Makes the cache, under Linux's name for it.
    ///
    /// # Errors
    /// Those of [`Slab::kmem_cache_create`].
    pub fn create(slab: Slab<'a, S>) -> Result<KmemCache, CreateError> {
        let (size, align) = (size_of::<Vma>() as u32, align_of::<Vma>() as u32);
        slab.kmem_cache_create("vm_area_struct", size, align, CacheFlags::empty(), None)
    }

    /// A user of the cache, which [`Self::create`] made with the same allocator.
    #[inline(always)]
    pub const fn new(slab: Slab<'a, S>, cache: &'a KmemCache) -> Self {
        Self { slab, cache }
    }

    /// An object for a tree.
    ///
    /// # Errors
    /// If there is no memory or failslab says so.
    #[track_caller]
    pub fn alloc(&self, gfp: Gfp) -> Result<VmaObject, AllocError> {
        let object = self.slab.kmem_cache_alloc(self.cache, gfp)?;
        // SAFETY: the object has the size and alignment of a `Vma` and is this function's.
        unsafe { object.cast::<Vma>().write(Vma::new()) };
        // Physical page 0 is never free memory.
        let gpa = NonZero::new(self.slab.physical(object)).ok_or(AllocError)?;
        // SAFETY: just written, and the slab keeps it in place until it is freed.
        Ok(unsafe { VmaObject::from_gpa(gpa) })
    }

    /// Takes back an object that came from [`Self::alloc`] of this cache.
    ///
    /// # Panics
    /// If it came from elsewhere.
    #[track_caller]
    pub fn free(&self, object: VmaObject) {
        let object = self.slab.object(object.gpa());
        // SAFETY: nobody else has the value, so the object is in no tree. One of another origin is
        // noticed by the slab allocator.
        unsafe { self.slab.kmem_cache_free(self.cache, object) };
    }
}

// SAFETY: the direct map is linear, and slab objects do not move.
unsafe impl<S: PageSource> VmaMemory for VmaCache<'_, S> {
    #[inline(always)]
    unsafe fn vma(&self, gpa: u64) -> &Vma {
        // SAFETY: a live object of this cache by contract, and all that changes in it is atomic.
        unsafe { self.slab.object(gpa).cast::<Vma>().as_ref() }
    }
}
