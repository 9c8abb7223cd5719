//! What callers do wrong, named. All of it ends in a panic: memory is, or is about to be, corrupt.

use super::CacheRef;
use core::{fmt, ptr::NonNull};
use pagelab_abi::slab::Place;

/// A source line in the kernel, or the empty [`Place`] if it is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct At(pub(super) Place);

impl At {
    /// Whether there is a line.
    pub(super) const fn is_known(self) -> bool {
        self.0.file != 0
    }

    /// The file's name.
    fn file(place: &Place) -> &'static str {
        // SAFETY: a `Place` is only ever made from a `Location`, whose strings are static, and is
        // only read back after its red zone was found intact or as a last word before a panic.
        let bytes = unsafe {
            core::slice::from_raw_parts(place.file as *const u8, place.file_len as usize)
        };
        core::str::from_utf8(bytes).unwrap_or("?")
    }
}

/// Writes ` at file:line`, or nothing.
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known() {
            write!(f, " at {}:{}", Self::file(&self.0), self.0.line)
        } else {
            Ok(())
        }
    }
}

/// The same object again.
#[cold]
#[track_caller]
pub(super) fn double_free(call: &str, cache: CacheRef<'_>, object: NonNull<u8>, last: At) -> ! {
    panic!(
        "slab: {call}: double free of {object:p}, an object of cache {}; it was freed before{last}",
        cache.desc_name(),
    )
}

/// An address that no slab contains.
#[cold]
#[track_caller]
pub(crate) fn not_in_a_slab(call: &str, object: NonNull<u8>) -> ! {
    panic!("slab: {call}: {object:p} is not in a slab: a foreign pointer, or its slab is gone")
}

/// An object of `owner`, given to `cache`.
#[cold]
#[track_caller]
pub(super) fn wrong_cache(cache: CacheRef<'_>, owner: CacheRef<'_>, object: NonNull<u8>) -> ! {
    panic!(
        "slab: kmem_cache_free: wrong cache: {object:p} belongs to cache {}, not to {}",
        owner.desc_name(),
        cache.desc_name(),
    )
}

/// An address in a slab, but not at the start of an object.
#[cold]
#[track_caller]
pub(super) fn not_an_object(call: &str, cache: CacheRef<'_>, object: NonNull<u8>) -> ! {
    panic!(
        "slab: {call}: {object:p} is in a slab of cache {}, but no object starts there",
        cache.desc_name(),
    )
}

/// kfree of an object of a cache that is not a kmalloc cache.
#[cold]
#[track_caller]
pub(crate) fn not_kmalloc(call: &str, cache: CacheRef<'_>, object: NonNull<u8>) -> ! {
    panic!(
        "slab: {call}: {object:p} belongs to cache {}, not to a kmalloc cache",
        cache.desc_name(),
    )
}

/// Zeros would destroy what the constructor made.
#[cold]
#[track_caller]
pub(super) fn zero_with_constructor(cache: CacheRef<'_>) -> ! {
    panic!(
        "slab: kmem_cache_alloc: ZERO asked of cache {}, which has a constructor",
        cache.desc_name(),
    )
}
