//! Address spaces of programs: areas (the logical view) and page tables (the physical one).
//!
//! * `vm`: what all address spaces share. `life`: birth and end of one.
//! * `request`: what mmap is asked for. `signal`: how a fault can end.
//! * `mmap`, `munmap`: areas come and go; `place`: where; `insert`: next to which others.
//! * `protect`, `brk`, `stack`: rights, the heap, the stack. `limits`: how much there may be. `range`: what calls over ranges share.
//! * `age`: what a program knows of the use of its pages.
//! * `remap`, `advise`, `lock`, `sync`, `populate`: mremap, madvise, the mlock family, msync and
//!   mincore, pages ahead of their use. `truncate`: files that become shorter while they are mapped.
//! * `fork`: a second address space with the same content.
//! * `maps`, `smaps`, `pagemap`: what /proc/PID has under these names. `stats`: all in numbers.
//! * `fault`, `file_fault`: pages come, `fault_around`: with their neighbours; `cow`: and are copied when one of those who share them stores.
//! * `access`: the kernel loads and stores for a system call.
//! * `zap`: pages go. `swap_in`: they come back from swap.
//! * `rmap`: from a page to who maps it. `reap`: all pages at once, for want of memory. `thp`: 2 MiB at
//!   once.
//!
//! Errors are those of Linux's system calls. Whatever fails for want of memory leaves the address
//! space as it was, unless a function says otherwise.
//!
//! Every allocation may reclaim, and reclaim takes pages out of any address space, this one too: an
//! entry that holds a page can lead to swap afterwards, or be empty if the page is a file's. So
//! whoever allocates between reading an entry and changing it reads it again, and holds a reference to
//! a page that it uses meanwhile. An entry that is empty or leads to swap stays so, and nodes of
//! the tables stay.
//!
//! The tree of areas and the tables are private to a [`UserMm`], and all changes need it by `&mut`.

mod access;
mod advise;
mod age;
mod brk;
mod cow;
mod fault;
mod fault_around;
mod file_fault;
mod fork;
mod insert;
mod life;
mod limits;
mod lock;
mod maps;
mod mmap;
mod munmap;
mod pagemap;
mod place;
mod populate;
mod protect;
mod range;
mod reap;
mod remap;
mod request;
mod rmap;
mod shared;
mod signal;
mod smaps;
mod stack;
mod stats;
mod swap_in;

mod sync;
#[cfg(test)]
mod tests;
mod thp;
mod truncate;
mod vm;
mod zap;

pub use maps::NameOf;
pub use request::{FileMapping, MmapRequest};
pub use signal::{Access, Fault, FaultSignal};
pub use stats::Stats;
pub use thp::ThpEnabled;
pub(crate) use vm::Vm;

use crate::{Mm, machine::Machine, pgtable::PageTables, vma::VmaCache, vma::VmaTree};
use core::{
    ops::Range,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::mm_struct::{MmStruct, RssStat};

/// Areas that an address space can have (Linux: `sysctl_max_map_count`).
const MAX_MAP_COUNT: u64 = 65530;

/// Memory of areas, as address spaces use it.
type Areas<M> = VmaCache<'static, Mm<M>>;

/// A program's address space. Its value owns it: when it is dropped, all that it has is given back.
pub struct UserMm<M: Machine + 'static> {
    mm: &'static Mm<M>,
    vm: &'static Vm,
    at: NonNull<MmStruct>,
    gpa: u64,
    pgd: u64,
}

// SAFETY: the value owns the object that its pointer leads to.
unsafe impl<M: Machine + 'static> Send for UserMm<M> {}

impl<M: Machine + 'static> UserMm<M> {
    /// Physical address of the top-level page table, for CR3.
    #[inline]
    pub fn pgd(&self) -> u64 {
        self.pgd
    }

    /// Physical address of the [`MmStruct`].
    pub fn gpa(&self) -> u64 {
        self.gpa
    }

    /// What the host sees of it. Private: its links are followed without a doubt.
    #[inline]
    fn mm_struct(&self) -> &MmStruct {
        // SAFETY: the object lives as long as this value. What changes in it is atomic, but for
        // `vmas` while `tree` has it, which borrows this value as a whole.
        unsafe { self.at.as_ref() }
    }

    /// Pages in all areas.
    pub fn total_vm(&self) -> u64 {
        self.mm_struct().total_vm.load(Relaxed)
    }

    /// Faults so far that needed no I/O.
    pub fn faults(&self) -> u64 {
        self.mm_struct().min_flt.load(Relaxed)
    }

    /// Faults so far that needed I/O.
    pub fn major_faults(&self) -> u64 {
        self.mm_struct().maj_flt.load(Relaxed)
    }

    /// Entries that lead to swap.
    pub fn swapped(&self) -> u64 {
        self.mm_struct().rss[RssStat::Swap as usize].load(Relaxed)
    }

    /// Says where the strings of the arguments and of the environment are.
    pub fn note_strings(&self, args: Range<u64>, env: Range<u64>) {
        let this = self.mm_struct();
        for (field, value) in [
            (&this.arg_start, args.start),
            (&this.arg_end, args.end),
            (&this.env_start, env.start),
            (&this.env_end, env.end),
        ] {
            field.store(value, Relaxed);
        }
    }

    /// The memory manager.
    pub fn mm(&self) -> &'static Mm<M> {
        self.mm
    }

    #[inline(always)]
    fn areas(&self) -> Areas<M> {
        VmaCache::new(self.mm.slab(), &self.vm.vm_area_struct)
    }

    /// The tree of areas.
    #[inline(always)]
    fn tree(&mut self) -> VmaTree<'_, Areas<M>> {
        let areas = self.areas();
        // SAFETY: as in `mm_struct`. Only this value's methods use the root, always over this
        // cache, and `life` made it.
        unsafe { VmaTree::attach(&mut self.at.as_mut().vmas, areas) }
    }

    /// The page tables.
    #[inline(always)]
    fn tables(&self) -> PageTables<'_, M> {
        // SAFETY: `life` made the table, and it lives as long as this value.
        unsafe { PageTables::new(self.mm, self.pgd, &self.mm_struct().pgtables) }
    }

    /// Counts resident pages of a kind.
    #[inline(always)]
    fn add_rss(&self, kind: RssStat, delta: i64) {
        add(&self.mm_struct().rss[kind as usize], delta);
    }
}

/// Adds to a counter of an address space, which has one writer.
#[inline(always)]
fn add(counter: &AtomicU64, delta: i64) {
    counter.store(counter.load(Relaxed).wrapping_add_signed(delta), Relaxed);
}
