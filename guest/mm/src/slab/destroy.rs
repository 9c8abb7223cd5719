//! Death of a cache, or the report of what still lives in it.

use super::{CacheRef, KmemCache, PageSource, Slab, grow::Retired, memory::address_of, misuse::At};
use core::{fmt, ptr::NonNull, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    page::NONE,
    slab::{ListKind, ObjectState},
};

/// Objects that a report names.
const NAMED: usize = 4;

/// Objects that were never freed.
#[derive(Clone, Copy, Debug)]
pub struct Leak {
    /// How many.
    pub objects: u64,
    /// The first of them, in the order of their lists.
    pub first: [Option<NonNull<u8>>; NAMED],
    allocated: [At; NAMED],
}

/// A cache that could not be destroyed. It is as it was, but for its magazines, which are empty.
#[derive(Debug)]
pub struct DestroyError {
    /// The cache.
    pub cache: KmemCache,
    /// What is in it.
    pub leak: Leak,
}

impl fmt::Display for DestroyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cache {} still has {} objects:",
            self.cache.name(),
            self.leak.objects
        )?;
        for (object, at) in self.leak.first.iter().zip(&self.leak.allocated) {
            if let Some(object) = object {
                write!(f, " {:p}", *object)?;
                if at.is_known() {
                    write!(f, " (allocated{at})")?;
                }
            }
        }
        if self.leak.objects > NAMED as u64 {
            write!(f, " and more")?;
        }
        Ok(())
    }
}

impl core::error::Error for DestroyError {}

impl<'a, S: PageSource> Slab<'a, S> {
    /// Ends a cache that nobody uses any more, on any CPU, and gives its memory back.
    ///
    /// # Errors
    /// [`DestroyError`] if objects are still allocated.
    pub fn kmem_cache_destroy(&self, cache: KmemCache) -> Result<(), DestroyError> {
        self.destroy(cache.as_ref())
            .map_err(|leak| DestroyError { cache, leak })
    }

    /// The same for a cache without a handle.
    pub(crate) fn destroy(&self, cache: CacheRef<'_>) -> Result<(), Leak> {
        // SAFETY: the caller's cache lives until the end of this function.
        let cache = unsafe { self.cache_at(cache.gpa) };
        let mut retired = Retired::new(cache);
        {
            let _list = self.lock(&self.root().lock);
            let held = self.lock(&cache.lock);
            for magazine in &cache.magazines {
                let gpa = magazine.load(Relaxed);
                if gpa != 0 {
                    // SAFETY: it stands in a live cache. By contract no CPU uses it.
                    let magazine = unsafe { self.magazine_at(gpa) };
                    self.flush_locked(cache, &held, magazine, u32::MAX, &mut retired);
                }
            }
            let leak = self.leak(cache);
            if leak.objects == 0 {
                self.retire_empty(cache, &held, u64::MAX, &mut retired);
                self.unregister(cache);
            } else {
                drop(held);
                drop(_list);
                self.release(retired);
                return Err(leak);
            }
        }
        self.release(retired);
        // SAFETY: the allocator's own caches live for ever.
        let (kmem_cache, array_cache) = unsafe {
            (
                self.cache_at(self.root().kmem_cache.load(Relaxed)),
                self.cache_at(self.root().array_cache.load(Relaxed)),
            )
        };
        for magazine in &cache.magazines {
            let gpa = magazine.swap(0, Relaxed);
            if gpa != 0 {
                // SAFETY: the magazine is empty, and the cache does not know it any more.
                unsafe { self.free_internal(array_cache, self.object(gpa)) };
            }
        }
        // SAFETY: the cache is in no list and owns nothing.
        unsafe { self.free_internal(kmem_cache, self.object(cache.gpa)) };
        Ok(())
    }

    /// Takes a cache out of the list of caches. Under the list's lock.
    fn unregister(&self, cache: CacheRef<'a>) {
        let next = cache.next.load(Relaxed);
        match self
            .caches()
            .find(|before| before.next.load(Relaxed) == cache.gpa)
        {
            Some(before) => before.next.store(next, Relaxed),
            None => self.root().caches.store(next, Relaxed),
        }
        self.root().nr_caches.fetch_sub(1, Relaxed);
    }

    /// What is still allocated from a cache. Under its lock, with empty magazines.
    fn leak(&self, cache: CacheRef<'a>) -> Leak {
        let mut leak = Leak {
            objects: 0,
            first: [None; NAMED],
            allocated: [At::default(); NAMED],
        };
        for kind in [ListKind::Full, ListKind::Partial] {
            let mut pfn = cache.lists[kind as usize].head.load(Relaxed);
            while pfn != NONE {
                let word = self.word(pfn);
                for index in 0..cache.geometry.objects {
                    let state = self.state(cache, pfn, index).load(Relaxed);
                    if state == ObjectState::Free as u8 {
                        continue;
                    }
                    let gpa = address_of(&cache, word, pfn, index);
                    if let Some(first) = leak.first.get_mut(leak.objects as usize) {
                        *first = Some(self.object(gpa));
                        leak.allocated[leak.objects as usize] = self.last_alloc(cache, gpa);
                    }
                    leak.objects += 1;
                }
                pfn = self.source.slab_page(pfn).next.load(Relaxed);
            }
        }
        leak
    }
}
