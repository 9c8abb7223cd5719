//! Files whose pages are mapped become shorter (Linux mm/memory.c: `unmap_mapping_range`,
//! mm/truncate.c: `truncate_setsize`).

use super::{UserMm, Vm};
use crate::{
    Mm,
    machine::Machine,
    page_cache::{FileError, FileId},
    tlb::TlbGather,
    vma::{Area, Backing},
};
use core::{mem::ManuallyDrop, ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{PAGE_SHIFT, PAGE_SIZE, mm_struct::MmStruct, vma::Vma};

/// Which pages of a private mapping go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cows {
    /// Those that were copied as well.
    Go,
    /// Those of the file alone.
    Stay,
}

impl<M: Machine + 'static> Mm<M> {
    /// ftruncate: gives a file another size. Pages behind its end leave all address spaces first, so
    /// that an access to them is a SIGBUS. No address space may be in the middle of a change.
    ///
    /// # Errors
    /// As [`Mm::file_set_size`].
    pub fn truncate(&'static self, file: FileId, size: u64) -> Result<(), FileError> {
        if size < self.file_size(file) {
            self.unmap_mapping(file, size.div_ceil(PAGE_SIZE)..u64::MAX, Cows::Go);
        }
        self.file_set_size(file, size)
    }

    /// fallocate with FALLOC_FL_PUNCH_HOLE: makes bytes a hole. Whole pages leave all address
    /// spaces first.
    ///
    /// # Errors
    /// As [`Mm::file_punch_hole`].
    pub fn punch_hole(&'static self, file: FileId, start: u64, end: u64) -> Result<(), FileError> {
        if self.file_has_store(file) {
            return Err(FileError::Unsupported);
        }
        let pages = start.div_ceil(PAGE_SIZE)..end >> PAGE_SHIFT;
        self.unmap_mapping(file, pages, Cows::Stay);
        self.file_punch_hole(file, start, end)
    }

    fn unmap_mapping(&'static self, file: FileId, pages: Range<u64>, cows: Cows) {
        let Some(vm) = self.vm.get() else { return };
        if pages.is_empty() || !self.file_is_mapped(file) {
            return;
        }
        let mut next = self.file_mappers(file);
        while next != 0 {
            // SAFETY: the areas in a file's list are in the trees of live address spaces; all that
            // changes in one is atomic.
            let vma: &Vma = unsafe { self.slab().object(next).cast().as_ref() };
            let (area, owner) = (Area::of(vma), vma.mm.load(Relaxed));
            // SAFETY: as above, and nobody has a reference into its tree: this is not called from a
            // method that changes an address space while it holds one.
            let user = unsafe { borrow(self, vm, owner) };
            user.unmap_file_pages(&area, &pages, cows);
            // Areas neither come nor go meanwhile.
            next = vma.file_next.load(Relaxed);
        }
    }
}

/// Another handle of a live address space, which does not own it.
///
/// # Safety
/// `gpa` is that of a live address space, and its tree is not borrowed.
pub(super) unsafe fn borrow<M: Machine>(
    mm: &'static Mm<M>,
    vm: &'static Vm,
    gpa: u64,
) -> ManuallyDrop<UserMm<M>> {
    let at = mm.slab().object(gpa).cast::<MmStruct>();
    // SAFETY: by contract.
    let pgd = unsafe { at.as_ref() }.pgd.load(Relaxed);
    ManuallyDrop::new(UserMm {
        mm,
        vm,
        at,
        gpa,
        pgd,
    })
}

impl<M: Machine + 'static> UserMm<M> {
    /// Takes these pages of a file out of one area that maps it.
    fn unmap_file_pages(&self, area: &Area, pages: &Range<u64>, cows: Cows) {
        let Backing::File { pgoff, .. } = area.backing else {
            return;
        };
        let end = pgoff + area.pages();
        let (first, last) = (pages.start.clamp(pgoff, end), pages.end.clamp(pgoff, end));
        let address = |page: u64| area.start + ((page - pgoff) << PAGE_SHIFT);
        let part = address(first)..address(last);
        if !part.is_empty() {
            let mut gather = TlbGather::new(self.mm);
            self.zap_pages(area, part, cows == Cows::Go, &mut gather);
            gather.finish();
        }
    }
}
