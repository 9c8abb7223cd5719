//! Texts in the formats of Linux's /proc, written by the guest for the host to compare with its
//! own.
//!
//! Spacing and order of lines are those of Linux 6.6 (mm/vmstat.c, mm/slab_common.c,
//! fs/proc/meminfo.c) in a kernel without SMP, NUMA, CMA and memory isolation. Lines about what
//! pagelab does not have (huge pages, …) are left out. In C's terms:
//!
//! * `buddyinfo`: for each populated zone `"Node 0, zone %8s "`, then `"%6lu "` for each order.
//! * `pagetypeinfo`: `"Page block order: %d\nPages per block:  %lu\n\n"`, then
//!   `"%-43s "` of `Free pages count per migrate type at order` and `"%6d "` for each order; for
//!   each populated zone and each type `"Node    0, zone %8s, type %12s "` and `"%s%6lu "` for each
//!   order, where a count of 100000 or more is `>100000`; then
//!   `"\n%-23s"` of `Number of blocks type ` and `"%12s "` for each type; for each populated zone
//!   `"Node 0, zone %8s "` and `"%12lu "` for each type, counting pageblocks that have RAM.
//! * `zoneinfo`: every zone of the model; the per-node stats (`nr_` and the name of each
//!   [`crate::lru::LruList`], [`crate::vmstat::NodeStat`], then `nr_balloon_pages`) in the first
//!   populated one; zone counters are `nr_free_pages`, and `nr_zone_` and the name of each list;
//!   `pagesets` with `count`, `high`, `batch` for each online CPU; `node_unreclaimable`, which is 1
//!   from 16 runs of background reclaim in a row that freed nothing; `start_pfn`. An empty zone
//!   ends after `protection`, which has one number for each zone of the model. `boost` and `cma`
//!   are 0; `high` is [`crate::percpu::PerCpuPages::high_config`].
//! * `meminfo` (`"%-16s%8lu kB"`): MemTotal (managed), MemFree, MemAvailable, Buffers, Cached,
//!   SwapCached, Active, Inactive, Active(anon), Inactive(anon), Active(file), Inactive(file),
//!   Unevictable, with a HIGHMEM zone also HighTotal, HighFree, LowTotal, LowFree, then SwapTotal,
//!   SwapFree, AnonPages, Mapped, Shmem, KReclaimable, Slab, SReclaimable, SUnreclaim, KernelStack, PageTables, Balloon.
//!   Cached is `nr_file_pages`.
//!   MemAvailable is at least 0: free, plus r less min(r/2, sum of low watermarks) both for r =
//!   `nr_active_file` + `nr_inactive_file` and for r = `nr_slab_reclaimable`, less the sum of
//!   reserves, with a zone's reserve =
//!   min(managed, largest `lowmem_reserve` + high watermark).
//! * `vmstat` (`"%s %lu"`): `nr_free_pages`, `nr_zone_` and the name of each
//!   [`crate::lru::LruList`], `nr_` and the name of each, all of [`crate::vmstat::NodeStat`],
//!   `nr_balloon_pages`, `nr_memmap_boot_pages`, all of [`crate::vmstat::VmEvent`].
//! * `slabinfo`: version 2.1 as mm/slab.c filled it in; caches newest first; `active_objs` are all
//!   but those in state Free, `objsize` is [`crate::slab::Geometry::size`], `sharedfactor` and
//!   `sharedavail` are 0.

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum ViewKind {
    /// /proc/buddyinfo
    Buddyinfo = 0,
    /// /proc/zoneinfo
    Zoneinfo = 1,
    /// /proc/slabinfo
    Slabinfo = 2,
    /// /proc/meminfo
    Meminfo = 3,
    /// /proc/vmstat
    Vmstat = 4,
    /// /proc/pagetypeinfo
    Pagetypeinfo = 5,
}

impl ViewKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Buddyinfo,
        Self::Zoneinfo,
        Self::Slabinfo,
        Self::Meminfo,
        Self::Vmstat,
        Self::Pagetypeinfo,
    ];

    /// Name of the file in /proc.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buddyinfo => "buddyinfo",
            Self::Zoneinfo => "zoneinfo",
            Self::Slabinfo => "slabinfo",
            Self::Meminfo => "meminfo",
            Self::Vmstat => "vmstat",
            Self::Pagetypeinfo => "pagetypeinfo",
        }
    }
}

/// The buffer through which a text goes from guest to host at [`crate::platform::Doorbell::View`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ViewBuffer {
    /// Physical address of the bytes, physically contiguous.
    pub gpa: u64,
    /// Room in bytes.
    pub capacity: u32,
    /// Bytes in use; a longer text is cut, and `truncated` says so.
    pub len: u32,
    /// The [`ViewKind`] that stands in the buffer.
    pub kind: u32,
    /// Not zero if the text was cut.
    pub truncated: u32,
}

impl ViewBuffer {
    /// No buffer.
    pub const fn new() -> Self {
        Self {
            gpa: 0,
            capacity: 0,
            len: 0,
            kind: 0,
            truncated: 0,
        }
    }
}
