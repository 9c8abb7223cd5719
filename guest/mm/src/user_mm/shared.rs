//! What an address stands for, whoever maps it (Linux kernel/futex/core.c: `get_futex_key`).

use super::{UserMm, insert::file_of};
use crate::{
    FileId,
    machine::Machine,
    vma::{Area, Backing},
};
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
