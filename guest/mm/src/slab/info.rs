//! What is shown of a cache.

use super::{PageSource, Slab};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::slab::ListKind;

/// The numbers of one cache at one moment, named as in /proc/slabinfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number in events.
    pub index: u32,
    /// Objects that are not free in their slab: allocated, or in a magazine.
    pub active_objs: u64,
    /// Objects in all slabs.
    pub num_objs: u64,
    /// Bytes from one object to the next.
    pub objsize: u32,
    /// Objects in a slab.
    pub objperslab: u32,
    /// Frames in a slab.
    pub pagesperslab: u32,
    /// Most objects in a magazine.
    pub limit: u32,
    /// Objects moved at once.
    pub batchcount: u32,
    /// Slabs that are not wholly free.
    pub active_slabs: u32,
    /// All slabs.
    pub num_slabs: u32,
    /// Allocations so far.
    pub allocs: u64,
    /// Allocations that failed.
    pub alloc_failures: u64,
}

impl<'a, S: PageSource> Slab<'a, S> {
    /// The numbers of the cache created last before the cache of number `newer`, or of the newest.
    pub fn info_of_next(&self, newer: Option<u32>) -> Option<SlabInfo<'a>> {
        let _list = self.lock(&self.root().lock);
        let cache = self
            .caches()
            .find(|cache| newer.is_none_or(|newer| cache.index < newer))?;
        let _held = self.lock(&cache.lock);
        let geometry = &cache.geometry;
        let slabs = |kind: ListKind| cache.lists[kind as usize].count.load(Relaxed);
        let active_slabs = slabs(ListKind::Full) + slabs(ListKind::Partial);
        let num_slabs = active_slabs + slabs(ListKind::Empty);
        let num_objs = u64::from(num_slabs) * u64::from(geometry.objects);
        let by_magazines: u64 = cache
            .magazines
            .iter()
            .filter_map(|magazine| match magazine.load(Relaxed) {
                0 => None,
                // SAFETY: it is not 0 and stands in a live cache.
                gpa => Some(unsafe { self.magazine_at(gpa) }.allocs.load(Relaxed)),
            })
            .sum();
        Some(SlabInfo {
            name: cache.desc_name(),
            index: cache.index,
            active_objs: num_objs - cache.free_objects.load(Relaxed),
            num_objs,
            objsize: geometry.size,
            objperslab: geometry.objects,
            pagesperslab: 1 << geometry.order,
            limit: geometry.limit,
            batchcount: geometry.batch,
            active_slabs,
            num_slabs,
            allocs: cache.allocs.load(Relaxed) + by_magazines,
            alloc_failures: cache.alloc_failures.load(Relaxed),
        })
    }
}
