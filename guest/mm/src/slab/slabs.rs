//! Objects on their way between slabs and magazines. The caller holds the cache's lock.

use super::{
    CacheRef, PageSource, Slab,
    grow::Retired,
    list::list_of,
    lock::CacheLock,
    memory::{address_of, first_frame},
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT,
    page::NONE,
    slab::{CacheFlags, ListKind, MagazineEntry, ObjectState, SlabWord},
};

impl<'a, S: PageSource> Slab<'a, S> {
    /// Takes up to `want` free objects out of slabs, partial ones first, marks them `as_state`
    /// and hands them to `put`. Returns how many there were.
    pub(super) fn take(
        &self,
        cache: CacheRef<'a>,
        _held: &CacheLock<'_>,
        want: u32,
        as_state: ObjectState,
        mut put: impl FnMut(MagazineEntry),
    ) -> u32 {
        let mut taken = 0;
        while taken < want {
            let mut kind = ListKind::Partial;
            let mut pfn = cache.lists[kind as usize].head.load(Relaxed);
            if pfn == NONE {
                kind = ListKind::Empty;
                pfn = cache.lists[kind as usize].head.load(Relaxed);
            }
            if pfn == NONE {
                break;
            }
            if cache.has(CacheFlags::CONSISTENCY_CHECKS) {
                self.check_slab(cache, pfn);
            }
            taken += self.take_from(cache, pfn, kind, want - taken, as_state, &mut put);
        }
        cache
            .free_objects
            .store(cache.free_objects.load(Relaxed) - u64::from(taken), Relaxed);
        taken
    }

    /// The same for one slab, which has a free object.
    fn take_from(
        &self,
        cache: CacheRef<'a>,
        pfn: u32,
        kind: ListKind,
        want: u32,
        as_state: ObjectState,
        put: &mut impl FnMut(MagazineEntry),
    ) -> u32 {
        let page = self.source.slab_page(pfn);
        let word = self.word(pfn);
        let want = want.min(word.free());
        let in_descriptor = cache.has(CacheFlags::DESCRIPTOR_STATES);
        let mut index = if in_descriptor {
            0
        } else {
            page.mapcount.load(Relaxed) as u32
        };
        let mut taken = 0;
        let mut gpa = address_of(&cache, word, pfn, index);
        // A copy, for the stores below could be to a `Cache` for all that the compiler knows.
        let size = u64::from(cache.geometry.size);
        for state in &self.states(cache, pfn)[index as usize..] {
            if state.load(Relaxed) == ObjectState::Free as u8 {
                state.store(as_state as u8, Relaxed);
                put(MagazineEntry::new(gpa, index));
                taken += 1;
            }
            index += 1;
            gpa += size;
            if taken == want {
                break;
            }
        }
        if taken < want {
            lost_objects(cache, pfn, want - taken);
        }
        if !in_descriptor {
            page.mapcount.store(index as i32, Relaxed);
        }
        let free = word.free() - taken;
        page.private
            .store(SlabWord::new(free, word.colour()).0, Relaxed);
        self.relist(cache, pfn, kind, list_of(free, cache.geometry.objects));
        taken
    }

    /// Puts objects, which are [`MagazineEntry`]s, back into their slabs. Slabs that become empty,
    /// beyond those that the cache keeps, are retired into `retired`.
    pub(super) fn put_back(
        &self,
        cache: CacheRef<'a>,
        held: &CacheLock<'_>,
        mut entries: &[AtomicU64],
        retired: &mut Retired,
    ) {
        let free = cache.free_objects.load(Relaxed) + entries.len() as u64;
        cache.free_objects.store(free, Relaxed);
        let order = cache.geometry.order;
        while let Some(first) = entries.first() {
            let frame = (MagazineEntry(first.load(Relaxed)).gpa() >> PAGE_SHIFT) as u32;
            let pfn = first_frame(frame, order);
            if cache.has(CacheFlags::CONSISTENCY_CHECKS) {
                self.check_slab(cache, pfn);
            }
            let states = self.states(cache, pfn);
            let mut count = 0;
            let mut lowest = u32::MAX;
            // Neighbours in a magazine are often from the same slab.
            for entry in entries {
                let entry = MagazineEntry(entry.load(Relaxed));
                if first_frame((entry.gpa() >> PAGE_SHIFT) as u32, order) != pfn {
                    break;
                }
                states[entry.index() as usize].store(ObjectState::Free as u8, Relaxed);
                lowest = lowest.min(entry.index());
                count += 1;
            }
            entries = &entries[count..];
            self.more_free(cache, held, pfn, count as u32, lowest, retired);
        }
    }

    /// Counts objects of a slab that have become free, of which `lowest` has the lowest index.
    #[inline(always)]
    fn more_free(
        &self,
        cache: CacheRef<'a>,
        held: &CacheLock<'_>,
        pfn: u32,
        count: u32,
        lowest: u32,
        retired: &mut Retired,
    ) {
        let objects = cache.geometry.objects;
        let page = self.source.slab_page(pfn);
        let word = self.word(pfn);
        if !cache.has(CacheFlags::DESCRIPTOR_STATES)
            && (lowest as i32) < page.mapcount.load(Relaxed)
        {
            page.mapcount.store(lowest as i32, Relaxed);
        }
        let free = word.free() + count;
        page.private
            .store(SlabWord::new(free, word.colour()).0, Relaxed);
        let kind = list_of(free, objects);
        self.relist(cache, pfn, list_of(word.free(), objects), kind);
        if kind == ListKind::Empty {
            let empty = cache.lists[kind as usize].count.load(Relaxed);
            if empty > cache.max_empty && !self.source.may_keep(pfn, empty, cache.geometry.order) {
                self.retire(cache, held, pfn, retired);
            }
        }
    }

    /// Moves a slab to another list, if it is another.
    #[inline(always)]
    fn relist(&self, cache: CacheRef<'a>, pfn: u32, from: ListKind, to: ListKind) {
        if from != to {
            self.unlink(cache, from, pfn);
            self.link(cache, to, pfn);
        }
    }
}

/// A slab counts more free objects than it has.
#[cold]
fn lost_objects(cache: CacheRef<'_>, pfn: u32, missing: u32) -> ! {
    panic!(
        "slab: cache {}: {missing} free objects of the slab at {:#x} are missing",
        cache.desc_name(),
        u64::from(pfn) << PAGE_SHIFT,
    )
}
