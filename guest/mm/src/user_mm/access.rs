//! The kernel loads from and stores to a program's memory for a system call: through the page
//! tables in software, never through the program's addresses (Linux: `copy_from_user`,
//! `copy_to_user`).

use super::{Access, Fault, FaultSignal, UserMm};
use crate::{Pfn, machine::Machine};
use core::{ptr::NonNull, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SIZE,
    mm_struct::MMF_IN_ACCESS,
    pte::{PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_WRITE, USER_END},
};

impl<M: Machine + 'static> UserMm<M> {
    /// Loads `buf` from `addr`, whole.
    ///
    /// # Errors
    /// [`Fault`]: a part of it is not the program's to read, or there is no memory for it. What is in
    /// front of that part has been loaded.
    pub fn read(&mut self, addr: u64, buf: &mut [u8]) -> Result<(), Fault> {
        self.each_page(addr, buf.len(), Access::Read, |at, done, bytes| {
            let part = &mut buf[done..done + bytes];
            // SAFETY: `at` is a window with so many bytes, and not of `buf`, which is the kernel's.
            unsafe { at.copy_to_nonoverlapping(NonNull::from(part).cast(), bytes) };
        })
    }

    /// Stores `buf` at `addr`, whole.
    ///
    /// # Errors
    /// [`Fault`]: a part of it is not the program's to write, or there is no memory for it. What is
    /// in front of that part has been stored.
    pub fn write(&mut self, addr: u64, buf: &[u8]) -> Result<(), Fault> {
        self.each_page(addr, buf.len(), Access::Write, |at, done, bytes| {
            let part = &buf[done..done + bytes];
            // SAFETY: as above.
            unsafe { at.copy_from_nonoverlapping(NonNull::from(part).cast(), bytes) };
        })
    }

    /// Fills `len` bytes at `addr` with zeros, whole (Linux: `clear_user`).
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn clear(&mut self, addr: u64, len: usize) -> Result<(), Fault> {
        self.each_page(addr, len, Access::Write, |at, _, bytes| {
            // SAFETY: as above.
            unsafe { at.write_bytes(0, bytes) };
        })
    }

    /// Calls `each` with every page's part of a range: where it is, the bytes before it, its bytes.
    /// Meanwhile the tables stay, whoever's memory this is.
    fn each_page(
        &mut self,
        addr: u64,
        len: usize,
        access: Access,
        each: impl FnMut(NonNull<u8>, usize, usize),
    ) -> Result<(), Fault> {
        let flags = &self.mm_struct().flags;
        flags.fetch_or(MMF_IN_ACCESS, Relaxed);
        let result = self.each_page_of(addr, len, access, each);
        let flags = &self.mm_struct().flags;
        flags.fetch_and(!MMF_IN_ACCESS, Relaxed);
        result
    }

    fn each_page_of(
        &mut self,
        addr: u64,
        len: usize,
        access: Access,
        mut each: impl FnMut(NonNull<u8>, usize, usize),
    ) -> Result<(), Fault> {
        let mut copied = 0;
        while copied < len {
            // Wraps only to addresses that are refused below.
            let at = addr.wrapping_add(copied as u64);
            let failed = |signal| Fault { copied, signal };
            if at >= USER_END {
                return Err(failed(FaultSignal::MapErr(at)));
            }
            let pfn = self.user_page(at, access).map_err(failed)?;
            let offset = at % PAGE_SIZE;
            let bytes = (len - copied).min((PAGE_SIZE - offset) as usize);
            let machine = &self.mm.machine;
            let Some(window) = machine.kmap_local(pfn.0) else {
                return Err(failed(FaultSignal::Oom));
            };
            // SAFETY: inside the frame. The page stays where it is: nothing here unmaps it.
            unsafe {
                each(window.add(offset as usize), copied, bytes);
                machine.kunmap_local(window);
            }
            copied += bytes;
        }
        Ok(())
    }

    /// The frame behind an address, made accessible first if need be, and marked as accessed.
    fn user_page(&mut self, at: u64, access: Access) -> Result<Pfn, FaultSignal> {
        let (right, mark) = match access {
            Access::Write => (PTE_PRESENT | PTE_WRITE, PTE_ACCESSED | PTE_DIRTY),
            Access::Read | Access::Exec => (PTE_PRESENT, PTE_ACCESSED),
        };
        loop {
            if let Some((entry, pte)) = self.tables().lookup(at)
                && pte.0 & right == right
            {
                entry.store(entry.load(Relaxed) | mark, Relaxed);
                return Ok(pte.pfn());
            }
            self.fault_in(at, access)?;
        }
    }
}
