//! Slab objects that are shared by counted references, and bytes from kmalloc. Making either can
//! fail.

use super::memory::{Pools, mm, pools};
use core::{
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    slice,
    sync::atomic::{
        AtomicU32,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};
use pagelab_abi::{errno::Errno, gfp::Gfp};
use pagelab_mm::slab::KmemCache;

/// A type that has a slab cache of its own.
pub(crate) trait Pooled: Sized + Send + Sync {
    /// The cache.
    fn pool(pools: &Pools) -> &KmemCache;
}

/// What an object consists of.
#[repr(C)]
pub(super) struct Body<T> {
    count: AtomicU32,
    value: T,
}

/// A counted reference to a slab object. The last one takes the object with it.
pub(crate) struct Shared<T: Pooled>(NonNull<Body<T>>);

// SAFETY: it gives out `&T`, and `T` may be shared and sent; the count is atomic.
unsafe impl<T: Pooled> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Pooled> Sync for Shared<T> {}

impl<T: Pooled> Shared<T> {
    /// Moves a value into an object of its own.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn new(value: T) -> Result<Self, Errno> {
        let object = mm()
            .slab()
            .kmem_cache_alloc(T::pool(pools()), Gfp::KERNEL)
            .map_err(|_| Errno::ENOMEM)?;
        let body = object.cast::<Body<T>>();
        let count = AtomicU32::new(1);
        // SAFETY: the cache was made for this type, and the object is this function's.
        unsafe { body.write(Body { count, value }) };
        Ok(Self(body))
    }

    /// Whether two are references to one object.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// The value, if this was the last reference to it.
    pub(super) fn into_last(self) -> Option<T> {
        let this = core::mem::ManuallyDrop::new(self);
        if this.count().fetch_sub(1, AcqRel) > 1 {
            return None;
        }
        // SAFETY: nobody has a reference any more; the value moves out before its memory goes.
        unsafe {
            let value = ptr::read(&raw const (*this.0.as_ptr()).value);
            this.free();
            Some(value)
        }
    }

    /// References to the object.
    #[cfg(test)]
    pub(super) fn references(&self) -> u32 {
        self.count().load(Acquire)
    }

    fn count(&self) -> &AtomicU32 {
        // SAFETY: the object lives as long as there is a reference.
        unsafe { &(*self.0.as_ptr()).count }
    }

    /// Gives the memory back.
    ///
    /// # Safety
    /// Nobody uses the object any more, and its value has been dropped or moved.
    unsafe fn free(&self) {
        // SAFETY: it came from this cache; the rest by contract.
        unsafe {
            mm().slab().kmem_cache_free(T::pool(pools()), self.0.cast());
        }
    }
}

impl<T: Pooled> Clone for Shared<T> {
    fn clone(&self) -> Self {
        self.count().fetch_add(1, Relaxed);
        Self(self.0)
    }
}

impl<T: Pooled> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the object lives as long as there is a reference.
        unsafe { &(*self.0.as_ptr()).value }
    }
}

impl<T: Pooled> Drop for Shared<T> {
    fn drop(&mut self) {
        if self.count().fetch_sub(1, AcqRel) > 1 {
            return;
        }
        // SAFETY: this was the last reference.
        unsafe {
            ptr::drop_in_place(&raw mut (*self.0.as_ptr()).value);
            self.free();
        }
    }
}

/// Bytes from kmalloc.
pub(crate) struct Bytes {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: the value owns the bytes.
unsafe impl Send for Bytes {}
// SAFETY: as above.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// So many zeros.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn zeroed(len: usize) -> Result<Self, Errno> {
        let at = mm()
            .slab()
            .kmalloc(len.max(1), Gfp::KERNEL | Gfp::ZERO)
            .map_err(|_| Errno::ENOMEM)?;
        Ok(Self { at, len })
    }

    /// A copy.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn copy(bytes: &[u8]) -> Result<Self, Errno> {
        let mut copy = Self::zeroed(bytes.len())?;
        copy.copy_from_slice(bytes);
        Ok(copy)
    }

    /// Forgets what is behind the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes of an object of this value's, all of them written.
        unsafe { slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: it came from kmalloc, and the value is gone.
        unsafe { mm().slab().kfree(self.at) }
    }
}
