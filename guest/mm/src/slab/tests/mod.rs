//! Tests of the slab allocator over a small memory of their own.

mod caches;
mod debug;
mod exhaustive;
mod kmalloc;
mod machine;
mod misuse;
mod model;
mod on_pages;
mod slabinfo;
mod validate;

use super::{KmemCache, Slab};
use machine::TestSource;
use pagelab_abi::{gfp::Gfp, slab::CacheFlags};
use std::ptr::NonNull;

/// A source with the first caches.
struct Bench {
    source: TestSource,
}

impl Bench {
    /// Memory of so many frames, and the first caches.
    fn with(frames: u32, debug: CacheFlags) -> Self {
        let bench = Self::bare(frames);
        bench.slab().init(debug).unwrap();
        bench
    }

    fn new() -> Self {
        Self::with(1024, CacheFlags::empty())
    }

    /// Before `init`.
    fn bare(frames: u32) -> Self {
        Self {
            source: TestSource::new(frames),
        }
    }

    fn slab(&self) -> Slab<'_, TestSource> {
        Slab::new(&self.source)
    }

    fn cache(&self, name: &str, size: u32) -> KmemCache {
        self.slab()
            .kmem_cache_create(name, size, 0, CacheFlags::empty(), None)
            .unwrap()
    }

    fn kmalloc(&self, size: usize) -> NonNull<u8> {
        self.slab().kmalloc(size, Gfp::KERNEL).unwrap()
    }

    fn kfree(&self, object: NonNull<u8>) {
        // SAFETY: tests do not touch what they have freed, except where that is the test.
        unsafe { self.slab().kfree(object) }
    }

    fn alloc(&self, cache: &KmemCache) -> NonNull<u8> {
        self.slab().kmem_cache_alloc(cache, Gfp::KERNEL).unwrap()
    }

    fn free(&self, cache: &KmemCache, object: NonNull<u8>) {
        // SAFETY: as in `kfree`.
        unsafe { self.slab().kmem_cache_free(cache, object) }
    }

    /// Panics with the violation, if there is one.
    fn check(&self) {
        if let Err(violation) = self.slab().validate() {
            panic!("{violation}");
        }
        let frames: i64 = self.source.slab_frames.get().iter().sum();
        assert_eq!(frames as u64, self.source.allocated.get(), "nr_slab");
    }
}

/// Writes all bytes of an object.
fn fill(object: NonNull<u8>, len: usize, byte: u8) {
    // SAFETY: the test owns the object, of at least `len` bytes.
    unsafe { object.write_bytes(byte, len) }
}

/// Whether all bytes of an object are `byte`.
fn holds(object: NonNull<u8>, len: usize, byte: u8) -> bool {
    // SAFETY: as in `fill`.
    (0..len).all(|i| unsafe { object.add(i).read() } == byte)
}
