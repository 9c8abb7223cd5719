//! From the hands of a caller back into a magazine.

use super::{
    CacheRef, KmemCache, PageSource, Slab,
    alloc::push,
    grow::Retired,
    lock::CacheLock,
    memory::{first_frame, index_of},
    misuse,
};
use core::{
    panic::Location,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SHIFT,
    event::EventKind,
    page::{Page, PageFlags, order_of},
    slab::{CacheFlags, Magazine, MagazineEntry, ObjectState, SlabWord},
};

impl<'a, S: PageSource> Slab<'a, S> {
    /// Gives an object back to its cache.
    ///
    /// # Safety
    /// The object came from [`Slab::kmem_cache_alloc`] and nobody uses it any more.
    ///
    /// # Panics
    /// What can be noticed of a broken contract is, in every build: an address outside all slabs,
    /// one of another cache, one that is not an object's start, and a double free. With debugging
    /// on also an overwritten red zone.
    #[inline]
    #[track_caller]
    pub unsafe fn kmem_cache_free(&self, cache: &KmemCache, object: NonNull<u8>) {
        let cache = cache.as_ref();
        let Some((pfn, page)) = self.slab_of(object) else {
            misuse::not_in_a_slab("kmem_cache_free", object);
        };
        let owner = page.mapping.load(Relaxed);
        if owner != cache.gpa {
            // SAFETY: the frame has the SLAB flag, so its `mapping` is a live cache.
            let owner = unsafe { self.cache_at(owner) };
            misuse::wrong_cache(cache, owner, object);
        }
        self.free_object("kmem_cache_free", cache, pfn, page, object);
    }

    /// The slab that contains an address, if one does: its first frame.
    #[inline(always)]
    pub(crate) fn slab_of(&self, object: NonNull<u8>) -> Option<(u32, &'a Page)> {
        let (pfn, page) = self.head_of(object)?;
        let slab = page.flags.load(Relaxed) & PageFlags::SLAB.bits() != 0;
        slab.then_some((pfn, page))
    }

    /// The frame that contains an address, or the first one of its compound page.
    #[inline(always)]
    pub(crate) fn head_of(&self, address: NonNull<u8>) -> Option<(u32, &'a Page)> {
        let pfn = u32::try_from(self.physical(address) >> PAGE_SHIFT).ok()?;
        let page = self.source.page(pfn)?;
        let flags = page.flags.load(Relaxed);
        if flags & PageFlags::TAIL.bits() == 0 {
            return Some((pfn, page));
        }
        let head = first_frame(pfn, order_of(flags));
        Some((head, self.source.slab_page(head)))
    }

    /// Frees an object of a slab. `call` is what the caller called.
    #[inline]
    #[track_caller]
    pub(crate) fn free_object(
        &self,
        call: &'static str,
        cache: CacheRef<'a>,
        pfn: u32,
        page: &'a Page,
        object: NonNull<u8>,
    ) {
        let gpa = self.physical(object);
        let word = SlabWord(page.private.load(Relaxed));
        let Ok(index) = index_of(&cache, word, pfn, gpa) else {
            misuse::not_an_object(call, cache, object);
        };
        let state = self.state_of(cache, pfn, page, index);
        if state.load(Relaxed) != ObjectState::Allocated as u8 {
            misuse::double_free(call, cache, object, self.last_free(cache, gpa));
        }
        if cache.has(CacheFlags::DEBUG) {
            self.debug_free(cache, gpa, Location::caller());
        }
        let entry = MagazineEntry::new(gpa, index);
        match self.magazine(cache) {
            Some(magazine) => {
                // At the events of a flush anything may happen to the magazine.
                while magazine.avail.load(Relaxed) >= cache.geometry.limit {
                    self.flush(cache, magazine, cache.geometry.batch);
                }
                state.store(ObjectState::Magazine as u8, Relaxed);
                push(magazine, entry);
            }
            None => self.free_to_slab(cache, entry),
        }
        self.source
            .event(EventKind::SlabFree, gpa, u64::from(cache.index));
    }

    /// Frees an object of one of the allocator's own caches.
    ///
    /// # Safety
    /// As [`Slab::kmem_cache_free`].
    pub(super) unsafe fn free_internal(&self, cache: CacheRef<'a>, object: NonNull<u8>) {
        let gpa = self.physical(object);
        let pfn = first_frame((gpa >> PAGE_SHIFT) as u32, cache.geometry.order);
        let page = self.source.slab_page(pfn);
        self.free_object("kmem_cache_free", cache, pfn, page, object);
    }

    /// Puts an object into its slab: this CPU has no magazine.
    #[cold]
    fn free_to_slab(&self, cache: CacheRef<'a>, entry: MagazineEntry) {
        let mut retired = Retired::new(cache);
        {
            let held = self.lock(&cache.lock);
            self.put_back(cache, &held, &[AtomicU64::new(entry.0)], &mut retired);
        }
        self.release(retired);
    }

    /// Puts the `count` objects that are longest in a magazine of this CPU back into their slabs,
    /// or all, if there are fewer.
    #[cold]
    #[inline(never)]
    pub(super) fn flush(&self, cache: CacheRef<'a>, magazine: &Magazine, count: u32) {
        let mut retired = Retired::new(cache);
        {
            let held = self.lock(&cache.lock);
            self.flush_locked(cache, &held, magazine, count, &mut retired);
        }
        self.release(retired);
    }

    /// The same under the cache's lock.
    pub(super) fn flush_locked(
        &self,
        cache: CacheRef<'a>,
        held: &CacheLock<'_>,
        magazine: &Magazine,
        count: u32,
        retired: &mut Retired,
    ) {
        let mut count = count;
        if magazine.drain_wanted.load(Relaxed) != 0 {
            magazine.drain_wanted.store(0, Relaxed);
            count = u32::MAX;
        }
        let avail = magazine.avail.load(Relaxed);
        let count = count.min(avail);
        let entries = &magazine.entries[..avail as usize];
        let (oldest, rest) = entries.split_at(count as usize);
        self.put_back(cache, held, oldest, retired);
        for (to, from) in entries.iter().zip(rest) {
            to.store(from.load(Relaxed), Relaxed);
        }
        magazine.avail.store(avail - count, Relaxed);
    }
}
