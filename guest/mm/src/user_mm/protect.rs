//! mprotect (Linux mm/mprotect.c: `do_mprotect_pkey`).

use super::{
    UserMm,
    mmap::{is_accountable, prot_flags},
};
use crate::{
    machine::Machine,
    mutation::{Mutation, is_planted},
    pgtable::{HUGE_SIZE, Part, Pte},
    tlb::TlbGather,
    vma::Area,
};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{PAGE_SHIFT, PAGE_SIZE, errno::Errno, mman::Prot, vma::VmFlags};

/// The rights among an area's flags.
const RIGHTS: VmFlags = VmFlags::READ.union(VmFlags::WRITE).union(VmFlags::EXEC);

impl<M: Machine + 'static> UserMm<M> {
    /// Changes the rights of a range.
    ///
    /// # Errors
    /// `EINVAL` for an unaligned address or wrong rights, `EACCES` for rights that an area must not
    /// have, `ENOMEM` if a part is not mapped or there is no memory. Areas before the one that
    /// failed have been changed.
    pub fn mprotect(&mut self, addr: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        let grows = prot & (Prot::GROWSDOWN | Prot::GROWSUP);
        let prot = prot - grows;
        if grows == Prot::GROWSDOWN | Prot::GROWSUP || !addr.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok(());
        }
        let end = len
            .checked_next_multiple_of(PAGE_SIZE)
            .and_then(|len| addr.checked_add(len))
            .ok_or(Errno::ENOMEM)?;
        if !(prot - (Prot::READ | Prot::WRITE | Prot::EXEC | Prot::SEM)).is_empty() {
            return Err(Errno::EINVAL);
        }
        let first = self.tree().find_vma(addr).map(Area::of);
        let first = first.ok_or(Errno::ENOMEM)?;
        let mut start = addr;
        if grows == Prot::GROWSDOWN {
            if first.start >= end {
                return Err(Errno::ENOMEM);
            }
            if !first.flags.contains(VmFlags::GROWSDOWN) {
                return Err(Errno::EINVAL);
            }
            start = first.start;
        } else if first.start > addr {
            return Err(Errno::ENOMEM);
        } else if grows == Prot::GROWSUP {
            return Err(Errno::EINVAL);
        }
        let rights = prot_flags(prot);
        let changed = self.each_area(start, end, |user, area, part| {
            user.protect_part(area, part, rights)
        });
        if is_planted(Mutation::LostTlbFlush) && changed.is_ok() {
            self.mm.machine.flush_tlb_all();
        }
        changed
    }

    /// Changes the rights of a part of an area (Linux: `mprotect_fixup`).
    fn protect_part(
        &mut self,
        area: &Area,
        part: Range<u64>,
        rights: VmFlags,
    ) -> Result<(), Errno> {
        let mut flags = (area.flags - RIGHTS) | rights;
        // The bits of MAYREAD and so on are those of READ and so on, four higher.
        let may = VmFlags::from_bits_retain(area.flags.bits() >> 4);
        if !(rights - may).is_empty() {
            return Err(Errno::EACCES);
        }
        if flags == area.flags {
            return Ok(());
        }
        let pages = (part.end - part.start) >> PAGE_SHIFT;
        self.may_become(area.flags, flags, pages)?;
        if is_accountable(flags) && !area.flags.contains(VmFlags::ACCOUNT) {
            if pages > self.mm().total_ram_and_swap() {
                return Err(Errno::ENOMEM);
            }
            flags |= VmFlags::ACCOUNT;
        }
        if let Err(error) = self.isolate(area, &part) {
            if is_planted(Mutation::MprotectUndo) {
                self.set_flags(area.start, flags);
            }
            return Err(error);
        }
        self.set_flags(part.start, flags);
        let notify = self.wants_writenotify(area);
        self.change_entries(part.clone(), flags, notify);
        self.merge_at(part.start);
        Ok(())
    }

    /// Gives the entries of a range the rights of its area. With `notify`, none becomes writable that
    /// was not.
    fn change_entries(&self, range: Range<u64>, flags: VmFlags, notify: bool) {
        let mut gather = TlbGather::new(self.mm);
        let tables = self.tables();
        let closed = !flags.intersects(RIGHTS);
        tables.for_each_part(range.start, range.end, |address, part| {
            // A large entry is always present.
            let entries = match part {
                Part::Node(entries) => entries,
                Part::Huge(_) if closed => tables.split(address),
                Part::Huge(entry) => {
                    let pte = Pte(entry.load(Relaxed));
                    entry.store(pte.with_rights(flags).0, Relaxed);
                    gather.change(address);
                    gather.change(address + HUGE_SIZE - PAGE_SIZE);
                    return;
                }
            };
            for (page, entry) in entries.iter().enumerate() {
                let pte = Pte(entry.load(Relaxed));
                // What is in swap gets the rights of its area when it comes back.
                if !pte.holds_page() {
                    continue;
                }
                let mut new = pte.with_rights(flags);
                if notify && !pte.is_writable() {
                    new = new.read_only();
                }
                if new != pte {
                    entry.store(new.0, Relaxed);
                    gather.change(address + ((page as u64) << PAGE_SHIFT));
                }
            }
        });
        if is_planted(Mutation::LostTlbFlush) {
            core::mem::forget(gather);
        } else {
            gather.finish();
        }
    }
}
