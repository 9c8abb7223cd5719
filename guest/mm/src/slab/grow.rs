//! Slabs between a cache and the page allocator.

use super::{
    AllocError, CacheRef, Constructor, PageSource, Slab, lock::CacheLock, memory::address_of,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SHIFT,
    gfp::Gfp,
    page::{NONE, PageFlags},
    slab::{CacheFlags, Geometry, ListKind, SlabWord},
};

/// What of a request for an object applies to the pages of a slab too. Slabs must be in the
/// direct map, and are zeroed (or not) object by object.
const SLAB_GFP: Gfp = Gfp::all()
    .difference(Gfp::DMA)
    .difference(Gfp::DMA32)
    .difference(Gfp::HIGHMEM)
    .difference(Gfp::MOVABLE)
    .difference(Gfp::RECLAIMABLE)
    .difference(Gfp::ZERO);

/// Slabs that are no longer part of their cache, on their way to the page allocator: plain
/// allocated pages, linked through `next`.
#[derive(Debug)]
pub(super) struct Retired {
    head: u32,
    order: u32,
    reclaimable: bool,
    slabs: u32,
}

impl Retired {
    /// None yet.
    pub(super) fn new(cache: CacheRef<'_>) -> Self {
        Self {
            head: NONE,
            order: cache.geometry.order,
            reclaimable: cache.has(CacheFlags::RECLAIM_ACCOUNT),
            slabs: 0,
        }
    }
}

impl<'a, S: PageSource> Slab<'a, S> {
    /// Adds one empty slab to a cache.
    #[cold]
    pub(super) fn grow(&self, cache: CacheRef<'a>, gfp: Gfp) -> Result<(), AllocError> {
        let geometry = &cache.geometry;
        let pfn = self
            .source
            .alloc_pages(page_gfp(gfp, geometry), geometry.order)
            .ok_or(AllocError)?;
        let colour = {
            let _held = self.lock(&cache.lock);
            let colour = cache.next_colour.load(Relaxed);
            let next = colour + 1;
            let next = if next < geometry.colours { next } else { 0 };
            cache.next_colour.store(next, Relaxed);
            colour * geometry.colour_step
        };
        self.make_slab(cache, pfn, colour);
        let _held = self.lock(&cache.lock);
        self.adopt(cache, pfn);
        Ok(())
    }

    /// Turns fresh pages into a slab of free, constructed objects.
    pub(super) fn make_slab(&self, cache: CacheRef<'a>, pfn: u32, colour: u32) {
        let geometry = &cache.geometry;
        let page = self.source.slab_page(pfn);
        page.mapping.store(cache.gpa, Relaxed);
        page.private
            .store(SlabWord::new(geometry.objects, colour).0, Relaxed);
        // The states in the descriptor, or the lowest index that may be free.
        page.mapcount.store(0, Relaxed);
        if !cache.has(CacheFlags::DESCRIPTOR_STATES) {
            let base = (u64::from(pfn) << PAGE_SHIFT) + u64::from(geometry.states_offset);
            // SAFETY: the state bytes lie inside the slab's own pages, which nobody else knows
            // of yet. `Free` is 0.
            unsafe {
                self.pointer(base).write_bytes(0, geometry.objects as usize);
            }
        }
        if cache.has(CacheFlags::DEBUG) || cache.ctor != 0 {
            let word = self.word(pfn);
            for index in 0..geometry.objects {
                let gpa = address_of(&cache, word, pfn, index);
                if let Some(constructor) = constructor(cache) {
                    constructor(self.object(gpa));
                }
                self.debug_init(cache, gpa);
            }
        }
        let flags = page.flags.load(Relaxed);
        page.flags.store(flags | PageFlags::SLAB.bits(), Relaxed);
        self.source
            .account_slab(cache.has(CacheFlags::RECLAIM_ACCOUNT), 1 << geometry.order);
    }

    /// Puts a new slab on the list of empty ones. Under the cache's lock.
    pub(super) fn adopt(&self, cache: CacheRef<'a>, pfn: u32) {
        self.link(cache, ListKind::Empty, pfn);
        let free = cache.free_objects.load(Relaxed) + u64::from(cache.geometry.objects);
        cache.free_objects.store(free, Relaxed);
        cache.grown.store(cache.grown.load(Relaxed) + 1, Relaxed);
    }

    /// Takes an empty slab away from its cache.
    pub(super) fn retire(
        &self,
        cache: CacheRef<'a>,
        _held: &CacheLock<'_>,
        pfn: u32,
        retired: &mut Retired,
    ) {
        self.unlink(cache, ListKind::Empty, pfn);
        let free = cache.free_objects.load(Relaxed) - u64::from(cache.geometry.objects);
        cache.free_objects.store(free, Relaxed);
        cache.reaped.store(cache.reaped.load(Relaxed) + 1, Relaxed);
        let page = self.source.slab_page(pfn);
        let flags = page.flags.load(Relaxed);
        page.flags.store(flags & !PageFlags::SLAB.bits(), Relaxed);
        page.mapping.store(0, Relaxed);
        page.private.store(0, Relaxed);
        page.mapcount.store(0, Relaxed);
        page.prev.store(NONE, Relaxed);
        page.next.store(retired.head, Relaxed);
        retired.head = pfn;
        retired.slabs += 1;
        let frames = 1i64 << cache.geometry.order;
        self.source.account_slab(retired.reclaimable, -frames);
    }

    /// Takes all empty slabs away, or as many as hold `frames` frames.
    pub(super) fn retire_empty(
        &self,
        cache: CacheRef<'a>,
        held: &CacheLock<'_>,
        frames: u64,
        retired: &mut Retired,
    ) {
        let list = &cache.lists[ListKind::Empty as usize];
        while u64::from(retired.slabs) << retired.order < frames {
            let pfn = list.head.load(Relaxed);
            if pfn == NONE {
                break;
            }
            self.retire(cache, held, pfn, retired);
        }
    }

    /// Gives retired slabs back to the page allocator; returns how many frames. No lock is held.
    pub(super) fn release(&self, retired: Retired) -> u64 {
        let mut pfn = retired.head;
        while pfn != NONE {
            let page = self.source.slab_page(pfn);
            let next = page.next.swap(NONE, Relaxed);
            self.source.free_pages(pfn, retired.order);
            pfn = next;
        }
        u64::from(retired.slabs) << retired.order
    }
}

/// How to ask for the pages of a slab on behalf of a request for an object.
fn page_gfp(gfp: Gfp, geometry: &Geometry) -> Gfp {
    let flags = CacheFlags::from_bits_retain(geometry.flags);
    let mut result = gfp & SLAB_GFP;
    result.set(Gfp::DMA, flags.contains(CacheFlags::CACHE_DMA));
    result.set(
        Gfp::RECLAIMABLE,
        flags.contains(CacheFlags::RECLAIM_ACCOUNT),
    );
    result.set(Gfp::COMP, geometry.order > 0);
    result
}

/// The constructor that [`Slab::kmem_cache_create`] was given.
fn constructor(cache: CacheRef<'_>) -> Option<Constructor> {
    if cache.ctor == 0 {
        return None;
    }
    // SAFETY: `ctor` is only ever written from a `Constructor`, in `create`.
    Some(unsafe { core::mem::transmute::<usize, Constructor>(cache.ctor as usize) })
}
