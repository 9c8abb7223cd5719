//! Allocation flags (get free pages), with Linux's names and meaning (include/linux/gfp_types.h).
//! The bit numbers are pagelab's own.

use bitflags::bitflags;

bitflags! {
    /// How an allocation may be served.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Gfp: u32 {
        /// From ZONE_DMA only.
        const DMA = 1 << 0;
        /// From ZONE_DMA32 or below.
        const DMA32 = 1 << 1;
        /// From ZONE_HIGHMEM or below.
        const HIGHMEM = 1 << 2;
        /// The page can be moved or reclaimed by migration; with HIGHMEM, ZONE_MOVABLE may serve.
        const MOVABLE = 1 << 3;
        /// The page can be freed by a shrinker.
        const RECLAIMABLE = 1 << 4;
        /// Filled with zeros.
        const ZERO = 1 << 5;
        /// The caller cannot wait and is important: may dip below the min watermark.
        const HIGH = 1 << 6;
        /// Direct reclaim is allowed.
        const DIRECT_RECLAIM = 1 << 7;
        /// Background reclaim may be woken.
        const KSWAPD_RECLAIM = 1 << 8;
        /// Give up early: one round of direct reclaim, no OOM.
        const NORETRY = 1 << 9;
        /// Never fail: retried until memory is there. Order 0 or 1 only.
        const NOFAIL = 1 << 10;
        /// A compound page: the head knows its order, and the free checks it.
        const COMP = 1 << 11;
        /// No report of a failure in the log.
        const NOWARN = 1 << 12;
        /// May use all reserves: only for work that soon frees more than it takes.
        const MEMALLOC = 1 << 13;
        /// Must not use reserves, whatever else is set.
        const NOMEMALLOC = 1 << 14;
        /// Charged to the process group (issue of limits).
        const ACCOUNT = 1 << 15;

        /// Either kind of reclaim.
        const RECLAIM = Self::DIRECT_RECLAIM.bits() | Self::KSWAPD_RECLAIM.bits();
        /// For the kernel's own use, may wait.
        const KERNEL = Self::RECLAIM.bits();
        /// From a context that cannot wait.
        const ATOMIC = Self::HIGH.bits() | Self::KSWAPD_RECLAIM.bits();
        /// Cannot wait, and may well fail.
        const NOWAIT = Self::KSWAPD_RECLAIM.bits() | Self::NOWARN.bits();
        /// For a program, need not be in the direct map.
        const HIGHUSER = Self::RECLAIM.bits() | Self::HIGHMEM.bits();
        /// For a program, and movable.
        const HIGHUSER_MOVABLE = Self::HIGHUSER.bits() | Self::MOVABLE.bits();
    }
}
