//! mmap (Linux mm/mmap.c: `do_mmap`, `mmap_region`).

use super::{MAX_MAP_COUNT, MmapRequest, UserMm, place::page_align};
use crate::{
    machine::Machine,
    vma::{Area, Backing},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    errno::Errno,
    event::EventKind,
    gfp::Gfp,
    mman::{MAP_SHARED_VALIDATE, MAP_TYPE, MapFlags, Prot},
    vma::VmFlags,
};

/// The flags of a program's data (Linux: `VM_DATA_DEFAULT_FLAGS`, `VM_ACCOUNT`).
pub(super) const DATA_FLAGS: VmFlags = VmFlags::READ
    .union(VmFlags::WRITE)
    .union(VmFlags::MAYREAD)
    .union(VmFlags::MAYWRITE)
    .union(VmFlags::MAYEXEC)
    .union(VmFlags::ACCOUNT);

/// Flags that `MAP_SHARED_VALIDATE` knows (Linux include/linux/mman.h: `LEGACY_MAP_MASK`).
const KNOWN: MapFlags = MapFlags::all();

/// The rights of an area (Linux: `calc_vm_prot_bits`).
pub(super) const fn prot_flags(prot: Prot) -> VmFlags {
    // READ, WRITE and EXEC have the same numbers in both.
    const RIGHTS: u64 = VmFlags::READ.bits() | VmFlags::WRITE.bits() | VmFlags::EXEC.bits();
    VmFlags::from_bits_retain(prot.bits() as u64 & RIGHTS)
}

/// The properties of an area (Linux: `calc_vm_flag_bits`).
const fn map_flags(flags: MapFlags) -> VmFlags {
    let mut vm = VmFlags::MAYREAD
        .union(VmFlags::MAYWRITE)
        .union(VmFlags::MAYEXEC);
    if flags.contains(MapFlags::GROWSDOWN) {
        vm = vm.union(VmFlags::GROWSDOWN);
    }
    if flags.contains(MapFlags::LOCKED) {
        vm = vm.union(VmFlags::LOCKED);
    }
    if flags.contains(MapFlags::NORESERVE) {
        vm = vm.union(VmFlags::NORESERVE);
    }
    vm
}

impl<M: Machine + 'static> UserMm<M> {
    /// Maps memory, and returns where.
    ///
    /// # Errors
    /// `EINVAL` for a length of 0, an unaligned fixed address or contradicting flags, `ENOMEM` for
    /// want of memory, room or areas, `EEXIST` if something is at a `FIXED_NOREPLACE` address,
    /// `EPERM` below the lowest address, `EOPNOTSUPP` for flags that `MAP_SHARED_VALIDATE` does not
    /// know.
    pub fn mmap(&mut self, request: &MmapRequest) -> Result<u64, Errno> {
        let flags = request.flags;
        let len = page_align(request.len)?;
        if self.tree().len() > MAX_MAP_COUNT {
            return Err(Errno::ENOMEM);
        }
        let start = self.place(request.addr, len, flags)?;
        let end = start + len;
        if flags.contains(MapFlags::FIXED_NOREPLACE)
            && self.tree().find_intersection(start, end).is_some()
        {
            return Err(Errno::EEXIST);
        }
        let vm_flags = self.vm_flags(request)?;
        let area = Area {
            start,
            end,
            flags: vm_flags,
            backing: Backing::anonymous(start),
        };
        if flags.contains(MapFlags::HUGETLB) {
            // None were set aside.
            return Err(Errno::ENOMEM);
        }
        self.map_area(&area)?;
        if flags.contains(MapFlags::LOCKED)
            || flags & (MapFlags::POPULATE | MapFlags::NONBLOCK) == MapFlags::POPULATE
        {
            // What does not succeed here is tried again by a fault.
            let _ = self.populate(start, end);
        }
        Ok(start)
    }

    /// The flags of the area that a request makes.
    fn vm_flags(&self, request: &MmapRequest) -> Result<VmFlags, Errno> {
        let mut vm = prot_flags(request.prot) | map_flags(request.flags);
        vm |= VmFlags::from_bits_retain(self.mm_struct().def_flags.load(Relaxed));
        match request.flags.bits() & MAP_TYPE {
            kind if kind == MapFlags::PRIVATE.bits() => {}
            kind if kind == MapFlags::SHARED.bits() || kind == MAP_SHARED_VALIDATE => {
                if kind == MAP_SHARED_VALIDATE && !(request.flags - KNOWN).is_empty() {
                    return Err(Errno::EOPNOTSUPP);
                }
                return Err(Errno::ENODEV);
            }
            _ => return Err(Errno::EINVAL),
        }
        if is_accountable(vm) {
            vm |= VmFlags::ACCOUNT;
        }
        Ok(vm)
    }

    /// Makes an area, in place of what is in its range.
    pub(super) fn map_area(&mut self, area: &Area) -> Result<(), Errno> {
        if area.flags.contains(VmFlags::ACCOUNT) && area.pages() > self.mm.total_ram() {
            return Err(Errno::ENOMEM);
        }
        let occupied = self
            .tree()
            .find_intersection(area.start, area.end)
            .is_some();
        // What is next to the range only after it was cleared is not looked for.
        let joins = !occupied && self.joins_neighbour(area);
        let object = if joins {
            None
        } else {
            let object = self.areas().alloc(Gfp::KERNEL);
            Some(object.map_err(|_| Errno::ENOMEM)?)
        };
        if occupied && let Err(error) = self.unmap_range(area.start, area.end) {
            if let Some(object) = object {
                self.areas().free(object);
            }
            return Err(error);
        }
        self.insert(area, object);
        self.mm
            .machine
            .event(EventKind::Map, area.start, area.pages());
        Ok(())
    }

    /// Brings in all pages of a range whose areas allow it (Linux: `__mm_populate`).
    ///
    /// # Errors
    /// `ENOMEM` at the first page for which there is no memory or no area, `EFAULT` at one that
    /// cannot be accessed.
    pub(super) fn populate(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        use super::{Access, FaultSignal};
        use pagelab_abi::PAGE_SIZE;
        let mut address = start;
        while address < end {
            let area = self.tree().find(address).map(Area::of);
            let area = area.ok_or(Errno::ENOMEM)?;
            let writable = area.flags & (VmFlags::WRITE | VmFlags::SHARED) == VmFlags::WRITE;
            let access = if writable {
                Access::Write
            } else {
                Access::Read
            };
            let stop = area.end.min(end);
            while address < stop {
                self.fault_in(address, access)
                    .map_err(|signal| match signal {
                        FaultSignal::Oom => Errno::ENOMEM,
                        _ => Errno::EFAULT,
                    })?;
                address += PAGE_SIZE;
            }
        }
        Ok(())
    }
}

/// Whether the pages of an area could all have to be found some day (Linux: `accountable_mapping`).
pub(super) const fn is_accountable(flags: VmFlags) -> bool {
    const MASK: VmFlags = VmFlags::NORESERVE
        .union(VmFlags::SHARED)
        .union(VmFlags::WRITE);
    flags.intersection(MASK).bits() == VmFlags::WRITE.bits()
}
