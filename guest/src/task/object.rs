//! Where a task lives: an object of the slab cache `task_struct`.

use super::Task;
use crate::memory::slab;
use core::{
    ops::{Deref, DerefMut},
    ptr::NonNull,
};
use pagelab_abi::{gfp::Gfp, platform::DIRECT_MAP, slab::CacheFlags};
use pagelab_mm::slab::{AllocError, CreateError, KmemCache};
use spin::Once;

/// Name of the cache, which is Linux's.
const TASK_STRUCT: &str = "task_struct";

static CACHE: Once<KmemCache> = Once::new();

/// Makes the cache. At boot, as it stays.
///
/// # Errors
/// Those of `kmem_cache_create`.
pub(crate) fn init_cache() -> Result<(), CreateError> {
    let (size, align) = (size_of::<Task>() as u32, align_of::<Task>() as u32);
    let create = || slab().kmem_cache_create(TASK_STRUCT, size, align, CacheFlags::empty(), None);
    CACHE.try_call_once(create).map(|_| ())
}

/// A task and its memory.
pub(crate) struct TaskBox(NonNull<Task>);

impl TaskBox {
    /// Moves a task to where it stays.
    ///
    /// # Errors
    /// If there is no memory; the task is dropped.
    pub(super) fn new(task: Task) -> Result<Self, AllocError> {
        let cache = CACHE.get().ok_or(AllocError)?;
        let object = slab().kmem_cache_alloc(cache, Gfp::KERNEL)?.cast::<Task>();
        // SAFETY: the object has the size and alignment of a task and is this function's.
        unsafe { object.write(task) };
        Ok(Self(object))
    }

    /// Physical address of the task, whose first part is the host's.
    pub(super) fn gpa(&self) -> u64 {
        self.0.as_ptr() as u64 - DIRECT_MAP
    }
}

impl Deref for TaskBox {
    type Target = Task;

    #[inline]
    fn deref(&self) -> &Task {
        // SAFETY: `new` wrote it, and it lives as long as the box, which alone leads to it.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for TaskBox {
    #[inline]
    fn deref_mut(&mut self) -> &mut Task {
        // SAFETY: as above.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for TaskBox {
    fn drop(&mut self) {
        let Some(cache) = CACHE.get() else { return };
        // SAFETY: a live object of this cache that nobody uses after this.
        unsafe {
            self.0.drop_in_place();
            slab().kmem_cache_free(cache, self.0.cast());
        }
    }
}
