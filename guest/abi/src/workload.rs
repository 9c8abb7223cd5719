//! Phases and results of the guest's workload.

use core::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// A workload that the guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The name on the command line.
    pub name: &'static str,
    /// What it does, in one line.
    pub description: &'static str,
    /// It goes through every [`Phase`]; the others have [`Phase::Workload`] and
    /// [`Phase::Teardown`] at most.
    pub phased: bool,
    /// It exists for pagelab's own tests, and may end the guest.
    pub test: bool,
}

impl Workload {
    const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            phased: false,
            test: false,
        }
    }

    const fn phased(name: &'static str, description: &'static str) -> Self {
        Self {
            phased: true,
            ..Self::new(name, description)
        }
    }

    const fn test(name: &'static str, description: &'static str) -> Self {
        Self {
            test: true,
            ..Self::new(name, description)
        }
    }

    /// The workload of this name, if there is one.
    pub fn find(name: &str) -> Option<&'static Self> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }
}

/// All workloads.
pub const WORKLOADS: [Workload; 17] = [
    Workload::phased(
        "default",
        "buddy, slab and kmalloc in mixed sizes, under pressure and faults",
    ),
    Workload::new("none", "boot and exit"),
    Workload::phased("buddy", "page blocks of all orders and flags"),
    Workload::phased(
        "slab",
        "objects of several caches, one with a constructor, one shrinkable",
    ),
    Workload::phased("kmalloc", "kmalloc of all sizes"),
    Workload::phased(
        "highmem",
        "single HIGHMEM pages, written and checked through kmap windows",
    ),
    Workload::new(
        "storm",
        "allocate until it fails, free at random, and again",
    ),
    Workload::new(
        "oom",
        "hold all of memory, then let the balloon and the shrinkers compete",
    ),
    Workload::new(
        "swap",
        "pages written to the swap device and verified when they come back",
    ),
    Workload::new(
        "swapping",
        "pages that go to swap slots, are shared there, and come back",
    ),
    Workload::test(
        "access",
        "generated page tables, and what the CPU says about them",
    ),
    Workload::test("spin", "an endless loop without an event"),
    Workload::test("triple-fault", "an exception with no table to handle it"),
    Workload::test("panic", "a panic of the kernel"),
    Workload::test("bad-opcode", "an undefined instruction in the kernel"),
    Workload::test("stack-overflow", "recursion without end"),
    Workload::test("double-free", "a page that is freed twice"),
];

/// Phases of the default scenario, in their order. The guest rings
/// [`crate::platform::Doorbell::Phase`] as each begins; there the host inspects, arms pressure or
/// faults, and lets it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Phase {
    /// Buddy, slab and kmalloc in mixed sizes, lifetimes and flags.
    Workload = 1,
    /// The same mix, for as long as the host says that pressure goes on.
    Pressure = 2,
    /// The same mix, while the host lets allocations fail.
    Faults = 3,
    /// Everything is given back and the caches are drained: what is left is a leak.
    Teardown = 4,
}

impl Phase {
    /// The phase with this number, if there is one.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            1 => Self::Workload,
            2 => Self::Pressure,
            3 => Self::Faults,
            4 => Self::Teardown,
            _ => return None,
        })
    }

    /// The name used in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Pressure => "pressure",
            Self::Faults => "faults",
            Self::Teardown => "teardown",
        }
    }
}

/// The workload's own account of itself. Counters run through all phases.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Progress {
    /// Number of the current [`Phase`]; 0 before the first.
    pub phase: AtomicU32,
    /// Not zero once the workload is over.
    pub done: AtomicU32,
    /// Steps done; a step is one allocation, one free or one check of a page's content.
    pub steps: AtomicU64,
    /// Page allocations that succeeded.
    pub pages_ok: AtomicU64,
    /// Page allocations that failed and that the workload saw as an error.
    pub pages_failed: AtomicU64,
    /// Slab and kmalloc allocations that succeeded.
    pub objects_ok: AtomicU64,
    /// Slab and kmalloc allocations that failed and that the workload saw as an error.
    pub objects_failed: AtomicU64,
    /// Frames reached through kmap windows.
    pub kmaps: AtomicU64,
    /// Contents that were verified.
    pub checks: AtomicU64,
    /// Contents that were not as written: corruption.
    pub mismatches: AtomicU64,
    /// Pages and objects that are held now.
    pub held: AtomicU64,
}

impl Progress {
    /// Nothing done.
    pub const fn new() -> Self {
        Self {
            phase: AtomicU32::new(0),
            done: AtomicU32::new(0),
            steps: AtomicU64::new(0),
            pages_ok: AtomicU64::new(0),
            pages_failed: AtomicU64::new(0),
            objects_ok: AtomicU64::new(0),
            objects_failed: AtomicU64::new(0),
            kmaps: AtomicU64::new(0),
            checks: AtomicU64::new(0),
            mismatches: AtomicU64::new(0),
            held: AtomicU64::new(0),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
