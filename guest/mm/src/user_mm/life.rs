//! Birth and end of an address space.

use super::{UserMm, Vm, add};
use crate::{
    AllocError, Mm,
    machine::Machine,
    pgtable::{free_pgd, new_pgd},
    tlb::TlbGather,
    vma::VmaTree,
};
use core::{mem::ManuallyDrop, ptr::NonNull, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SIZE,
    gfp::Gfp,
    mm_struct::{MM_STRUCT_MAGIC, MmStruct},
    pte::{USER_END, USER_START},
    vma::STACK_GUARD_GAP,
};

/// First address behind all that a top-level table's half can map.
pub(super) const TABLES_END: u64 = 1 << 47;

/// Least room that mmap leaves for the stack (Linux arch/x86/mm/mmap.c: `SIZE_128M`).
const STACK_ROOM: u64 = 128 << 20;

/// Bytes that a stack may have unless somebody says otherwise (Linux: `_STK_LIM`).
const STACK_LIMIT: u64 = 8 << 20;

impl<M: Machine + 'static> UserMm<M> {
    /// An address space without areas.
    ///
    /// # Errors
    /// [`AllocError`].
    ///
    /// # Panics
    /// Before [`Mm::vm_init`].
    pub fn new(mm: &'static Mm<M>) -> Result<Self, AllocError> {
        let vm = mm.vm.get().expect("vm_init ran at boot");
        let group = mm.new_anon_group(vm)?;
        Self::in_group(mm, vm, group).inspect_err(|_| mm.free_anon_group(vm, group))
    }

    /// An address space without areas, in a family.
    ///
    /// # Errors
    /// [`AllocError`].
    pub(super) fn in_group(
        mm: &'static Mm<M>,
        vm: &'static Vm,
        group: u64,
    ) -> Result<Self, AllocError> {
        let object = mm
            .slab()
            .kmem_cache_alloc(&vm.mm_struct, Gfp::KERNEL)
            .map_err(|_| AllocError::NoMemory)?;
        let at = object.cast::<MmStruct>();
        // SAFETY: the object has the size and alignment of a `MmStruct` and is this function's.
        unsafe { at.write(MmStruct::new()) };
        let pgd = match new_pgd(mm) {
            Ok(pgd) => pgd,
            Err(error) => {
                free_object(mm, vm, at);
                return Err(error);
            }
        };
        let mut new = Self {
            mm,
            vm,
            at,
            gpa: mm.slab().physical(object),
            pgd,
        };
        let areas = new.areas();
        // SAFETY: the object is this value's, and nobody else has a reference to it.
        let root = unsafe { &mut new.at.as_mut().vmas };
        VmaTree::new(root, areas, USER_START, USER_END).expect("the bounds are page-aligned");
        let this = new.mm_struct();
        this.pgd.store(pgd, Relaxed);
        this.pgtables.store(1, Relaxed);
        this.mmap_base.store(mmap_base(STACK_LIMIT), Relaxed);
        this.stack_limit.store(STACK_LIMIT, Relaxed);
        this.mm_users.store(1, Relaxed);
        new.join_group(group);
        new.register();
        Ok(new)
    }

    /// A second value for an address space, beside that of its owner. None before
    /// [`Mm::vm_init`].
    ///
    /// # Safety
    /// `gpa` is that of a live address space of `mm`, which outlives the value. Its tree of areas is
    /// not borrowed while the value is used, and its owner is in no method that relies on what is
    /// changed through it.
    pub unsafe fn second(mm: &'static Mm<M>, gpa: u64) -> Option<ManuallyDrop<Self>> {
        let at = mm.slab().object(gpa).cast::<MmStruct>();
        // SAFETY: by contract it lives; what is read is atomic.
        let pgd = unsafe { at.as_ref() }.pgd.load(Relaxed);
        // The owner stays the owner.
        Some(ManuallyDrop::new(Self {
            mm,
            vm: mm.vm.get()?,
            at,
            gpa,
            pgd,
        }))
    }

    /// Puts it into the list of all, and so shows it to the host.
    fn register(&self) {
        let state = self.mm.state;
        let this = self.mm_struct();
        let id = state.next_mm_id.load(Relaxed) + 1;
        state.next_mm_id.store(id, Relaxed);
        this.id.store(id, Relaxed);
        let next = state.mm_list.load(Relaxed);
        this.next.store(next, Relaxed);
        self.set_prev(next, self.gpa);
        this.magic.store(MM_STRUCT_MAGIC, Relaxed);
        state.mm_list.store(self.gpa, Relaxed);
        state.nr_mms.fetch_add(1, Relaxed);
    }

    fn unregister(&self) {
        let state = self.mm.state;
        let this = self.mm_struct();
        let (prev, next) = (this.prev.load(Relaxed), this.next.load(Relaxed));
        if prev == 0 {
            state.mm_list.store(next, Relaxed);
        } else {
            // SAFETY: a link of the list leads to a live object; one field, which is atomic.
            unsafe { (*self.other(prev)).next.store(next, Relaxed) };
        }
        self.set_prev(next, prev);
        this.magic.store(0, Relaxed);
        state.nr_mms.fetch_sub(1, Relaxed);
    }

    fn set_prev(&self, of: u64, prev: u64) {
        if of != 0 {
            // SAFETY: as above.
            unsafe { (*self.other(of)).prev.store(prev, Relaxed) };
        }
    }

    /// Another address space.
    fn other(&self, gpa: u64) -> *mut MmStruct {
        self.mm.slab().object(gpa).cast::<MmStruct>().as_ptr()
    }

    /// Ends the address space. Its top-level table must not be in any CPU's CR3.
    pub fn destroy(self) {
        drop(self);
    }

    /// Takes all areas and all that they map away (Linux: `exit_mmap`).
    pub(super) fn unmap_all(&mut self) {
        let mm = self.mm;
        let mut gather = TlbGather::new(mm);
        let mut next = self.tree().find_vma(0).map(crate::vma::Area::of);
        while let Some(area) = next {
            self.zap(&area, area.start..area.end, &mut gather);
            next = self.tree().find_vma(area.end).map(crate::vma::Area::of);
            let room = 0..next.map_or(TABLES_END, |next| next.start);
            let tables = self.tables();
            tables.free_nodes(area.start..area.end, &room, &mut gather);
            // The entries are gone, so the area may go; the frames follow after the flush.
            self.remove_first();
        }
        gather.finish();
    }

    fn remove_first(&mut self) {
        if let Some((area, object)) = self.tree().pop_first() {
            self.count_area(&area, -1);
            self.unlinked(&area, object);
        }
    }

    /// Counts the pages of an area that comes (1) or goes (-1).
    pub(super) fn count_area(&self, area: &crate::vma::Area, sign: i64) {
        let this = self.mm_struct();
        let pages = area.pages() as i64 * sign;
        add(&this.total_vm, pages);
        if area.flags.contains(pagelab_abi::vma::VmFlags::LOCKED) {
            add(&this.locked_vm, pages);
        }
    }
}

impl<M: Machine + 'static> Drop for UserMm<M> {
    fn drop(&mut self) {
        self.unmap_all();
        self.unregister();
        self.leave_group();
        free_pgd(self.mm, self.pgd);
        free_object(self.mm, self.vm, self.at);
    }
}

/// Top of what mmap gives out beside a stack of so many bytes.
pub(super) fn mmap_base(stack: u64) -> u64 {
    let room = stack.saturating_add(STACK_GUARD_GAP);
    let room = room.clamp(STACK_ROOM, USER_END / 6 * 5);
    (USER_END - room).next_multiple_of(PAGE_SIZE)
}

/// Gives the object of an address space back.
fn free_object<M: Machine>(mm: &Mm<M>, vm: &Vm, at: NonNull<MmStruct>) {
    // SAFETY: it came from this cache, and its owner is ending.
    unsafe { mm.slab().kmem_cache_free(&vm.mm_struct, at.cast()) };
}
