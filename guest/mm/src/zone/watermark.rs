//! Watermarks, lowmem reserves and the size of per-CPU lists, computed as Linux does
//! (mm/page_alloc.c, `__setup_per_zone_wmarks`, `setup_per_zone_lowmem_reserve`,
//! `zone_batchsize`, `zone_highsize`, `__zone_watermark_ok`).

use bitflags::bitflags;
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SIZE,
    mm::MmState,
    page::{MIGRATE_PCPTYPES, NONE, NR_ORDERS},
    percpu::PerCpu,
    zone::{WMARK_HIGH, WMARK_LOW, WMARK_MIN, WMARK_PROMO, Zone, ZoneKind},
};

/// Smallest and largest value of min_free_kbytes (Linux: `calculate_min_free_kbytes`).
const MIN_FREE_KBYTES: (u64, u64) = (128, 262_144);

/// Distance between watermarks, in 1/10000 of a zone (Linux: `watermark_scale_factor`).
const SCALE_FACTOR: u32 = 10;

/// Pages reclaimed at once (Linux: `SWAP_CLUSTER_MAX`).
pub(crate) const SWAP_CLUSTER_MAX: u32 = 32;

bitflags! {
    /// How deep an allocation may dig (Linux: mm/internal.h, `ALLOC_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct AllocFlags: u32 {
        /// Compare with the low watermark, not with min.
        const WMARK_LOW = 1 << 0;
        /// No watermark at all.
        const NO_WATERMARKS = 1 << 1;
        /// Half of the min watermark is enough.
        const MIN_RESERVE = 1 << 2;
        /// With `MIN_RESERVE`: three eighths are enough, for the caller cannot wait.
        const NON_BLOCK = 1 << 3;
    }
}

/// Whether a zone has enough free pages for a request of this order whose highest zone is
/// `highest` (Linux: `__zone_watermark_ok`).
#[inline]
pub(crate) fn watermark_ok(zone: &Zone, order: u32, highest: usize, flags: AllocFlags) -> bool {
    if flags.contains(AllocFlags::NO_WATERMARKS) {
        return true;
    }
    let mark = if flags.contains(AllocFlags::WMARK_LOW) {
        WMARK_LOW
    } else {
        WMARK_MIN
    };
    let mut min = i64::from(zone.watermark[mark].load(Relaxed));
    if flags.contains(AllocFlags::MIN_RESERVE) {
        min -= min / 2;
        if flags.contains(AllocFlags::NON_BLOCK) {
            min -= min / 4;
        }
    }
    is_above(zone, order, highest, min)
}

/// Whether more than `mark` pages and the lowmem reserve would stay free, and a block of this
/// order is there.
pub(crate) fn is_above(zone: &Zone, order: u32, highest: usize, mark: i64) -> bool {
    let unusable = i64::from((1u32 << order) - 1);
    let free = i64::from(zone.free_pages.load(Relaxed)) - unusable;
    if free <= mark + i64::from(zone.lowmem_reserve[highest].load(Relaxed)) {
        return false;
    }
    order == 0 || has_block(zone, order)
}

/// Whether a block of at least this order is in the free lists.
fn has_block(zone: &Zone, order: u32) -> bool {
    zone.free_area[order as usize..NR_ORDERS]
        .iter()
        .any(|area| {
            area.free_list[..MIGRATE_PCPTYPES]
                .iter()
                .any(|list| list.head.load(Relaxed) != NONE)
        })
}

/// Sets all watermarks and reserves from the zones' managed pages.
pub(crate) fn setup(state: &MmState) {
    let zones = &state.zones[..state.nr_zones as usize];
    let lowmem: u64 = zones
        .iter()
        .filter(|zone| is_lowmem(zone))
        .map(managed)
        .sum();
    let lowmem_kbytes = lowmem * (PAGE_SIZE >> 10);
    let min_free = (lowmem_kbytes * 16)
        .isqrt()
        .clamp(MIN_FREE_KBYTES.0, MIN_FREE_KBYTES.1);
    state.min_free_kbytes.store(min_free as u32, Relaxed);
    state.watermark_scale_factor.store(SCALE_FACTOR, Relaxed);
    let pages_min = min_free / (PAGE_SIZE >> 10);
    for zone in zones {
        let managed = managed(zone);
        let share = (pages_min * managed).checked_div(lowmem).unwrap_or(0);
        let min = if is_lowmem(zone) {
            share
        } else {
            (managed / 1024).clamp(u64::from(SWAP_CLUSTER_MAX), 128)
        };
        let step = (share / 4).max(managed * u64::from(SCALE_FACTOR) / 10_000);
        for (mark, factor) in [
            (WMARK_MIN, 0),
            (WMARK_LOW, 1),
            (WMARK_HIGH, 2),
            (WMARK_PROMO, 3),
        ] {
            zone.watermark[mark].store((min + factor * step) as u32, Relaxed);
        }
    }
    setup_lowmem_reserve(zones);
}

/// What each zone keeps back from requests that could be served higher up
/// (sysctl `lowmem_reserve_ratio`: 256 for the DMA zones, 32 for NORMAL).
fn setup_lowmem_reserve(zones: &[Zone]) {
    for (low, zone) in zones.iter().enumerate() {
        let ratio = match ZoneKind::from_u32(zone.kind) {
            Some(ZoneKind::Dma | ZoneKind::Dma32) => 256,
            Some(ZoneKind::Normal) => 32,
            _ => 0,
        };
        let mut above = 0;
        for (high, upper) in zones.iter().enumerate().skip(low + 1) {
            above += managed(upper);
            let reserve = if managed(zone) == 0 {
                0
            } else {
                above.checked_div(ratio).unwrap_or(0)
            };
            zone.lowmem_reserve[high].store(reserve as u32, Relaxed);
        }
    }
}

/// Sets how many pages the per-CPU lists hold and move.
pub(crate) fn setup_pcp(state: &MmState, percpu: &[PerCpu]) {
    for (index, zone) in state.zones[..state.nr_zones as usize].iter().enumerate() {
        let batch = batch_size(managed(zone));
        let low = u64::from(zone.watermark[WMARK_LOW].load(Relaxed));
        let high = (low / u64::from(state.nr_cpus)).max(batch * 4);
        zone.pcp_batch.store(batch as u32, Relaxed);
        zone.pcp_high.store(high as u32, Relaxed);
        for cpu in percpu {
            let pcp = &cpu.pcp[index];
            pcp.batch.store(batch as u32, Relaxed);
            pcp.high_config.store(high as u32, Relaxed);
            pcp.high.store(high as u32, Relaxed);
        }
    }
}

/// About 0.1 % of a zone and at most 256 KiB, as one less than a power of two. Linux's
/// `zone_batchsize` takes a quarter of that, and since 6.7 doubles it for a CPU that allocates
/// again and again (`nr_pcp_alloc`); zones here are small, and one number is easier to reproduce.
fn batch_size(managed: u64) -> u64 {
    let batch = (managed >> 10).min((256 << 10) / PAGE_SIZE);
    if batch <= 1 {
        return 1;
    }
    (1 << (batch + batch / 2).ilog2()) - 1
}

/// Pages that a zone was given.
fn managed(zone: &Zone) -> u64 {
    u64::from(zone.managed.load(Relaxed))
}

/// Whether the kernel's own allocations can come from a zone.
fn is_lowmem(zone: &Zone) -> bool {
    !matches!(
        ZoneKind::from_u32(zone.kind),
        Some(ZoneKind::HighMem | ZoneKind::Movable)
    )
}
