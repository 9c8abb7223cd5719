//! Giving memory back.

use super::{CacheRef, KmemCache, PageSource, Slab, grow::Retired};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::slab::ListKind;

impl<'a, S: PageSource> Slab<'a, S> {
    /// Empties this CPU's magazine of a cache, asks the other CPUs to empty theirs when they come
    /// by, and gives all empty slabs back. Returns how many frames that were.
    pub fn kmem_cache_shrink(&self, cache: &KmemCache) -> u64 {
        let cache = cache.as_ref();
        let retired = self.shrink_locked(cache, u64::MAX);
        self.release(retired)
    }

    /// The same for all caches, newest first, until at least `frames` frames are free; more if the
    /// magazines alone empty more slabs than a cache keeps.
    pub fn shrink_all(&self, frames: u64) -> u64 {
        let mut freed = 0;
        let mut below = u32::MAX;
        while freed < frames {
            let retired = {
                // Released before frames are freed, so the place in the list is found anew.
                let _list = self.lock(&self.root().lock);
                let Some(cache) = self.caches().find(|cache| cache.index < below) else {
                    break;
                };
                below = cache.index;
                self.shrink_locked(cache, frames - freed)
            };
            freed += self.release(retired);
        }
        freed
    }

    /// Frames of empty slabs, and objects in this CPU's magazines, which may empty more of them.
    pub fn shrinkable(&self) -> u64 {
        let _list = self.lock(&self.root().lock);
        self.caches()
            .map(|cache| {
                let empty = cache.lists[ListKind::Empty as usize].count.load(Relaxed);
                let waiting = self
                    .magazine(cache)
                    .map_or(0, |magazine| magazine.avail.load(Relaxed));
                (u64::from(empty) << cache.geometry.order) + u64::from(waiting)
            })
            .sum()
    }

    /// Puts the objects in this CPU's magazines back into their slabs.
    pub fn drain_local(&self) {
        let mut below = u32::MAX;
        loop {
            let retired = {
                let _list = self.lock(&self.root().lock);
                let Some(cache) = self.caches().find(|cache| cache.index < below) else {
                    return;
                };
                below = cache.index;
                self.shrink_locked(cache, 0)
            };
            self.release(retired);
        }
    }

    /// Empties this CPU's magazine and takes empty slabs of up to `frames` frames away.
    fn shrink_locked(&self, cache: CacheRef<'a>, frames: u64) -> Retired {
        let mut retired = Retired::new(cache);
        let held = self.lock(&cache.lock);
        let own = cache.magazines[self.source.cpu()].load(Relaxed);
        for magazine in &cache.magazines {
            let gpa = magazine.load(Relaxed);
            if gpa == 0 {
                continue;
            }
            // SAFETY: it is not 0 and stands in a live cache.
            let magazine = unsafe { self.magazine_at(gpa) };
            if gpa == own {
                self.flush_locked(cache, &held, magazine, u32::MAX, &mut retired);
            } else {
                magazine.drain_wanted.store(1, Relaxed);
            }
        }
        self.retire_empty(cache, &held, frames, &mut retired);
        retired
    }
}
