//! A list of objects that nobody uses but that might be wanted again: what a shrinker is for.

use super::objects::OBJECTS;
use crate::{machine::Guest, memory::Memory};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_mm::shrinker::{SHRINK_STOP, ShrinkControl, Shrinker};

/// Objects that the list takes.
const MAX: u64 = 4096;

/// Unused objects, linked through their first word; 0 ends the list.
pub(super) struct Lru {
    top: AtomicU64,
    len: AtomicU64,
}

impl Lru {
    pub(super) const fn new() -> Self {
        Self {
            top: AtomicU64::new(0),
            len: AtomicU64::new(0),
        }
    }

    /// Adds an object of the shrinkable cache. False if the list is full.
    pub(super) fn add(&self, object: NonNull<u8>) -> bool {
        let len = self.len.load(Relaxed);
        if len == MAX {
            return false;
        }
        // SAFETY: the object's owner gave it to the list; its first word is the list's.
        unsafe { object.cast::<u64>().as_ptr().write(self.top.load(Relaxed)) };
        self.top.store(object.as_ptr() as u64, Relaxed);
        self.len.store(len + 1, Relaxed);
        true
    }

    /// Takes the object that was added last.
    pub(super) fn take(&self) -> Option<NonNull<u8>> {
        let object = NonNull::new(self.top.load(Relaxed) as *mut u8)?;
        // SAFETY: an object in the list, whose first word is the list's.
        let next = unsafe { object.cast::<u64>().as_ptr().read() };
        self.top.store(next, Relaxed);
        self.len.store(self.len.load(Relaxed) - 1, Relaxed);
        Some(object)
    }
}

/// The workload's list.
pub(super) static LRU: Lru = Lru::new();

/// Frees objects of [`LRU`].
pub(super) static SHRINKER: LruShrinker = LruShrinker;

/// The shrinker of the workload's list.
pub(super) struct LruShrinker;

impl Shrinker<Guest> for LruShrinker {
    fn name(&self) -> &'static str {
        "lab_dentry"
    }

    fn count_objects(&self, _: &Memory, _: &ShrinkControl) -> u64 {
        LRU.len.load(Relaxed)
    }

    fn scan_objects(&self, _: &Memory, control: &ShrinkControl) -> u64 {
        // The workload destroys its caches: it frees the list itself.
        let Some(objects) = OBJECTS.try_read() else {
            return SHRINK_STOP;
        };
        let Some(objects) = objects.as_ref() else {
            return SHRINK_STOP;
        };
        let mut freed = 0;
        while freed < control.nr_to_scan
            && let Some(object) = LRU.take()
        {
            objects.free_shrinkable(object);
            freed += 1;
        }
        freed
    }
}
