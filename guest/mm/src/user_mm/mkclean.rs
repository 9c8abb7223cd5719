//! A page of a file is to be written: nobody may store to it without making it dirty again
//! (Linux mm/rmap.c: `folio_mkclean`).

use super::{UserMm, insert::file_of, truncate::borrow};
use crate::{
    Mm,
    machine::Machine,
    page_cache::FileId,
    pgtable::Pte,
    tlb::TlbGather,
    vma::{Area, Backing},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{PAGE_SHIFT, pte::PTE_DIRTY, vma::VmFlags};

impl<M: Machine + 'static> Mm<M> {
    /// Takes the right to store from all entries of shared mappings that hold page `index` of a file.
    pub(crate) fn page_mkclean(&'static self, file: FileId, index: u64) {
        let Some(vm) = self.vm.get() else { return };
        if !self.file_is_mapped(file) {
            return;
        }
        let mut next = self.state.mm_list.load(Relaxed);
        while next != 0 {
            // SAFETY: a link of the list. Pages are written between two operations, or by one that
            // holds no reference into the tree of its address space.
            let mut user = unsafe { borrow(self, vm, next) };
            user.mkclean(file, index);
            next = user.mm_struct().next.load(Relaxed);
        }
    }
}

impl<M: Machine + 'static> UserMm<M> {
    fn mkclean(&mut self, file: FileId, index: u64) {
        let mut gather = TlbGather::new(self.mm);
        let mut next = self.tree().find_vma(0).map(Area::of);
        while let Some(area) = next {
            if file_of(&area) == Some(file)
                && area.flags.contains(VmFlags::SHARED)
                && let Backing::File { pgoff, .. } = area.backing
                && (pgoff..pgoff + area.pages()).contains(&index)
            {
                let address = area.start + ((index - pgoff) << PAGE_SHIFT);
                if let Some(entry) = self.tables().walk(address) {
                    let pte = Pte(entry.load(Relaxed));
                    if pte.is_writable() {
                        entry.store(pte.read_only().0 & !PTE_DIRTY, Relaxed);
                        gather.change(address);
                    }
                }
            }
            next = self.tree().find_vma(area.end).map(Area::of);
        }
        gather.finish();
    }
}
