//! What an address stands for, whoever maps it (Linux kernel/futex/core.c: `get_futex_key`), and whether a
//! file can be stored to by mappings.

use super::{UserMm, insert::file_of, truncate::borrow};
use crate::{
    FileId, Mm,
    machine::Machine,
    vma::{Area, Backing},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{PAGE_SHIFT, vma::VmFlags};

impl<M: Machine + 'static> UserMm<M> {
    /// The file and the byte in it that an address of a shared mapping leads to; none elsewhere: what
    /// is private is this address space's alone.
    pub fn shared_place(&mut self, addr: u64) -> Option<(FileId, u64)> {
        let area = self.tree().find(addr).map(Area::of)?;
        let Backing::File { pgoff, .. } = area.backing else {
            return None;
        };
        let offset = (pgoff << PAGE_SHIFT) + (addr - area.start);
        let is_shared = area.flags.contains(VmFlags::SHARED);
        is_shared.then(|| file_of(&area).map(|file| (file, offset)))?
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Whether anybody has a shared mapping of a file that may be stored to, now or after mprotect
    /// (Linux: `mapping_writably_mapped`).
    pub fn file_may_be_stored_to(&'static self, file: FileId) -> bool {
        let Some(vm) = self.vm.get() else {
            return false;
        };
        if !self.file_is_mapped(file) {
            return false;
        }
        let mut next = self.state.mm_list.load(Relaxed);
        while next != 0 {
            // SAFETY: a link of the list. A system call on a file holds no reference into the tree of an
            // address space.
            let mut user = unsafe { borrow(self, vm, next) };
            if user.may_store_to(file) {
                return true;
            }
            next = user.mm_struct().next.load(Relaxed);
        }
        false
    }
}

impl<M: Machine + 'static> UserMm<M> {
    fn may_store_to(&mut self, file: FileId) -> bool {
        let tree = self.tree();
        let mut areas = tree.iter().map(Area::of);
        areas.any(|area| {
            file_of(&area) == Some(file) && area.flags.contains(VmFlags::SHARED | VmFlags::MAYWRITE)
        })
    }
}
