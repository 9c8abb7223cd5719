//! Birth of a cache.

use super::{
    CacheRef, Constructor, KmemCache, PageSource, Slab,
    geometry::{GeometryError, geometry, max_empty},
    name_of,
};
use core::{
    error::Error,
    fmt,
    panic::Location,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    gfp::Gfp,
    page::NONE,
    slab::{Cache, CacheFlags, Geometry, MAX_SLAB_ORDER, NAME_LEN, SlabList},
};

/// Why there is no new cache. Nothing is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// The name is empty, contains NUL or has this many bytes, of which only
    /// [`NAME_LEN`]` - 1` are possible.
    Name(usize),
    /// There is a cache of this name.
    Duplicate,
    /// The objects cannot be laid out.
    Geometry(GeometryError),
    /// No memory for the cache itself.
    NoMemory,
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(len) => write!(
                f,
                "a cache's name has 1 to {} bytes and no NUL, not {len} bytes",
                NAME_LEN - 1
            ),
            Self::Duplicate => f.write_str("a cache of this name exists: choose another name"),
            Self::Geometry(GeometryError::ZeroSize) => {
                f.write_str("objects of 0 bytes: give a size of at least 1")
            }
            Self::Geometry(GeometryError::Align) => {
                f.write_str("the alignment is not a power of two")
            }
            Self::Geometry(GeometryError::TooLarge) => write!(
                f,
                "not one object fits into a slab of order {MAX_SLAB_ORDER}: allocate pages instead"
            ),
            Self::NoMemory => f.write_str("out of memory"),
        }
    }
}

impl Error for CreateError {}

/// What a caller may ask for; the rest is the allocator's own.
const CALLER_FLAGS: CacheFlags = CacheFlags::DEBUG
    .union(CacheFlags::CACHE_DMA)
    .union(CacheFlags::HWCACHE_ALIGN)
    .union(CacheFlags::RECLAIM_ACCOUNT);

/// The layout, name and properties of a cache to be.
pub(super) struct Template<'n> {
    pub(super) name: &'n str,
    pub(super) geometry: Geometry,
    pub(super) ctor: Option<Constructor>,
}

impl<'a, S: PageSource> Slab<'a, S> {
    /// Makes a cache of objects of `size` bytes, aligned to `align` (a power of two, or 0 for 8).
    /// Of `flags`, those that are not for callers are ignored. `ctor` runs for each object when
    /// its slab is made. The first slab is made by the first allocation.
    ///
    /// If debugging aids make the objects too large for a slab, the cache goes without them.
    ///
    /// # Errors
    /// [`CreateError`].
    pub fn kmem_cache_create(
        &self,
        name: &str,
        size: u32,
        align: u32,
        flags: CacheFlags,
        ctor: Option<Constructor>,
    ) -> Result<KmemCache, CreateError> {
        let flags = (flags & CALLER_FLAGS) | self.debug();
        self.create(name, size, align, flags, ctor)
            .map(|cache| KmemCache {
                desc: NonNull::from(cache.desc),
                gpa: cache.gpa,
            })
    }

    /// The same, with any flags.
    pub(crate) fn create(
        &self,
        name: &str,
        size: u32,
        align: u32,
        mut flags: CacheFlags,
        ctor: Option<Constructor>,
    ) -> Result<CacheRef<'a>, CreateError> {
        if ctor.is_some() {
            // Poison would destroy what the constructor made.
            flags.remove(CacheFlags::POISON);
        }
        let geometry = match geometry(size, align, flags) {
            Err(GeometryError::TooLarge) => {
                geometry(size, align, flags.difference(CacheFlags::DEBUG))
            }
            other => other,
        }
        .map_err(CreateError::Geometry)?;
        self.create_from(&Template {
            name,
            geometry,
            ctor,
        })
    }

    /// The same, with the geometry at hand.
    pub(super) fn create_from(&self, template: &Template<'_>) -> Result<CacheRef<'a>, CreateError> {
        let name = padded(template.name)?;
        // SAFETY: the allocator's own caches live for ever.
        let kmem_cache = unsafe { self.cache_at(self.root().kmem_cache.load(Relaxed)) };
        let object = self
            .alloc_object(kmem_cache, Gfp::KERNEL, Location::caller())
            .map_err(|_| CreateError::NoMemory)?;
        // SAFETY: the object has the size and alignment of a `Cache` and is this function's.
        let cache = unsafe { self.write_cache(object, name, template) };
        let registered = {
            let _held = self.lock(&self.root().lock);
            let unique = self.caches().all(|other| other.name != name);
            if unique {
                self.register(cache);
            }
            unique
        };
        if !registered {
            // SAFETY: the object has just been allocated, and `cache` is not used again.
            unsafe { self.free_internal(kmem_cache, object) };
            return Err(CreateError::Duplicate);
        }
        Ok(cache)
    }

    /// Writes a cache with no slabs.
    ///
    /// # Safety
    /// `object` is valid for writes of a `Cache`, lies in the direct map and has no other user.
    pub(super) unsafe fn write_cache(
        &self,
        object: NonNull<u8>,
        name: [u8; NAME_LEN],
        template: &Template<'_>,
    ) -> CacheRef<'a> {
        let cache = Cache {
            magazines: [const { AtomicU64::new(0) }; _],
            geometry: template.geometry,
            index: self.root().next_index.fetch_add(1, Relaxed),
            lock: AtomicU32::new(0),
            ctor: template.ctor.map_or(0, |ctor| ctor as usize as u64),
            lists: [const {
                SlabList {
                    head: AtomicU32::new(NONE),
                    count: AtomicU32::new(0),
                }
            }; 3],
            free_objects: AtomicU64::new(0),
            allocs: AtomicU64::new(0),
            alloc_failures: AtomicU64::new(0),
            grown: AtomicU64::new(0),
            reaped: AtomicU64::new(0),
            next_colour: AtomicU32::new(0),
            max_empty: max_empty(&template.geometry),
            next: AtomicU64::new(0),
            name,
            reserved: [0; 2],
        };
        // SAFETY: by contract.
        unsafe {
            object.cast::<Cache>().write(cache);
            self.cache_at(self.physical(object))
        }
    }

    /// Puts a cache at the head of the list of caches. Under its lock.
    pub(super) fn register(&self, cache: CacheRef<'a>) {
        cache.next.store(self.root().caches.load(Relaxed), Relaxed);
        self.root().caches.store(cache.gpa, Relaxed);
        self.root().nr_caches.fetch_add(1, Relaxed);
    }

    /// All caches, newest first. Under the list's lock, or where no cache can go away.
    pub(crate) fn caches(&self) -> impl Iterator<Item = CacheRef<'a>> {
        let mut next = self.root().caches.load(Relaxed);
        core::iter::from_fn(move || {
            if next == 0 {
                return None;
            }
            // SAFETY: the list contains live caches only, and none goes away meanwhile.
            let cache = unsafe { self.cache_at(next) };
            next = cache.next.load(Relaxed);
            Some(cache)
        })
    }

    /// What all new caches get of debugging aids.
    pub(crate) fn debug(&self) -> CacheFlags {
        CacheFlags::from_bits_retain(self.root().debug.load(Relaxed))
    }

    /// The cache of this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<CacheRef<'a>> {
        let _held = self.lock(&self.root().lock);
        self.caches().find(|cache| name_of(cache.desc) == name)
    }
}

/// A name as it stands in a cache.
fn padded(name: &str) -> Result<[u8; NAME_LEN], CreateError> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() >= NAME_LEN || bytes.contains(&0) {
        return Err(CreateError::Name(bytes.len()));
    }
    let mut result = [0; NAME_LEN];
    result[..bytes.len()].copy_from_slice(bytes);
    Ok(result)
}
