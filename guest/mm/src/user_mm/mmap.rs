//! mmap (Linux mm/mmap.c: `do_mmap`, `mmap_region`).

use super::{MAX_MAP_COUNT, MmapRequest, UserMm, place::page_align};
use crate::{
    machine::Machine,
    page_cache::FileId,
    vma::{Area, Backing},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SHIFT,
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
const KNOWN: MapFlags = MapFlags::all().difference(MapFlags::SYNC);

/// Pages that a file can have (Linux: `MAX_LFS_FILESIZE`).
const MAX_FILE_PAGES: u64 = 1 << (63 - PAGE_SHIFT);

/// The rights of an area (Linux: `calc_vm_prot_bits`).
pub(super) const fn prot_flags(prot: Prot) -> VmFlags {
    // READ, WRITE and EXEC have the same numbers in both.
    const RIGHTS: u64 = VmFlags::READ.bits() | VmFlags::WRITE.bits() | VmFlags::EXEC.bits();
    VmFlags::from_bits_retain(prot.bits() as u64 & RIGHTS)
}

/// The properties of an area (Linux: `calc_vm_flag_bits`).
fn map_flags(flags: MapFlags) -> VmFlags {
    let mut vm = VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC;
    for (asked, given) in [
        (MapFlags::GROWSDOWN, VmFlags::GROWSDOWN),
        (MapFlags::LOCKED, VmFlags::LOCKED),
        (MapFlags::NORESERVE, VmFlags::NORESERVE),
    ] {
        if flags.contains(asked) {
            vm |= given;
        }
    }
    vm
}

impl<M: Machine + 'static> UserMm<M> {
    /// Maps memory or a file, and returns where.
    ///
    /// # Errors
    /// `EINVAL` for a length of 0, an unaligned fixed address or contradicting flags, `ENOMEM` for
    /// want of memory, room or areas, `EEXIST` if something is at a `FIXED_NOREPLACE` address,
    /// `EPERM` below the lowest address or where nothing may be locked, `EAGAIN` above what may be locked, `EACCES` for what the file's descriptor does not allow,
    /// `EOVERFLOW` for pages that no file has, `EOPNOTSUPP` for flags that `MAP_SHARED_VALIDATE` does
    /// not know.
    pub fn mmap(&mut self, request: &MmapRequest) -> Result<u64, Errno> {
        let flags = request.flags;
        let len = page_align(request.len)?;
        if let Some(file) = request.file
            && file.pgoff > MAX_FILE_PAGES - (len >> PAGE_SHIFT).min(MAX_FILE_PAGES)
        {
            return Err(Errno::EOVERFLOW);
        }
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
        if flags.contains(MapFlags::LOCKED) {
            self.may_lock()?;
        }
        let vm = self.vm_flags(request)?;
        self.may_lock_future(vm, len >> PAGE_SHIFT)?;
        if flags.contains(MapFlags::HUGETLB) {
            // None were set aside.
            return Err(Errno::ENOMEM);
        }
        let area = |backing| Area {
            start,
            end,
            flags: vm,
            backing,
        };
        match request.file {
            Some(mapping) => self.map_area(&area(Backing::File {
                file: mapping.file.get(),
                pgoff: mapping.pgoff,
            }))?,
            None if vm.contains(VmFlags::SHARED) => {
                let file = self.new_shared(len)?;
                let mapped = self.map_area(&area(Backing::File {
                    file: file.get(),
                    pgoff: 0,
                }));
                // The area has a reference of its own.
                self.mm.file_put(file);
                mapped?;
            }
            None => self.map_area(&area(Backing::anonymous(start)))?,
        }
        if vm.contains(VmFlags::LOCKED)
            || flags & (MapFlags::POPULATE | MapFlags::NONBLOCK) == MapFlags::POPULATE
        {
            self.populate_what_goes(start, end);
        }
        Ok(start)
    }

    /// The file behind shared memory without a name (Linux: `shmem_zero_setup`).
    fn new_shared(&self, len: u64) -> Result<FileId, Errno> {
        let file = self.mm.file_new_shmem().map_err(|_| Errno::ENOMEM)?;
        if self.mm.file_set_size(file, len).is_err() {
            self.mm.file_put(file);
            return Err(Errno::ENOMEM);
        }
        Ok(file)
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
                vm |= VmFlags::SHARED | VmFlags::MAYSHARE;
                if let Some(mapping) = request.file
                    && !mapping.may_write
                {
                    if request.prot.contains(Prot::WRITE) {
                        return Err(Errno::EACCES);
                    }
                    vm -= VmFlags::MAYWRITE | VmFlags::SHARED;
                }
                if vm.contains(VmFlags::GROWSDOWN) && request.file.is_none() {
                    return Err(Errno::EINVAL);
                }
            }
            _ => return Err(Errno::EINVAL),
        }
        if let Some(mapping) = request.file {
            if !mapping.may_read {
                return Err(Errno::EACCES);
            }
            if vm.contains(VmFlags::GROWSDOWN) {
                return Err(Errno::EINVAL);
            }
        }
        if is_accountable(vm) {
            vm |= VmFlags::ACCOUNT;
        }
        Ok(vm)
    }

    /// Makes an area, in place of what is in its range.
    pub(super) fn map_area(&mut self, area: &Area) -> Result<(), Errno> {
        self.may_map(area)?;
        let anonymous = matches!(area.backing, Backing::Anonymous { .. });
        let counts = area.flags.contains(VmFlags::ACCOUNT)
            || !anonymous && area.flags.contains(VmFlags::SHARED) && self.is_shmem(area);
        if counts
            && area.pages() > self.mm.total_ram_and_swap()
            && !area.flags.contains(VmFlags::NORESERVE)
        {
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
}

/// Whether the pages of an area could all have to be found some day (Linux: `accountable_mapping`).
pub(super) const fn is_accountable(flags: VmFlags) -> bool {
    const MASK: VmFlags = VmFlags::NORESERVE
        .union(VmFlags::SHARED)
        .union(VmFlags::WRITE);
    flags.intersection(MASK).bits() == VmFlags::WRITE.bits()
}

/// Whether an area is private memory that can be written, but for a stack (Linux:
/// `is_data_mapping`).
pub(super) const fn is_data(flags: VmFlags) -> bool {
    const MASK: VmFlags = VmFlags::WRITE
        .union(VmFlags::SHARED)
        .union(VmFlags::GROWSDOWN);
    flags.intersection(MASK).bits() == VmFlags::WRITE.bits()
}
