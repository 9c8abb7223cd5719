//! The first caches: the cache of caches, which contains its own descriptor, and that of magazines.

use super::{
    AllocError, CacheRef, CreateError, PageSource, Slab, create::Template, geometry::geometry,
    memory::address_of,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    slab::{Cache, CacheFlags, Geometry, KMALLOC_SIZES, Magazine, NAME_LEN, ObjectState, SlabWord},
};

/// Layout of one of the allocator's own caches.
const fn internal(object_size: usize) -> Geometry {
    let flags = CacheFlags::INTERNAL.union(CacheFlags::HWCACHE_ALIGN);
    match geometry(object_size as u32, 64, flags) {
        Ok(geometry) => geometry,
        Err(_) => panic!("the allocator's own objects fit into a slab"),
    }
}

const KMEM_CACHE: Geometry = internal(size_of::<Cache>());
const ARRAY_CACHE: Geometry = internal(size_of::<Magazine>());

// All caches of boot come from one slab: after its page nothing in `init` can fail.
const _: () = assert!(KMEM_CACHE.objects as usize >= 2 + KMALLOC_SIZES.len());

impl<'a, S: PageSource> Slab<'a, S> {
    /// Makes the first caches and those of kmalloc. `debug`, of [`CacheFlags::DEBUG`], applies to
    /// all caches but the allocator's own two. Called once, before anything else here.
    ///
    /// # Errors
    /// If there is not a single page.
    pub fn init(&self, debug: CacheFlags) -> Result<(), AllocError> {
        let debug = debug & CacheFlags::DEBUG;
        self.root().debug.store(debug.bits(), Relaxed);
        let kmem_cache = self.kmem_cache()?;
        self.root().kmem_cache.store(kmem_cache.gpa, Relaxed);
        let array_cache = self.create_from(&Template {
            name: "array_cache",
            geometry: ARRAY_CACHE,
            ctor: None,
        });
        self.root()
            .array_cache
            .store(array_cache.map_err(no_memory)?.gpa, Relaxed);
        self.kmalloc_init().map_err(no_memory)
    }

    /// The cache of caches, made without itself.
    fn kmem_cache(&self) -> Result<CacheRef<'a>, AllocError> {
        let pfn = self
            .source
            .alloc_pages(Gfp::KERNEL, KMEM_CACHE.order)
            .ok_or(AllocError)?;
        let mut name = [0; NAME_LEN];
        name[..10].copy_from_slice(b"kmem_cache");
        // Where object 0 of a slab without colour is.
        let gpa = u64::from(pfn) << pagelab_abi::PAGE_SHIFT;
        let template = Template {
            name: "kmem_cache",
            geometry: KMEM_CACHE,
            ctor: None,
        };
        // SAFETY: the page has just been allocated, and is larger than a `Cache`.
        let cache = unsafe { self.write_cache(self.object(gpa), name, &template) };
        self.make_slab(cache, pfn, 0);
        let held = self.lock(&cache.lock);
        self.adopt(cache, pfn);
        let mut first = None;
        self.take(cache, &held, 1, ObjectState::Allocated, |entry| {
            first = Some(entry.gpa());
        });
        let expected = address_of(&cache, SlabWord::new(0, 0), pfn, 0);
        assert!(first == Some(expected) && expected == gpa);
        cache.allocs.store(1, Relaxed);
        self.register(cache);
        Ok(cache)
    }
}

/// The names and layouts of boot are right, so only memory can be missing.
fn no_memory(error: CreateError) -> AllocError {
    debug_assert_eq!(error, CreateError::NoMemory);
    AllocError
}
