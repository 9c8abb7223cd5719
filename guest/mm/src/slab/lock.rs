//! The locks of the list of caches and of each cache: one word each, in the structure it guards.

use super::{PageSource, Slab};
use crate::sync::{self, Held};
use core::sync::atomic::AtomicU32;

/// A held lock; dropping it releases it. Also the proof that functions ask for.
pub(super) type CacheLock<'a> = Held<'a, AtomicU32>;

impl<S: PageSource> Slab<'_, S> {
    /// Waits until the lock is free and takes it. Not recursive.
    #[inline]
    pub(super) fn lock<'w>(&self, word: &'w AtomicU32) -> CacheLock<'w> {
        sync::lock(word, || self.source.relax())
    }
}
