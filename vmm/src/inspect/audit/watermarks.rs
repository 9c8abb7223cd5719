//! Watermarks and reserves are Linux's for the size of the zones.

use pagelab_abi::zone::ZoneKind;

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::Zone;

pub(super) const AUDIT: Audit = Audit {
    name: "watermarks",
    checks: "min <= low <= high, and watermarks and lowmem reserves follow from the zones' sizes",
    run,
};

/// `watermark_scale_factor` is in fractions of this (Linux mm/page_alloc.c,
/// `__setup_per_zone_wmarks`).
const SCALE: u64 = 10_000;

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let zones = &guest.snapshot.zones;
    let lowmem: u64 = zones
        .iter()
        .filter(|zone| is_low(zone))
        .map(|zone| zone.managed)
        .sum();
    for zone in zones {
        let name = zone.name();
        let [min, low, high, promo] = zone.watermark;
        findings.require(min <= low && low <= high && high <= promo, || {
            format!("zone {name}: min {min}, low {low}, high {high}, promo {promo} do not ascend")
        });
        let expected = expected_marks(guest, zone, lowmem);
        findings.require(zone.watermark == expected, || {
            let [min, low, high, promo] = expected;
            format!(
                "zone {name}: watermarks are {:?}, but {} managed frames make min {min}, \
                 low {low}, high {high}, promo {promo}",
                zone.watermark, zone.managed
            )
        });
        for (highest, &reserve) in zone.lowmem_reserve.iter().enumerate().take(zones.len()) {
            let expected = expected_reserve(zones, zone, highest);
            findings.require(reserve == expected, || {
                format!(
                    "zone {name}: keeps {reserve} frames from requests for zone {}, should be \
                     {expected}",
                    zones[highest].name()
                )
            });
        }
    }
    Ok(())
}

/// Linux's `__setup_per_zone_wmarks`.
fn expected_marks(guest: &Guest<'_>, zone: &Zone, lowmem: u64) -> [u64; 4] {
    let pages_min = guest.snapshot.min_free_kbytes() / 4;
    let share = (pages_min * zone.managed).checked_div(lowmem).unwrap_or(0);
    let min = if is_low(zone) {
        share
    } else {
        (zone.managed / 1024).clamp(32, 128)
    };
    let scaled = zone.managed * guest.snapshot.watermark_scale_factor() / SCALE;
    let step = (share / 4).max(scaled);
    [0, 1, 2, 3].map(|times| min + times * step)
}

/// Linux's `setup_per_zone_lowmem_reserve` with the default `lowmem_reserve_ratio`.
fn expected_reserve(zones: &[Zone], zone: &Zone, highest: usize) -> u64 {
    let ratio = match zone.kind {
        ZoneKind::Dma | ZoneKind::Dma32 => 256,
        ZoneKind::Normal => 32,
        ZoneKind::HighMem | ZoneKind::Movable => return 0,
    };
    if zone.managed == 0 || highest <= zone.index {
        return 0;
    }
    let above = &zones[zone.index + 1..=highest];
    above.iter().map(|zone| zone.managed).sum::<u64>() / ratio
}

/// Whether the kernel's own allocations can come from a zone.
fn is_low(zone: &Zone) -> bool {
    !matches!(zone.kind, ZoneKind::HighMem | ZoneKind::Movable)
}
