//! From a magazine into the hands of a caller.

use super::{AllocError, CacheRef, KmemCache, PageSource, Slab, memory::first_frame, misuse};
use core::{panic::Location, ptr::NonNull, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT,
    event::EventKind,
    gfp::Gfp,
    slab::{CacheFlags, Magazine, MagazineEntry, ObjectState},
};

impl<'a, S: PageSource> Slab<'a, S> {
    /// An object of a cache. Its content is what the constructor or the last owner left, zeros
    /// with `ZERO`, and otherwise undefined. `NOFAIL` holds for caches with slabs of order 0 or 1,
    /// as kmalloc's are.
    ///
    /// # Errors
    /// If there is no memory or failslab says so.
    ///
    /// # Panics
    /// With `ZERO` for a cache with a constructor: the two contradict each other. With debugging
    /// on, if the object was written while it was free.
    #[inline]
    #[track_caller]
    pub fn kmem_cache_alloc(&self, cache: &KmemCache, gfp: Gfp) -> Result<NonNull<u8>, AllocError> {
        self.alloc_object(cache.as_ref(), gfp, Location::caller())
    }

    /// The same, on behalf of `caller`.
    #[inline]
    pub(crate) fn alloc_object(
        &self,
        cache: CacheRef<'a>,
        gfp: Gfp,
        caller: &'static Location<'static>,
    ) -> Result<NonNull<u8>, AllocError> {
        if !cache.has(CacheFlags::INTERNAL) && self.source.should_failslab(&cache, gfp) {
            return self.fail(cache, gfp);
        }
        let popped = match self.magazine(cache) {
            Some(magazine) => pop(magazine),
            None => None,
        };
        let entry = match popped {
            Some(entry) => entry,
            None => match self.alloc_slow(cache, gfp) {
                Ok(entry) => entry,
                Err(AllocError) => return self.fail(cache, gfp),
            },
        };
        let gpa = entry.gpa();
        let pfn = first_frame((gpa >> PAGE_SHIFT) as u32, cache.geometry.order);
        self.state(cache, pfn, entry.index())
            .store(ObjectState::Allocated as u8, Relaxed);
        if cache.has(CacheFlags::DEBUG) {
            self.debug_alloc(cache, gpa, caller);
        }
        let object = self.object(gpa);
        if gfp.contains(Gfp::ZERO) {
            if cache.ctor != 0 {
                misuse::zero_with_constructor(cache);
            }
            // SAFETY: the object is `object_size` bytes and has no owner but this function.
            unsafe {
                object.write_bytes(0, cache.geometry.object_size as usize);
            }
        }
        self.source
            .event(EventKind::SlabAlloc, gpa, u64::from(cache.index));
        Ok(object)
    }

    /// This CPU's magazine of a cache, if it has one.
    #[inline(always)]
    pub(super) fn magazine(&self, cache: CacheRef<'a>) -> Option<&'a Magazine> {
        let gpa = cache.magazines[self.source.cpu()].load(Relaxed);
        if gpa == 0 {
            return None;
        }
        // SAFETY: it is not 0 and stands in a live cache.
        Some(unsafe { self.magazine_at(gpa) })
    }

    /// Fills the magazine from slabs, and the cache from the page allocator. Returns an object
    /// that is in no magazine any more.
    #[cold]
    #[inline(never)]
    fn alloc_slow(&self, cache: CacheRef<'a>, gfp: Gfp) -> Result<MagazineEntry, AllocError> {
        loop {
            // Looked up anew in each round: growing counts events, at which anything may happen.
            let magazine = self.magazine(cache).or_else(|| self.add_magazine(cache));
            let mut direct = None;
            {
                let held = self.lock(&cache.lock);
                match magazine {
                    Some(magazine) => {
                        let batch = cache.geometry.batch;
                        let avail = magazine.avail.load(Relaxed);
                        let want = batch.min(cache.geometry.limit - avail);
                        let mut avail = avail;
                        self.take(cache, &held, want, ObjectState::Magazine, |entry| {
                            magazine.entries[avail as usize].store(entry.0, Relaxed);
                            avail += 1;
                        });
                        magazine.avail.store(avail, Relaxed);
                        direct = pop(magazine);
                    }
                    None => {
                        self.take(cache, &held, 1, ObjectState::Allocated, |entry| {
                            direct = Some(entry);
                        });
                        if direct.is_some() {
                            let allocs = cache.allocs.load(Relaxed);
                            cache.allocs.store(allocs + 1, Relaxed);
                        }
                    }
                }
            }
            if let Some(entry) = direct {
                return Ok(entry);
            }
            self.grow(cache, gfp)?;
        }
    }

    /// Gives this CPU a magazine. Without memory for one the CPU works on the slabs, and asks
    /// again next time.
    #[cold]
    fn add_magazine(&self, cache: CacheRef<'a>) -> Option<&'a Magazine> {
        let array_cache = self.root().array_cache.load(Relaxed);
        if array_cache == 0 || cache.has(CacheFlags::INTERNAL) {
            return None;
        }
        // SAFETY: the allocator's own caches live for ever.
        let array_cache = unsafe { self.cache_at(array_cache) };
        let object = self
            .alloc_object(array_cache, Gfp::NOWAIT, Location::caller())
            .ok()?;
        if let Some(magazine) = self.magazine(cache) {
            // An interrupt at that allocation's event was faster.
            // SAFETY: `object` has just been allocated and nobody knows it.
            unsafe { self.free_internal(array_cache, object) };
            return Some(magazine);
        }
        let magazine = object.cast::<Magazine>();
        // SAFETY: the object has the size and alignment of a magazine, for which all zeros are
        // the empty state, and it belongs to this CPU from here on.
        let magazine: &'a Magazine = unsafe {
            magazine.write_bytes(0, 1);
            magazine.as_ref()
        };
        cache.magazines[self.source.cpu()].store(self.physical(object), Relaxed);
        Some(magazine)
    }

    /// Counts and reports a failed allocation.
    #[cold]
    fn fail(&self, cache: CacheRef<'a>, gfp: Gfp) -> Result<NonNull<u8>, AllocError> {
        cache.alloc_failures.fetch_add(1, Relaxed);
        self.source.event(
            EventKind::SlabAllocFail,
            u64::from(cache.index),
            u64::from(gfp.bits()),
        );
        Err(AllocError)
    }
}

/// Takes the last object out of a magazine of this CPU.
#[inline(always)]
fn pop(magazine: &Magazine) -> Option<MagazineEntry> {
    let avail = magazine.avail.load(Relaxed).checked_sub(1)?;
    let entry = magazine.entries[avail as usize].load(Relaxed);
    magazine.avail.store(avail, Relaxed);
    let allocs = magazine.allocs.load(Relaxed);
    magazine.allocs.store(allocs + 1, Relaxed);
    Some(MagazineEntry(entry))
}

/// Puts an object into a magazine of this CPU, which has room.
#[inline(always)]
pub(super) fn push(magazine: &Magazine, entry: MagazineEntry) {
    let avail = magazine.avail.load(Relaxed);
    magazine.entries[avail as usize].store(entry.0, Relaxed);
    magazine.avail.store(avail + 1, Relaxed);
}
