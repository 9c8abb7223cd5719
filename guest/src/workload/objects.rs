//! Objects: kmalloc of any size, and some caches, one of them with a constructor and one whose
//! objects a shrinker can free.

use super::{
    content::{Touch, checked, count, touch_object},
    lru::LRU,
    rng::Rng,
};
use crate::{
    memory::{Slab, slab},
    root::progress,
};
use core::ptr::NonNull;
use pagelab_abi::{gfp::Gfp, slab::CacheFlags};
use pagelab_mm::slab::KmemCache;
use spin::RwLock;

/// An object that is held.
#[derive(Clone, Copy)]
pub(super) struct Object {
    at: NonNull<u8>,
    size: u32,
    /// Index of the cache; none for kmalloc.
    cache: Option<u8>,
}

/// What the constructor writes behind the words that the pattern uses.
const CONSTRUCTED: u64 = 0x636f_6e73_7472_7563;

/// Its place, in words.
const CONSTRUCTED_WORD: usize = 2;

/// A cache to make.
struct Plan {
    name: &'static str,
    size: u32,
    align: u32,
    flags: CacheFlags,
    constructed: bool,
}

const PLANS: [Plan; 5] = [
    Plan::new("lab_vma", 136, 0, CacheFlags::empty()),
    Plan::new("lab_task", 1728, 64, CacheFlags::HWCACHE_ALIGN),
    Plan::new("lab_dma", 96, 0, CacheFlags::CACHE_DMA),
    Plan {
        constructed: true,
        ..Plan::new("lab_inode", 600, 0, CacheFlags::empty())
    },
    Plan::new("lab_dentry", 192, 0, CacheFlags::RECLAIM_ACCOUNT),
];

/// Index of the cache whose objects go to the shrinkable list when they are given up.
const SHRINKABLE: u8 = 4;

impl Plan {
    const fn new(name: &'static str, size: u32, align: u32, flags: CacheFlags) -> Self {
        Self {
            name,
            size,
            align,
            flags,
            constructed: false,
        }
    }
}

fn construct(object: NonNull<u8>) {
    let word = object.cast::<u64>().as_ptr().wrapping_add(CONSTRUCTED_WORD);
    // SAFETY: a new object of `lab_inode`, which has this word.
    unsafe { word.write(CONSTRUCTED) };
}

/// The caches of the workload that runs. Written when they are made and destroyed; a shrinker reads
/// them while the workload does.
pub(super) static OBJECTS: RwLock<Option<Objects>> = RwLock::new(None);

/// The caches.
pub(super) struct Objects {
    slab: Slab,
    caches: [Option<KmemCache>; PLANS.len()],
}

impl Objects {
    /// Makes the caches; one that cannot be made counts as a failure and is done without.
    pub(super) fn new() -> Self {
        let slab = slab();
        let caches = PLANS.each_ref().map(|plan| {
            let constructor: Option<fn(NonNull<u8>)> = plan.constructed.then_some(construct);
            let cache =
                slab.kmem_cache_create(plan.name, plan.size, plan.align, plan.flags, constructor);
            match cache {
                Ok(cache) => {
                    count(&progress().objects_ok);
                    Some(cache)
                }
                Err(error) => {
                    log::warn!("cache {}: {error}", plan.name);
                    count(&progress().objects_failed);
                    None
                }
            }
        });
        Self { slab, caches }
    }

    /// Allocates an object of a random cache.
    pub(super) fn alloc(&self, rng: &mut Rng, gfp: Gfp, stamp: u64) -> Option<Object> {
        let index = rng.below(PLANS.len() as u32) as u8;
        let plan = &PLANS[usize::from(index)];
        let cache = self.caches[usize::from(index)].as_ref()?;
        let gfp = if plan.constructed {
            gfp.difference(Gfp::ZERO)
        } else {
            gfp
        };
        let Ok(at) = self.slab.kmem_cache_alloc(cache, gfp) else {
            count(&progress().objects_failed);
            return None;
        };
        count(&progress().objects_ok);
        let size = plan.size;
        if plan.constructed {
            checked(constructed_word(at) == CONSTRUCTED);
        }
        Some(begin(at, size, Some(index), gfp, stamp))
    }

    /// Allocates by kmalloc: all classes alike, now and then more than the largest.
    pub(super) fn kmalloc(&self, rng: &mut Rng, gfp: Gfp, stamp: u64) -> Option<Object> {
        let class = if rng.below(32) == 0 {
            14 + rng.below(3)
        } else {
            3 + rng.below(11)
        };
        let size = (1 << class) - rng.below(1 << (class - 1));
        let Ok(at) = self.slab.kmalloc(size as usize, gfp) else {
            count(&progress().objects_failed);
            return None;
        };
        count(&progress().objects_ok);
        if size < 8 {
            return Some(Object {
                at,
                size,
                cache: None,
            });
        }
        Some(begin(at, size, None, gfp, stamp))
    }

    /// Checks an object and gives it back, or leaves it to the shrinker.
    pub(super) fn free(&self, object: Object, stamp: u64) {
        if object.size >= 8 {
            touch_object(object.at, object.size as usize, stamp, Touch::Check);
        }
        match object.cache {
            Some(SHRINKABLE) if LRU.add(object.at) => {}
            Some(index) => {
                if PLANS[usize::from(index)].constructed {
                    checked(constructed_word(object.at) == CONSTRUCTED);
                }
                self.free_to_cache(index, object.at);
            }
            // SAFETY: the object came from kmalloc and is not used any more.
            None => unsafe { self.slab.kfree(object.at) },
        }
    }

    /// Gives an object of the shrinkable cache back.
    pub(super) fn free_shrinkable(&self, at: NonNull<u8>) {
        self.free_to_cache(SHRINKABLE, at);
    }

    fn free_to_cache(&self, index: u8, at: NonNull<u8>) {
        if let Some(cache) = &self.caches[usize::from(index)] {
            // SAFETY: the object came from this cache and is not used any more.
            unsafe { self.slab.kmem_cache_free(cache, at) };
        }
    }

    /// Ends the caches. False if one still has objects.
    pub(super) fn destroy(&mut self) -> bool {
        let mut clean = true;
        for cache in &mut self.caches {
            let Some(cache) = cache.take() else { continue };
            if let Err(error) = self.slab.kmem_cache_destroy(cache) {
                log::error!("{error}");
                clean = false;
            }
        }
        clean
    }
}

fn begin(at: NonNull<u8>, size: u32, cache: Option<u8>, gfp: Gfp, stamp: u64) -> Object {
    if gfp.contains(Gfp::ZERO) {
        touch_object(at, size as usize, stamp, Touch::CheckZero);
    }
    touch_object(at, size as usize, stamp, Touch::Write);
    Object { at, size, cache }
}

fn constructed_word(object: NonNull<u8>) -> u64 {
    let word = object.cast::<u64>().as_ptr().wrapping_add(CONSTRUCTED_WORD);
    // SAFETY: an object of `lab_inode`, which has this word.
    unsafe { word.read() }
}
