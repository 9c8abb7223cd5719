use super::{REQUESTS, Request, ZoneConfig, ZoneLimitError, watermark::watermark_ok};
use crate::{testing::boot_with, zone::watermark::AllocFlags};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    page::MigrateType,
    zone::{WMARK_HIGH, WMARK_LOW, WMARK_MIN, ZoneKind, ZoneModel},
};
use std::{string::ToString, vec::Vec};

const MIB: u64 = 1 << 20;

#[test]
fn limits_must_be_in_order_and_on_pageblocks() {
    let with = |model, limits: &[u64]| ZoneConfig::with_limits(model, limits).unwrap_err();
    let error = with(ZoneModel::Classic, &[16 * MIB + 4096]);
    assert_eq!(error, ZoneLimitError::Unaligned(16 * MIB + 4096));
    assert!(error.to_string().contains("16781312"));
    let error = with(ZoneModel::Classic, &[32 * MIB, 16 * MIB]);
    assert_eq!(
        error,
        ZoneLimitError::OutOfOrder {
            previous: 32 * MIB,
            limit: 16 * MIB
        }
    );
    assert!(matches!(
        with(ZoneModel::X86_64, &[0]),
        ZoneLimitError::OutOfOrder { .. }
    ));
    // The second limit is the usual one here.
    let error = with(ZoneModel::Classic, &[1 << 30]);
    assert_eq!(
        error,
        ZoneLimitError::OutOfOrder {
            previous: 1 << 30,
            limit: 896 * MIB
        }
    );
    let error = with(ZoneModel::Classic, &[2 * MIB, 4 * MIB, 6 * MIB]);
    assert_eq!(error, ZoneLimitError::TooMany { given: 3, room: 2 });
    let config = ZoneConfig::with_limits(ZoneModel::X86_64, &[2 * MIB, 4 * MIB, 6 * MIB]).unwrap();
    assert_eq!(
        [0, 1, 2, 3].map(|zone| config.end(zone)),
        [2 * MIB, 4 * MIB, 6 * MIB, u64::MAX]
    );
}

#[test]
fn the_direct_map_ends_where_highmem_begins() {
    assert_eq!(ZoneConfig::CLASSIC.direct_map_end(1 << 30), 896 * MIB);
    assert_eq!(ZoneConfig::CLASSIC.direct_map_end(64 * MIB), 64 * MIB);
    assert_eq!(ZoneConfig::X86_64.direct_map_end(1 << 33), 1 << 33);
}

/// Kind and type that a request gets.
fn requests(zones: ZoneConfig, size: u64) -> impl Fn(Gfp) -> (ZoneKind, MigrateType) {
    let mm = boot_with(size, zones, 1, &[]);
    let table: [Request; REQUESTS] = mm.requests;
    move |gfp| {
        let request = table[Request::index(gfp)];
        (
            ZoneKind::from_u32(request.kind.into()).unwrap(),
            request.migrate,
        )
    }
}

#[test]
fn flags_choose_zone_and_type() {
    use MigrateType::{Movable, Reclaimable, Unmovable};
    let limits = [4 * MIB, 16 * MIB];
    let classic = ZoneConfig::with_limits(ZoneModel::Classic, &limits).unwrap();
    let classic = requests(classic, 32 * MIB);
    assert_eq!(classic(Gfp::KERNEL), (ZoneKind::Normal, Unmovable));
    assert_eq!(classic(Gfp::KERNEL | Gfp::DMA), (ZoneKind::Dma, Unmovable));
    assert_eq!(
        classic(Gfp::KERNEL | Gfp::DMA32),
        (ZoneKind::Normal, Unmovable)
    );
    assert_eq!(classic(Gfp::HIGHUSER_MOVABLE), (ZoneKind::HighMem, Movable));
    assert_eq!(
        classic(Gfp::KERNEL | Gfp::RECLAIMABLE),
        (ZoneKind::Normal, Reclaimable)
    );

    let limits = [4 * MIB, 8 * MIB, 16 * MIB];
    let modern = ZoneConfig::with_limits(ZoneModel::X86_64, &limits).unwrap();
    let modern = requests(modern, 32 * MIB);
    assert_eq!(
        modern(Gfp::KERNEL | Gfp::DMA32),
        (ZoneKind::Dma32, Unmovable)
    );
    assert_eq!(modern(Gfp::HIGHUSER), (ZoneKind::Normal, Unmovable));
    assert_eq!(modern(Gfp::HIGHUSER_MOVABLE), (ZoneKind::Movable, Movable));

    // Zones without memory are passed over.
    let small = requests(ZoneConfig::X86_64, 32 * MIB);
    assert_eq!(small(Gfp::HIGHUSER_MOVABLE), (ZoneKind::Dma32, Movable));
}

/// Numbers computed by hand from Linux's formulas for 1 GiB, classic, with nothing reserved but
/// the metadata.
#[test]
fn watermarks_are_linux_s() {
    let mm = boot_with(1 << 30, ZoneConfig::CLASSIC, 1, &[]);
    let zones = mm.zones();
    let managed: Vec<u64> = zones
        .iter()
        .map(|z| u64::from(z.managed.load(Relaxed)))
        .collect();
    assert_eq!((managed[0], managed[2]), (4096, 32768));
    // 8 MiB of descriptors and five pages of tables are NORMAL's.
    assert_eq!(managed[1], 225_280 - 2048 - 5);
    let lowmem = managed[0] + managed[1];
    // 4 * sqrt(909172 KiB) = 3814 KiB = 953 pages.
    assert_eq!(mm.state().min_free_kbytes.load(Relaxed), 3814);
    let mark = |zone: usize, mark: usize| u64::from(zones[zone].watermark[mark].load(Relaxed));
    assert_eq!(mark(0, WMARK_MIN), 953 * 4096 / lowmem);
    assert_eq!(mark(1, WMARK_MIN), 953 * managed[1] / lowmem);
    assert_eq!(
        mark(1, WMARK_LOW) - mark(1, WMARK_MIN),
        mark(1, WMARK_MIN) / 4
    );
    assert_eq!(
        mark(1, WMARK_HIGH) - mark(1, WMARK_LOW),
        mark(1, WMARK_MIN) / 4
    );
    assert_eq!(mark(2, WMARK_MIN), 32);
    assert_eq!(mark(2, WMARK_LOW), 32 + 953 * 32768 / lowmem / 4);
    // (managed >> 10) is more than 64, and with half of it 96: one less than 64.
    assert_eq!(zones[1].pcp_batch.load(Relaxed), 63);
    // 32 and 16: one less than 32.
    assert_eq!(zones[2].pcp_batch.load(Relaxed), 31);
    assert_eq!(
        u64::from(zones[1].pcp_high.load(Relaxed)),
        mark(1, WMARK_LOW)
    );
    assert_eq!(zones[0].pcp_batch.load(Relaxed), 3);
    let protection = |zone: usize| [0, 1, 2].map(|h| zones[zone].lowmem_reserve[h].load(Relaxed));
    assert_eq!(
        protection(0),
        [
            0,
            (managed[1] / 256) as u32,
            ((managed[1] + 32768) / 256) as u32
        ]
    );
    assert_eq!(protection(1), [0, 0, 32768 / 32]);
    assert_eq!(protection(2), [0, 0, 0]);
}

#[test]
fn a_block_of_the_order_must_be_there() {
    let mm = boot_with(64 * MIB, ZoneConfig::CLASSIC, 1, &[]);
    let zone = &mm.zones()[1];
    let none = AllocFlags::empty();
    assert!(watermark_ok(zone, 10, 1, none));
    for area in &zone.free_area[3..] {
        for list in &area.free_list {
            list.head.store(pagelab_abi::page::NONE, Relaxed);
        }
    }
    assert!(!watermark_ok(zone, 3, 1, none));
    assert!(watermark_ok(zone, 0, 1, none));
    assert!(watermark_ok(zone, 3, 1, AllocFlags::NO_WATERMARKS));
}
