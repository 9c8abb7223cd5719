//! Counters of the memory manager, with the names of Linux's /proc/vmstat.

/// Things that are counted for ever, on each CPU by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum VmEvent {
    /// Pages read from swap.
    Pswpin = 0,
    /// Pages written to swap.
    Pswpout,
    /// Pages allocated from ZONE_DMA. The four that follow it are in the order of
    /// [`crate::zone::ZoneKind`].
    PgallocDma,
    /// Pages allocated from ZONE_DMA32.
    PgallocDma32,
    /// Pages allocated from ZONE_NORMAL.
    PgallocNormal,
    /// Pages allocated from ZONE_HIGHMEM.
    PgallocHigh,
    /// Pages allocated from ZONE_MOVABLE.
    PgallocMovable,
    /// Allocations that had to reclaim by themselves, by the highest zone they could use.
    AllocstallDma,
    /// The same for ZONE_DMA32.
    AllocstallDma32,
    /// The same for ZONE_NORMAL.
    AllocstallNormal,
    /// The same for ZONE_HIGHMEM.
    AllocstallHigh,
    /// The same for ZONE_MOVABLE.
    AllocstallMovable,
    /// Pages freed.
    Pgfree,
    /// Pages that came to an active list.
    Pgactivate,
    /// Pages that went from an active list to an inactive one.
    Pgdeactivate,
    /// Anonymous pages that madvise gave up (`MADV_FREE`).
    Pglazyfree,
    /// Faults of programs.
    Pgfault,
    /// Faults that needed I/O.
    Pgmajfault,
    /// Pages given up that were freed.
    Pglazyfreed,
    /// Pages of active lists that reclaim looked at.
    Pgrefill,
    /// Pages that background reclaim freed.
    PgstealKswapd,
    /// Pages that direct reclaim freed.
    PgstealDirect,
    /// Pages of inactive lists that background reclaim looked at.
    PgscanKswapd,
    /// Pages of inactive lists that direct reclaim looked at.
    PgscanDirect,
    /// Those of them that swap is for.
    PgscanAnon,
    /// The others.
    PgscanFile,
    /// Pages freed of those that swap is for.
    PgstealAnon,
    /// The others.
    PgstealFile,
    /// Objects that shrinkers looked at.
    SlabsScanned,
    /// Runs of background reclaim.
    Pageoutrun,
    /// Pages that reclaim found to be unevictable.
    UnevictablePgsCulled,
    /// Pages that became evictable again.
    UnevictablePgsRescued,
    /// Processes that the OOM killer killed.
    OomKill,
    /// Huge pages mapped by a fault.
    ThpFaultAlloc,
    /// Faults that could have had a huge page, but there was none.
    ThpFaultFallback,
    /// Large page-table entries that were split.
    ThpSplitPmd,
    /// Pages that went into the balloon.
    BalloonInflate,
    /// Pages that came back from the balloon.
    BalloonDeflate,
    /// Refills of per-CPU lists (not in Linux).
    PcpRefill,
    /// Drains of per-CPU lists (not in Linux).
    PcpDrain,
    /// Allocations served by a lower zone than the preferred one (not in Linux).
    PgallocFallback,
    /// Allocations that took memory of another migrate type (a tracepoint in Linux).
    PgallocExtfrag,
    /// Page allocations that failed (not in Linux).
    PgallocFail,
    /// KiB read from stores of files.
    Pgpgin,
    /// KiB written to stores of files.
    Pgpgout,
}

/// Number of [`VmEvent`]s.
pub const NR_VM_EVENTS: usize = 45;

impl VmEvent {
    /// All, in the order of their numbers, which is that of their lines.
    pub const ALL: [Self; NR_VM_EVENTS] = [
        Self::Pswpin,
        Self::Pswpout,
        Self::PgallocDma,
        Self::PgallocDma32,
        Self::PgallocNormal,
        Self::PgallocHigh,
        Self::PgallocMovable,
        Self::AllocstallDma,
        Self::AllocstallDma32,
        Self::AllocstallNormal,
        Self::AllocstallHigh,
        Self::AllocstallMovable,
        Self::Pgfree,
        Self::Pgactivate,
        Self::Pgdeactivate,
        Self::Pglazyfree,
        Self::Pgfault,
        Self::Pgmajfault,
        Self::Pglazyfreed,
        Self::Pgrefill,
        Self::PgstealKswapd,
        Self::PgstealDirect,
        Self::PgscanKswapd,
        Self::PgscanDirect,
        Self::PgscanAnon,
        Self::PgscanFile,
        Self::PgstealAnon,
        Self::PgstealFile,
        Self::SlabsScanned,
        Self::Pageoutrun,
        Self::UnevictablePgsCulled,
        Self::UnevictablePgsRescued,
        Self::OomKill,
        Self::ThpFaultAlloc,
        Self::ThpFaultFallback,
        Self::ThpSplitPmd,
        Self::BalloonInflate,
        Self::BalloonDeflate,
        Self::PcpRefill,
        Self::PcpDrain,
        Self::PgallocFallback,
        Self::PgallocExtfrag,
        Self::PgallocFail,
        Self::Pgpgin,
        Self::Pgpgout,
    ];

    /// The name in /proc/vmstat.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pswpin => "pswpin",
            Self::Pswpout => "pswpout",
            Self::PgallocDma => "pgalloc_dma",
            Self::PgallocDma32 => "pgalloc_dma32",
            Self::PgallocNormal => "pgalloc_normal",
            Self::PgallocHigh => "pgalloc_high",
            Self::PgallocMovable => "pgalloc_movable",
            Self::AllocstallDma => "allocstall_dma",
            Self::AllocstallDma32 => "allocstall_dma32",
            Self::AllocstallNormal => "allocstall_normal",
            Self::AllocstallHigh => "allocstall_high",
            Self::AllocstallMovable => "allocstall_movable",
            Self::Pgfree => "pgfree",
            Self::Pgactivate => "pgactivate",
            Self::Pgdeactivate => "pgdeactivate",
            Self::Pglazyfree => "pglazyfree",
            Self::Pgfault => "pgfault",
            Self::Pgmajfault => "pgmajfault",
            Self::Pglazyfreed => "pglazyfreed",
            Self::Pgrefill => "pgrefill",
            Self::PgstealKswapd => "pgsteal_kswapd",
            Self::PgstealDirect => "pgsteal_direct",
            Self::PgscanKswapd => "pgscan_kswapd",
            Self::PgscanDirect => "pgscan_direct",
            Self::PgscanAnon => "pgscan_anon",
            Self::PgscanFile => "pgscan_file",
            Self::PgstealAnon => "pgsteal_anon",
            Self::PgstealFile => "pgsteal_file",
            Self::SlabsScanned => "slabs_scanned",
            Self::Pageoutrun => "pageoutrun",
            Self::UnevictablePgsCulled => "unevictable_pgs_culled",
            Self::UnevictablePgsRescued => "unevictable_pgs_rescued",
            Self::OomKill => "oom_kill",
            Self::ThpFaultAlloc => "thp_fault_alloc",
            Self::ThpFaultFallback => "thp_fault_fallback",
            Self::ThpSplitPmd => "thp_split_pmd",
            Self::BalloonInflate => "balloon_inflate",
            Self::BalloonDeflate => "balloon_deflate",
            Self::PcpRefill => "pcp_refill",
            Self::PcpDrain => "pcp_drain",
            Self::PgallocFallback => "pgalloc_fallback",
            Self::PgallocExtfrag => "pgalloc_extfrag",
            Self::PgallocFail => "pgalloc_fail",
            Self::Pgpgin => "pgpgin",
            Self::Pgpgout => "pgpgout",
        }
    }
}

/// Amounts that go up and down, for the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum NodeStat {
    /// Pages in slabs that shrinkers can free.
    SlabReclaimable = 0,
    /// Pages in other slabs.
    SlabUnreclaimable,
    /// Pages that swap is for and that reclaim has taken out of their list.
    IsolatedAnon,
    /// Other pages that reclaim has taken out of their list.
    IsolatedFile,
    /// Anonymous pages that are mapped.
    AnonMapped,
    /// Pages of files that are mapped.
    FileMapped,
    /// Pages in the page cache.
    FilePages,
    /// Pages of shared memory; [`Self::FilePages`] counts them as well.
    Shmem,
    /// Large page-table entries, each for 2 MiB of anonymous memory. Linux counts the memory once, however
    /// many programs map it so.
    AnonThps,
    /// KiB in kernel stacks.
    KernelStack,
    /// Pages that are page tables.
    PageTablePages,
    /// Pages of files that are newer than what their stores have.
    FileDirty,
    /// Pages that are being written to a store.
    Writeback,
    /// Pages that became dirty, for ever.
    Dirtied,
    /// Pages that were written to a store, for ever.
    Written,
}

/// Number of [`NodeStat`]s.
pub const NR_NODE_STATS: usize = 15;

impl NodeStat {
    /// All, in the order of their numbers.
    pub const ALL: [Self; NR_NODE_STATS] = [
        Self::SlabReclaimable,
        Self::SlabUnreclaimable,
        Self::IsolatedAnon,
        Self::IsolatedFile,
        Self::AnonMapped,
        Self::FileMapped,
        Self::FilePages,
        Self::Shmem,
        Self::AnonThps,
        Self::KernelStack,
        Self::PageTablePages,
        Self::FileDirty,
        Self::Writeback,
        Self::Dirtied,
        Self::Written,
    ];

    /// The name in /proc/vmstat.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SlabReclaimable => "nr_slab_reclaimable",
            Self::SlabUnreclaimable => "nr_slab_unreclaimable",
            Self::IsolatedAnon => "nr_isolated_anon",
            Self::IsolatedFile => "nr_isolated_file",
            Self::AnonMapped => "nr_anon_pages",
            Self::FileMapped => "nr_mapped",
            Self::FilePages => "nr_file_pages",
            Self::Shmem => "nr_shmem",
            Self::AnonThps => "nr_anon_transparent_hugepages",
            Self::KernelStack => "nr_kernel_stack",
            Self::PageTablePages => "nr_page_table_pages",
            Self::FileDirty => "nr_dirty",
            Self::Writeback => "nr_writeback",
            Self::Dirtied => "nr_dirtied",
            Self::Written => "nr_written",
        }
    }
}
