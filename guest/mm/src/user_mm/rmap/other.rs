//! Another address space than the one that is being worked on, looked into.

use crate::{
    Mm,
    machine::Machine,
    pgtable::PageTables,
    user_mm::Vm,
    vma::{Area, VmaCache, VmaTree},
};
use core::{ptr::NonNull, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    mm_struct::{MmStruct, RssStat},
    vma::Vma,
};

/// A live address space, by reference. It can be the one whose method has asked for memory: such a
/// method holds no reference into its tree of areas then, and looks at its entries again.
pub(super) struct OtherMm<'a, M: Machine + 'static> {
    mm: &'a Mm<M>,
    vm: &'a Vm,
    at: NonNull<MmStruct>,
}

impl<'a, M: Machine + 'static> OtherMm<'a, M> {
    /// The address space at a physical address.
    ///
    /// # Safety
    /// A live one is there, and as long as the value lives nobody changes its areas.
    pub(super) unsafe fn new(mm: &'a Mm<M>, vm: &'a Vm, gpa: u64) -> Self {
        Self {
            mm,
            vm,
            at: mm.slab().object(gpa).cast(),
        }
    }

    /// What the host sees of it.
    fn mm_struct(&self) -> &'a MmStruct {
        // SAFETY: by the contract of `new`; what changes is atomic.
        unsafe { self.at.as_ref() }
    }

    /// The next one of the family.
    pub(super) fn next_in_group(&self) -> u64 {
        self.mm_struct().group_next.load(Relaxed)
    }

    /// Its page tables.
    pub(super) fn tables(&self) -> PageTables<'a, M> {
        let this = self.mm_struct();
        // SAFETY: the table of a live address space.
        unsafe { PageTables::new(self.mm, this.pgd.load(Relaxed), &this.pgtables) }
    }

    /// Its areas. Only searched.
    pub(super) fn tree(&mut self) -> VmaTree<'_, VmaCache<'a, Mm<M>>> {
        let areas = VmaCache::new(self.mm.slab(), &self.vm.vm_area_struct);
        // SAFETY: by the contract of `new`, and the cache is that of all areas.
        unsafe { VmaTree::attach(&mut self.at.as_mut().vmas, areas) }
    }

    /// Notes how much there is before it gets less.
    pub(super) fn note_hiwater(&self) {
        crate::user_mm::zap::note_hiwater(self.mm_struct());
    }

    /// Counts pages of a kind.
    pub(super) fn add_rss(&self, kind: RssStat, delta: i64) {
        crate::user_mm::add(&self.mm_struct().rss[kind as usize], delta);
    }
}

/// An area of a file's list: the area, the address space that it is part of, and the next one.
///
/// # Safety
/// `gpa` is that of a live area in the tree of a live address space.
pub(super) unsafe fn mapper<M: Machine>(mm: &Mm<M>, gpa: u64) -> (Area, u64, u64) {
    // SAFETY: by contract; what changes is atomic.
    let vma: &Vma = unsafe { mm.slab().object(gpa).cast().as_ref() };
    let (owner, next) = (vma.mm.load(Relaxed), vma.file_next.load(Relaxed));
    (Area::of(vma), owner, next)
}
