//! What an allocation gives, and what becomes of it.

use super::MIB;
use crate::{
    AllocError, Order, Pfn,
    machine::Machine,
    testing::{boot, boot_with, violations},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{event::EventKind, gfp::Gfp, page::PageFlags, vmstat::VmEvent};
use std::vec::Vec;

fn order(number: u32) -> Order {
    Order::new(number).unwrap()
}

#[test]
fn what_is_allocated_can_be_freed_and_all_merges_again() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    assert_eq!(violations(&mm), []);
    let mut held = Vec::new();
    for number in (0..=10).cycle().take(60) {
        let order = order(number);
        match mm.alloc_pages(Gfp::KERNEL, order) {
            Ok(pfn) => held.push((pfn, order)),
            Err(error) => assert_eq!(error, AllocError::NoMemory),
        }
        assert_eq!(violations(&mm), []);
    }
    for (pfn, order) in held {
        mm.free_pages(pfn, order);
        assert_eq!(violations(&mm), []);
    }
}

#[test]
fn half_of_memory_page_by_page_and_back() {
    let mm = boot(64 * MIB, ZoneConfig::X86_64);
    for _ in 0..3 {
        let held: Vec<Pfn> = (0..8192)
            .map(|_| mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap())
            .collect();
        assert_eq!(violations(&mm), []);
        mm.free_pages_bulk(&held);
        assert_eq!(violations(&mm), []);
    }
}

#[test]
fn bulk_takes_what_there_is() {
    let mm = boot(16 * MIB, ZoneConfig::CLASSIC);
    let mut pages = [Pfn(0); 8192];
    let got = mm.alloc_pages_bulk(Gfp::KERNEL | Gfp::NOWARN, &mut pages);
    assert!((1..4096).contains(&got), "{got}");
    mm.free_pages_bulk(&pages[..got]);
    mm.drain_all_pages();
    assert_eq!(violations(&mm), []);
}

#[test]
fn boot_describes_no_frame_inside_a_large_block() {
    let mm = boot(256 * MIB, ZoneConfig::CLASSIC);
    // RAM was filled with 0xa5 before, so what was not written is still that.
    let garbage = 0xa5a5_a5a5;
    let map = &mm.map;
    let written = (map.start_pfn()..map.end_pfn())
        .filter(|&pfn| map.page(pfn).flags.load(Relaxed) != garbage)
        .count();
    // 128 pageblocks, and two that reserved memory cuts.
    assert!(written < 128 + 3 * 512, "{written}");
}

#[test]
fn highmem_is_zeroed_through_windows() {
    let zones =
        ZoneConfig::with_limits(pagelab_abi::zone::ZoneModel::Classic, &[4 << 20, 16 << 20])
            .unwrap();
    let mm = boot(64 * MIB, zones);
    let pfn = mm.alloc_pages(Gfp::HIGHUSER | Gfp::ZERO, order(2)).unwrap();
    assert!(pfn.phys() >= 16 * MIB && mm.pfn_to_ptr(pfn).is_none());
    for frame in pfn.0..pfn.0 + 4 {
        let bytes = mm.machine().frame(frame).unwrap();
        // SAFETY: the frame is the test's.
        let bytes = unsafe { core::slice::from_raw_parts(bytes.as_ptr(), 4096) };
        assert!(bytes.iter().all(|&byte| byte == 0));
    }
    mm.free_pages(pfn, order(2));
}

#[test]
fn without_a_window_the_pages_go_back() {
    let zones =
        ZoneConfig::with_limits(pagelab_abi::zone::ZoneModel::Classic, &[4 << 20, 16 << 20])
            .unwrap();
    let mm = boot(64 * MIB, zones);
    let high = mm.alloc_pages(Gfp::HIGHUSER, Order::ZERO).unwrap();
    let mut windows = Vec::new();
    while let Some(window) = mm.machine().kmap_local(high.0) {
        windows.push(window);
    }
    let error = mm.alloc_pages(Gfp::HIGHUSER | Gfp::ZERO, order(1));
    assert_eq!(error, Err(AllocError::NoWindow));
    assert_eq!(violations(&mm), []);
    for window in windows.into_iter().rev() {
        // SAFETY: in reverse order.
        unsafe { mm.machine().kunmap_local(window) };
    }
    mm.free_pages(high, Order::ZERO);
}

#[test]
fn tails_of_a_compound_page_lead_to_its_head() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    for number in [1, 3, 9, 10] {
        let order = order(number);
        let pfn = mm.alloc_pages(Gfp::KERNEL | Gfp::COMP, order).unwrap();
        for offset in [0, 1, order.pages() / 2, order.pages() - 1] {
            assert_eq!(mm.compound_head(pfn.add(offset)), pfn);
        }
        assert_eq!(violations(&mm), []);
        mm.free_pages(pfn, order);
        assert_eq!(mm.compound_head(pfn.add(1)), pfn.add(1));
        assert_eq!(violations(&mm), []);
    }
}

#[test]
fn the_last_reference_frees() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    let pfn = mm.alloc_pages(Gfp::KERNEL, order(4)).unwrap();
    mm.get_page(pfn);
    assert!(!mm.put_page(pfn));
    assert!(mm.put_page(pfn));
    assert_eq!(violations(&mm), []);
    assert!(
        !mm.block_of(pfn)
            .unwrap()
            .flags
            .contains(PageFlags::ALLOCATED)
    );
}

#[test]
fn owned_frames_are_released() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    let frames = mm.alloc_frames(Gfp::KERNEL, order(5)).unwrap();
    assert_eq!(frames.order(), order(5));
    mm.release(frames);
    assert_eq!(violations(&mm), []);
}

#[test]
fn each_step_is_one_event() {
    let mm = boot(128 * MIB, ZoneConfig::CLASSIC);
    mm.machine().take_events();
    let gfp = Gfp::KERNEL;
    let first = mm.alloc_pages(gfp, Order::ZERO).unwrap();
    let second = mm.alloc_pages(gfp, Order::ZERO).unwrap();
    mm.free_pages(first, Order::ZERO);
    mm.free_pages(second, Order::ZERO);
    let batch = u64::from(mm.zones()[1].pcp_batch.load(Relaxed));
    let trace = u64::from(gfp.bits()) << 8;
    assert_eq!(
        mm.machine().take_events(),
        [
            (EventKind::PcpMove, 1, batch),
            (EventKind::PageAlloc, first.0.into(), trace),
            (EventKind::PageAlloc, second.0.into(), trace),
            (EventKind::PageFree, first.0.into(), 0),
            (EventKind::PageFree, second.0.into(), 0),
        ]
    );
    assert_eq!(mm.event_count(VmEvent::PgallocNormal), 2);
    assert_eq!(mm.event_count(VmEvent::Pgfree), 2);
}

#[test]
fn types_claim_pageblocks_of_their_own() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    let unmovable = mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap();
    let movable = mm.alloc_pages(Gfp::HIGHUSER_MOVABLE, Order::ZERO).unwrap();
    let reclaimable = mm
        .alloc_pages(Gfp::KERNEL | Gfp::RECLAIMABLE, Order::ZERO)
        .unwrap();
    let types: Vec<_> = [unmovable, movable, reclaimable]
        .map(|pfn| mm.map.migrate_type(pfn.0))
        .into();
    use pagelab_abi::page::MigrateType::{Movable, Reclaimable, Unmovable};
    assert_eq!(types, [Unmovable, Movable, Reclaimable]);
    assert_eq!(violations(&mm), []);
}

#[test]
fn metadata_takes_at_most_1_6_percent() {
    for mib in [16, 64, 256] {
        let mm = boot_with(mib * MIB, ZoneConfig::CLASSIC, 1, &[]);
        let reserved: u64 = mm
            .state()
            .memory_reserved
            .as_slice()
            .iter()
            .map(|region| region.size)
            .sum();
        assert!(reserved * 1000 <= mib * MIB * 16, "{reserved} of {mib} MiB");
    }
}
