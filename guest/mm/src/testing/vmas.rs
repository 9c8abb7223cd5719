//! Areas in host memory.

use crate::vma::{VmaMemory, VmaObject};
use core::{num::NonZero, ptr::NonNull};
use pagelab_abi::vma::Vma;
use std::{boxed::Box, cell::RefCell, vec::Vec};

/// A pool of areas, reached as in the guest: by an address that is added to a base.
#[derive(Debug)]
pub struct VmaPool {
    areas: NonNull<Vma>,
    capacity: usize,
    free: RefCell<Vec<u64>>,
}

impl VmaPool {
    /// A pool of so many objects.
    pub fn new(capacity: usize) -> Self {
        let size = size_of::<Vma>() as u64;
        let areas: Box<[Vma]> = (0..=capacity).map(|_| Vma::new()).collect();
        Self {
            areas: NonNull::from(Box::leak(areas)).cast(),
            capacity,
            // Address 0 is no object.
            free: RefCell::new((1..=capacity as u64).rev().map(|i| i * size).collect()),
        }
    }

    /// An object for a tree over this pool; none if all are out.
    pub fn alloc(&self) -> Option<VmaObject> {
        let gpa = NonZero::new(self.free.borrow_mut().pop()?)?;
        // SAFETY: the area exists as long as the pool, and `free` had its address once.
        Some(unsafe { VmaObject::from_gpa(gpa) })
    }

    /// Takes an object back.
    pub fn free(&self, object: VmaObject) {
        self.free.borrow_mut().push(object.gpa());
    }

    /// Objects that are out.
    pub fn used(&self) -> usize {
        self.capacity - self.free.borrow().len()
    }
}

impl Drop for VmaPool {
    fn drop(&mut self) {
        let areas = NonNull::slice_from_raw_parts(self.areas, self.capacity + 1);
        // SAFETY: it was leaked from a box in `new`, and no reference outlives the pool.
        drop(unsafe { Box::from_raw(areas.as_ptr()) });
    }
}

// SAFETY: the areas stay where they are, each at its own multiple of its size.
unsafe impl VmaMemory for VmaPool {
    #[inline(always)]
    unsafe fn vma(&self, gpa: u64) -> &Vma {
        // SAFETY: an address that `alloc` gave out, by contract.
        unsafe { self.areas.byte_add(gpa as usize).as_ref() }
    }
}
