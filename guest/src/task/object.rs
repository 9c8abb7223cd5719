//! Where a task lives: an object of the slab cache `task_struct`.

use super::{Pid, Task};
use crate::memory::slab;
use core::{
    ops::{Deref, DerefMut},
    ptr::NonNull,
};
use pagelab_abi::{gfp::Gfp, platform::DIRECT_MAP, slab::CacheFlags, task::TaskStruct};
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
    let (size, align) = (size_of::<Object>() as u32, align_of::<Object>() as u32);
    let create = || slab().kmem_cache_create(TASK_STRUCT, size, align, CacheFlags::empty(), None);
    CACHE.try_call_once(create).map(|_| ())
}

/// What lies in an object. Its first part is read by others while the second one is somebody's by
/// `&mut`: by the host at an event, and by the OOM killer inside an allocation.
#[repr(C, align(64))]
struct Object {
    shared: TaskStruct,
    task: Task,
}

/// A task's part that others read. All of it is atomic.
pub(super) struct SharedPart(NonNull<TaskStruct>);

impl Deref for SharedPart {
    type Target = TaskStruct;

    #[inline]
    fn deref(&self) -> &TaskStruct {
        // SAFETY: `TaskBox::new` wrote it before the task that has this value, in the same object,
        // and nobody ever has it by `&mut`.
        unsafe { self.0.as_ref() }
    }
}

/// A task and its memory.
pub(crate) struct TaskBox(NonNull<Object>);

impl TaskBox {
    /// A process without memory and files, where it stays.
    ///
    /// # Errors
    /// If there is no memory.
    pub(super) fn new(pid: Pid, parent: Pid) -> Result<Self, AllocError> {
        let cache = CACHE.get().ok_or(AllocError)?;
        let object = slab().kmem_cache_alloc(cache, Gfp::KERNEL)?;
        let object = object.cast::<Object>();
        // SAFETY: the object has the size and alignment of an `Object` and is this function's. The
        // shared part is written before it is referred to.
        unsafe {
            let shared = &raw mut (*object.as_ptr()).shared;
            shared.write(TaskStruct::new());
            let shared = SharedPart(NonNull::new_unchecked(shared));
            Task::init(&raw mut (*object.as_ptr()).task, shared, pid, parent);
        }
        Ok(Self(object))
    }

    /// Physical address of the task's first part, which is the host's.
    pub(super) fn gpa(&self) -> u64 {
        self.0.as_ptr() as u64 - DIRECT_MAP
    }
}

impl Deref for TaskBox {
    type Target = Task;

    #[inline]
    fn deref(&self) -> &Task {
        // SAFETY: `new` wrote it, and it lives as long as the box, which alone leads to it.
        unsafe { &(*self.0.as_ptr()).task }
    }
}

impl DerefMut for TaskBox {
    #[inline]
    fn deref_mut(&mut self) -> &mut Task {
        // SAFETY: as above.
        unsafe { &mut (*self.0.as_ptr()).task }
    }
}

impl Drop for TaskBox {
    fn drop(&mut self) {
        let Some(cache) = CACHE.get() else { return };
        // SAFETY: a live object of this cache that nobody uses after this.
        unsafe {
            (&raw mut (*self.0.as_ptr()).task).drop_in_place();
            slab().kmem_cache_free(cache, self.0.cast());
        }
    }
}
