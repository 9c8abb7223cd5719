//! Where areas live, and who owns one that is in no tree.

use core::num::NonZero;
use pagelab_abi::vma::Vma;

/// An area's object that is in no tree. Whoever has it gives it to a tree or back to where it came
/// from; dropped, it leaks.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "give it to a tree or back to where it came from"]
pub struct VmaObject(NonZero<u64>);

impl VmaObject {
    /// The object at a physical address.
    ///
    /// # Safety
    /// A valid [`Vma`] is there in the [`VmaMemory`] of each tree that this value is given to. It
    /// stays there until its memory takes the value back, and there is no other value for it.
    pub const unsafe fn from_gpa(gpa: NonZero<u64>) -> Self {
        Self(gpa)
    }

    /// Physical address of the [`Vma`].
    pub const fn gpa(&self) -> u64 {
        self.0.get()
    }
}

/// Memory in which areas are found by their physical addresses.
///
/// # Safety
/// For the address of each live [`VmaObject`] that the memory gave out, [`Self::vma`] returns
/// always the same [`Vma`], and different ones for different addresses.
pub unsafe trait VmaMemory {
    /// The area at `gpa`.
    ///
    /// # Safety
    /// `gpa` is that of a live [`VmaObject`] of this memory, in a tree or not.
    unsafe fn vma(&self, gpa: u64) -> &Vma;
}

// SAFETY: as for `M`.
unsafe impl<M: VmaMemory> VmaMemory for &M {
    #[inline(always)]
    unsafe fn vma(&self, gpa: u64) -> &Vma {
        // SAFETY: by contract.
        unsafe { (**self).vma(gpa) }
    }
}
