//! Families of address spaces: who can have an anonymous page in common.

use crate::{
    AllocError, Mm,
    machine::Machine,
    memmap::count,
    user_mm::{UserMm, Vm},
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    gfp::Gfp,
    mm_struct::{ANON_GROUP_MAGIC, AnonGroup, MmStruct},
};

impl<M: Machine + 'static> Mm<M> {
    /// A family without members. Give it one, or give it back.
    pub(in crate::user_mm) fn new_anon_group(&self, vm: &Vm) -> Result<u64, AllocError> {
        let slab = self.slab();
        let object = slab
            .kmem_cache_alloc(&vm.anon_group, Gfp::KERNEL)
            .map_err(|_| AllocError::NoMemory)?;
        let group = AnonGroup {
            magic: AtomicU64::new(ANON_GROUP_MAGIC),
            members: AtomicU64::new(0),
            count: AtomicU64::new(0),
            reserved: [0; 5],
        };
        // SAFETY: the object has the size and alignment of an `AnonGroup` and is this function's.
        unsafe { object.cast().write(group) };
        Ok(slab.physical(object))
    }

    /// Frees a family that has no members.
    pub(in crate::user_mm) fn free_anon_group(&self, vm: &Vm, group: u64) {
        let slab = self.slab();
        let object = slab.object(group).cast::<AnonGroup>();
        // SAFETY: it came from this cache, and without members nobody follows a link to it: pages
        // that still name it are not mapped.
        unsafe {
            object.as_ref().magic.store(0, Relaxed);
            slab.kmem_cache_free(&vm.anon_group, object.cast());
        }
    }
}

impl<M: Machine + 'static> UserMm<M> {
    /// Physical address of the family.
    #[inline(always)]
    pub(in crate::user_mm) fn anon_group(&self) -> u64 {
        self.mm_struct().anon_group.load(Relaxed)
    }

    /// Enters a family.
    pub(in crate::user_mm) fn join_group(&self, gpa: u64) {
        let group = self.group_at(gpa);
        let this = self.mm_struct();
        let next = group.members.load(Relaxed);
        this.anon_group.store(gpa, Relaxed);
        this.group_next.store(next, Relaxed);
        if let Some(next) = self.member_at(next) {
            next.group_prev.store(self.gpa, Relaxed);
        }
        group.members.store(self.gpa, Relaxed);
        count(&group.count, 1);
    }

    /// Leaves the family, which ends with its last member.
    pub(in crate::user_mm) fn leave_group(&self) {
        let gpa = self.anon_group();
        let group = self.group_at(gpa);
        let this = self.mm_struct();
        let (next, prev) = (this.group_next.load(Relaxed), this.group_prev.load(Relaxed));
        match self.member_at(prev) {
            Some(prev) => prev.group_next.store(next, Relaxed),
            None => group.members.store(next, Relaxed),
        }
        if let Some(next) = self.member_at(next) {
            next.group_prev.store(prev, Relaxed);
        }
        let left = group.count.load(Relaxed) - 1;
        group.count.store(left, Relaxed);
        if left == 0 {
            self.mm.free_anon_group(self.vm, gpa);
        }
    }

    /// A page that is lost still names the family, which stays for ever as if it had one more member.
    pub(in crate::user_mm) fn keep_group(&self) {
        count(&self.group_at(self.anon_group()).count, 1);
    }

    fn group_at(&self, gpa: u64) -> &AnonGroup {
        // SAFETY: the family of a live address space, or one that was just made; all that changes in
        // it is atomic.
        unsafe { self.mm.slab().object(gpa).cast().as_ref() }
    }

    fn member_at(&self, gpa: u64) -> Option<&MmStruct> {
        if gpa == 0 {
            return None;
        }
        let at: NonNull<MmStruct> = self.mm.slab().object(gpa).cast();
        // SAFETY: a link of the family's list leads to a live member. Only atomic fields are used.
        Some(unsafe { at.as_ref() })
    }
}
