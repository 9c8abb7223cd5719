//! Tests of address spaces, on a machine of host memory.
//!
//! * `cpu`: a CPU that walks the tables and caches what it finds. `oracle`: all that must hold.
//! * the others: what is tested.

mod bad_entries;
mod basics;
mod calls;
mod cpu;
mod fault_around;
mod files;
mod forks;
mod heap;
mod large_files;
mod limits;
mod maps;
mod memory_failure;
mod model;
mod oracle;
mod read_around;
mod reclaim_model;
mod remaps;
mod rights;
mod shmem;
mod stores;
mod swapping;
mod sweep;
mod thp;
mod wild;

use super::{Access, FaultSignal, FileMapping, MmapRequest, UserMm};
use crate::{
    Mm,
    testing::{TestMachine, boot},
    zone::ZoneConfig,
};
use pagelab_abi::{PAGE_SIZE, mman::Prot, slab::CacheFlags, zone::ZoneModel};
use std::boxed::Box;

const PAGE: u64 = PAGE_SIZE;

const RW: Prot = Prot::READ.union(Prot::WRITE);

/// A memory manager for one test, and an address space to start with.
struct World {
    mm: *mut Mm<TestMachine>,
    free: u64,
}

impl World {
    /// 32 MiB, of which the upper half is not in the direct map.
    fn new() -> Self {
        Self::with_swap(0)
    }

    /// The same with a swap device of so many pages, if any.
    fn with_swap(pages: u64) -> Self {
        Self::of_size(32, pages)
    }

    /// So many MiB, of which the upper half is not in the direct map, and a swap device of so many
    /// pages, if any.
    fn of_size(mib: u64, pages: u64) -> Self {
        let limits = [(mib << 17).max(2 << 20), mib << 19];
        let zones = ZoneConfig::with_limits(ZoneModel::Classic, &limits).unwrap();
        let mm = boot(mib << 20, zones);
        mm.slab_init(CacheFlags::empty()).unwrap();
        mm.vm_init().unwrap();
        if pages > 0 {
            mm.machine().disk().set_pages(pages);
            assert_eq!(mm.swapon(), Ok(pages));
            // Tests know of each page that is read.
            mm.set_page_cluster(0);
        }
        let mut world = Self {
            mm: Box::into_raw(Box::new(mm)),
            free: 0,
        };
        // Magazines stay, so they are there before anything is counted.
        world.user().destroy();
        world.free = world.in_use();
        world
    }

    fn mm(&self) -> &'static Mm<TestMachine> {
        // SAFETY: it lives until this value is dropped, after all that a test makes of it.
        unsafe { &*self.mm }
    }

    fn user(&self) -> UserMm<TestMachine> {
        UserMm::new(self.mm()).unwrap()
    }

    /// Frames that are allocated, but for those of slabs.
    fn in_use(&self) -> u64 {
        oracle::allocated(self.mm())
    }

    /// Checks that nothing of any address space is left.
    fn check_empty(&self) {
        oracle::check(self.mm(), &mut []);
        assert_eq!(self.in_use(), self.free, "frames leaked");
        let (total, free) = self.mm().swap_slots();
        // Some may be bad, but none is in use.
        assert_eq!((total, self.mm().swap_cached()), (free, 0), "slots leaked");
        // Magazines count as in use.
        self.mm().slab().shrink_all(u64::MAX);
        for cache in ["mm_struct", "vm_area_struct", "anon_group"] {
            assert_eq!(oracle::objects(self.mm(), cache), 0, "{cache} leaked");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_empty();
        }
        // SAFETY: it came from a box, and no test keeps a reference.
        drop(unsafe { Box::from_raw(self.mm) });
    }
}
