//! Memory that plays RAM. It is lent for ever, because the memory manager keeps references without
//! end; arenas that a machine is done with are used again by the next one, as dirty as they are.

use std::{
    alloc::{Layout, alloc_zeroed},
    ptr::NonNull,
    sync::{Mutex, PoisonError},
    vec::Vec,
};

use pagelab_abi::PAGE_SIZE;

/// Arenas that nobody uses.
static FREE: Mutex<Vec<Arena>> = Mutex::new(Vec::new());

/// Page-aligned memory.
#[derive(Clone, Copy)]
pub(super) struct Arena {
    base: NonNull<u8>,
    size: usize,
}

// SAFETY: an arena is only an address; who has it may use the memory from any thread, as RAM.
unsafe impl Send for Arena {}
// SAFETY: as above; all access goes through raw pointers or atomics.
unsafe impl Sync for Arena {}

impl Arena {
    /// Takes an arena of this size.
    pub(super) fn take(size: usize) -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = free.iter().position(|arena| arena.size == size) {
            return free.swap_remove(found);
        }
        drop(free);
        // Small alignment, so that the host maps fresh pages of zeros instead of writing them.
        let page = PAGE_SIZE as usize;
        let layout = Layout::from_size_align(size + page, 16).expect("a valid size");
        // SAFETY: the size is not 0.
        let raw = unsafe { alloc_zeroed(layout) };
        let raw = NonNull::new(raw).expect("host memory for an arena");
        // SAFETY: at most a page further, which the allocation has room for.
        let base = unsafe { raw.add(raw.align_offset(page)) };
        Self { base, size }
    }

    /// Gives it back for the next one.
    pub(super) fn give_back(self) {
        FREE.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self);
    }

    /// First byte.
    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Address of a byte that is in the arena.
    pub(super) fn at(&self, offset: usize) -> Option<NonNull<u8>> {
        // SAFETY: the offset is inside the allocation.
        (offset < self.size).then(|| unsafe { self.base.add(offset) })
    }

    /// Bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}
