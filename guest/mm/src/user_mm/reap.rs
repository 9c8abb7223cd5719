//! The memory of a process that is to die (Linux mm/oom_kill.c: `__oom_reap_task_mm`).

use super::UserMm;
use crate::{Mm, machine::Machine, tlb::TlbGather, vma::Area};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    mm_struct::{MMF_IN_ACCESS, MMF_OOM_VICTIM},
    vma::{VmFlags, Vma},
    vmstat::VmEvent,
};

impl<M: Machine + 'static> Mm<M> {
    /// Takes from an address space all that it has, or, while the kernel is at work `in_use` of it,
    /// the pages of its private areas. From then on no page comes into it. Returns how many pages
    /// became free.
    ///
    /// # Safety
    /// `gpa` is that of the `MmStruct` of a live [`UserMm`] of this memory manager, whose tree of
    /// areas is not borrowed. Unless `in_use`, nobody is inside a method of it but one that loads or
    /// stores for a system call.
    pub(crate) unsafe fn oom_reap(&'static self, gpa: u64, in_use: bool) -> u64 {
        // SAFETY: by contract.
        let Some(mut space) = (unsafe { UserMm::second(self, gpa) }) else {
            return 0;
        };
        let before = self.event_count(VmEvent::Pgfree);
        let flags = &space.mm_struct().flags;
        let before_it = flags.fetch_or(MMF_OOM_VICTIM, Relaxed);
        if in_use || before_it & MMF_IN_ACCESS != 0 {
            // SAFETY: by contract nobody changes the list.
            unsafe { space.zap_private() };
        } else {
            space.unmap_all();
        }
        self.event_count(VmEvent::Pgfree) - before
    }
}

impl<M: Machine + 'static> UserMm<M> {
    /// Whether the OOM killer has taken its memory.
    #[inline]
    pub fn is_oom_victim(&self) -> bool {
        self.mm_struct().flags.load(Relaxed) & MMF_OOM_VICTIM != 0
    }

    /// Empties the entries of all private areas. Nodes and areas stay.
    ///
    /// # Safety
    /// The list of areas is whole and does not change meanwhile.
    unsafe fn zap_private(&self) {
        let mut gather = TlbGather::new(self.mm);
        let mut next = self.mm_struct().vmas.first.load(Relaxed);
        while next != 0 {
            // SAFETY: a link of the list leads to a live area; all is atomic.
            let vma = unsafe { self.mm.slab().object(next).cast::<Vma>().as_ref() };
            let area = Area::of(vma);
            next = vma.next.load(Relaxed);
            if !area.flags.contains(VmFlags::SHARED) {
                self.zap(&area, area.start..area.end, &mut gather);
            }
        }
        gather.finish();
    }
}
