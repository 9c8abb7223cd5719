//! What an address space cannot do yet. Methods of the type itself take precedence over these.

use super::Space;
use pagelab_abi::{
    errno::Errno,
    mman::{MapFlags, Prot},
};
use pagelab_mm::user_mm::MmapRequest;

#[allow(dead_code, unused_variables, missing_docs)]
pub(crate) trait Lacking: Sized {
    fn set_brk_start(&mut self, at: u64) {}
    fn brk(&mut self, at: u64) -> u64 {
        0
    }
    fn mprotect(&mut self, at: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn map_stack(&mut self, top: u64, size: u64, limit: u64) -> Result<(), Errno>;
    fn mremap(
        &mut self,
        old: u64,
        old_len: u64,
        len: u64,
        flags: u32,
        new: u64,
    ) -> Result<u64, Errno> {
        Err(Errno::ENOSYS)
    }
    fn madvise(&mut self, at: u64, len: u64, advice: u32) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn msync(&mut self, at: u64, len: u64, flags: u32) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn mincore(&mut self, at: u64, len: u64, vec: u64) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn mlock(&mut self, at: u64, len: u64, flags: u32) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn munlock(&mut self, at: u64, len: u64) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn mlockall(&mut self, flags: u32) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn munlockall(&mut self) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn fork(&mut self) -> Result<Space, Errno> {
        Err(Errno::ENOSYS)
    }
}

impl Lacking for Space {
    fn map_stack(&mut self, top: u64, size: u64, _: u64) -> Result<(), Errno> {
        let mut request = MmapRequest::anonymous(size, Prot::READ | Prot::WRITE).fixed(top - size);
        request.flags |= MapFlags::GROWSDOWN;
        self.mmap(&request).map(|_| ())
    }
}
