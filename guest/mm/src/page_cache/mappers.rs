//! The areas that map a file (Linux: `i_mmap`; there a tree by place in the file, here a list: a file
//! has few mappers, and who walks wants those of all places or nearly so).

use super::FileId;
use crate::{Mm, machine::Machine, sync};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::vma::Vma;

impl<M: Machine + 'static> Mm<M> {
    /// The newest area that maps a file, from which [`Vma::file_next`] leads to the others; 0 for none.
    ///
    /// # Panics
    /// If there is no such file.
    pub(crate) fn file_mappers(&self, file: FileId) -> u64 {
        self.space(file).i_mmap.load(Relaxed)
    }

    /// Puts an area into the list of its file.
    ///
    /// # Safety
    /// A live [`Vma`] is at `gpa`, which is in no such list and stays there until
    /// [`Self::i_mmap_remove`].
    ///
    /// # Panics
    /// If there is no such file.
    pub(crate) unsafe fn i_mmap_insert(&self, file: FileId, gpa: u64) {
        let space = self.space(file);
        let _held = sync::lock(&space.lock, || self.machine.relax());
        let next = space.i_mmap.load(Relaxed);
        // SAFETY: by contract.
        if let Some(vma) = unsafe { self.mapper(gpa) } {
            vma.file_next.store(next, Relaxed);
            vma.file_prev.store(0, Relaxed);
        }
        // SAFETY: what is in the list lives.
        if let Some(next) = unsafe { self.mapper(next) } {
            next.file_prev.store(gpa, Relaxed);
        }
        space.i_mmap.store(gpa, Relaxed);
    }

    /// Takes an area out of the list of its file.
    ///
    /// # Safety
    /// It is in that list.
    ///
    /// # Panics
    /// If there is no such file.
    pub(crate) unsafe fn i_mmap_remove(&self, file: FileId, gpa: u64) {
        let space = self.space(file);
        let _held = sync::lock(&space.lock, || self.machine.relax());
        // SAFETY: by contract, and what is in the list lives.
        unsafe {
            let Some(vma) = self.mapper(gpa) else { return };
            let (next, prev) = (vma.file_next.load(Relaxed), vma.file_prev.load(Relaxed));
            match self.mapper(prev) {
                Some(prev) => prev.file_next.store(next, Relaxed),
                None => space.i_mmap.store(next, Relaxed),
            }
            if let Some(next) = self.mapper(next) {
                next.file_prev.store(prev, Relaxed);
            }
        }
    }

    /// An area; none for 0.
    ///
    /// # Safety
    /// A live [`Vma`] is at `gpa`, if it is not 0.
    unsafe fn mapper(&self, gpa: u64) -> Option<&Vma> {
        if gpa == 0 {
            return None;
        }
        // SAFETY: by contract; all that changes in it is atomic.
        Some(unsafe { self.slab().object(gpa).cast().as_ref() })
    }
}
