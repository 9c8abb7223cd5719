//! The slab allocator: caches of equal objects, carved from pages of the direct map.
//!
//! After Bonwick (The Slab Allocator, USENIX 1994) and Linux's mm/slab.c (until 6.7). How it all
//! stands in memory is told in [`pagelab_abi::slab`].
//!
//! * `geometry`: object sizes, slab orders, colours.
//! * `create`, `destroy`: birth and death of a cache; `boot`: the first ones.
//! * `alloc`, `free`: the paths through a CPU's magazine.
//! * `slabs`: objects between magazines and slabs; `grow`: slabs between a cache and the page
//!   allocator; `list`: full, partial and empty slabs.
//! * `shrink`: memory goes back under pressure.
//! * `debug`: red zones, poison, tracking; `misuse`: what is caught in every build.
//! * `info`: what is shown of a cache.
//! * `validate`: everything that must hold, checked.
//!
//! # Locks
//!
//! The lock of the list of caches comes before the lock of a cache. Under neither is a page
//! allocated or freed, an event counted or a constructor run: all of those can come back here (by
//! reclaim, or by what the host does at an event). Magazines belong to their CPU and need no lock;
//! so a CPU does not leave a magazine half-changed at an event either.

mod alloc;
mod boot;
mod create;
mod debug;
mod destroy;
mod free;
mod geometry;
mod grow;
mod info;
mod list;
mod lock;
mod memory;
pub(crate) mod misuse;
mod option;
mod pages;
mod shrink;
mod slabs;
mod source;
#[cfg(test)]
mod tests;
mod validate;

use core::{error::Error, fmt, ops::Deref, ptr::NonNull};
use pagelab_abi::slab::{Cache, CacheFlags, SlabState};

pub use create::CreateError;
pub use debug::Corruption;
pub use destroy::{DestroyError, Leak};
pub use geometry::GeometryError;
pub use info::SlabInfo;
pub use option::{UnknownLetter, parse_slab_debug};
pub use source::PageSource;
pub use validate::Violation;

/// Runs once for each object when its slab is made, never again: a free object keeps the state
/// that the constructor (or the last owner, who has to restore it) left.
pub type Constructor = fn(NonNull<u8>);

/// No memory, or a failure was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")
    }
}

impl Error for AllocError {}

/// The slab allocator over a source of pages. Costs nothing to make: it is a reference.
#[derive(Debug)]
pub struct Slab<'a, S> {
    pub(crate) source: &'a S,
}

impl<S> Clone for Slab<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Slab<'_, S> {}

impl<'a, S: PageSource> Slab<'a, S> {
    /// The allocator over this source.
    #[inline(always)]
    pub const fn new(source: &'a S) -> Self {
        Self { source }
    }

    /// The allocator's root structure.
    #[inline(always)]
    pub(crate) fn root(&self) -> &'a SlabState {
        self.source.slab_state()
    }
}

/// A cache that somebody created and holds.
#[derive(Debug)]
pub struct KmemCache {
    desc: NonNull<Cache>,
    gpa: u64,
}

// SAFETY: all that changes in a `Cache` is atomic or guarded by its lock.
unsafe impl Send for KmemCache {}
// SAFETY: as above.
unsafe impl Sync for KmemCache {}

impl KmemCache {
    #[inline(always)]
    fn as_ref(&self) -> CacheRef<'_> {
        // SAFETY: a cache lives until its handle is consumed by `kmem_cache_destroy`.
        let desc = unsafe { self.desc.as_ref() };
        CacheRef {
            desc,
            gpa: self.gpa,
        }
    }

    /// The cache's name.
    pub fn name(&self) -> &str {
        self.as_ref().desc_name()
    }

    /// Number of the cache in events.
    pub fn index(&self) -> u32 {
        self.as_ref().index
    }
}

/// A live cache and its physical address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheRef<'a> {
    desc: &'a Cache,
    gpa: u64,
}

impl Deref for CacheRef<'_> {
    type Target = Cache;

    #[inline(always)]
    fn deref(&self) -> &Cache {
        self.desc
    }
}

impl<'a> CacheRef<'a> {
    /// Whether one of these flags is set.
    #[inline(always)]
    pub(crate) fn has(self, flags: CacheFlags) -> bool {
        self.desc.geometry.flags & flags.bits() != 0
    }

    /// Its physical address.
    #[inline(always)]
    pub(crate) const fn gpa(self) -> u64 {
        self.gpa
    }

    /// The name up to its first NUL.
    pub(crate) fn desc_name(self) -> &'a str {
        name_of(self.desc)
    }
}

/// The name of a cache up to its first NUL.
fn name_of(cache: &Cache) -> &str {
    let bytes = cache.name.split(|&byte| byte == 0).next().unwrap_or(&[]);
    core::str::from_utf8(bytes).unwrap_or("(name is not UTF-8)")
}
