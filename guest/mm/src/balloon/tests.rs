use crate::{
    AllocError, Order,
    testing::{boot, violations},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{event::EventKind, vmstat::VmEvent, zone::WMARK_MIN};
use std::vec::Vec;

#[test]
fn the_balloon_takes_large_blocks_first_and_stops_at_the_watermarks() {
    let mm = boot(64 << 20, ZoneConfig::CLASSIC);
    let mut held = Vec::new();
    let error = loop {
        match mm.balloon_inflate(Order::MAX) {
            Ok(block) => held.push(block),
            Err(error) => break error,
        }
    };
    assert_eq!(error, AllocError::NoMemory);
    assert_eq!(held[0].1, Order::MAX);
    assert!(held.len() < 600, "{} blocks", held.len());
    for zone in &mm.zones()[..2] {
        // A refill of a per-CPU list takes two blocks of order 3 where one would do.
        let free = zone.free_pages.load(Relaxed) + 16;
        assert!(free >= zone.watermark[WMARK_MIN].load(Relaxed));
    }
    let pages: u64 = held.iter().map(|(_, order)| u64::from(order.pages())).sum();
    assert_eq!(mm.balloon_pages(), pages);
    assert_eq!(mm.event_count(VmEvent::BalloonInflate), pages);
    assert_eq!(violations(&mm), []);

    mm.machine().take_events();
    for (pfn, order) in held {
        mm.balloon_deflate(pfn, order);
    }
    let events = mm.machine().take_events();
    assert!(events.contains(&(EventKind::Balloon, 1024, 0)));
    assert_eq!(mm.balloon_pages(), 0);
    assert_eq!(mm.event_count(VmEvent::BalloonDeflate), pages);
    assert_eq!(violations(&mm), []);
}

#[test]
fn a_part_of_a_block_can_come_back() {
    let mm = boot(64 << 20, ZoneConfig::CLASSIC);
    let (pfn, order) = mm.balloon_inflate(Order::MAX).unwrap();
    mm.split_page(pfn, order);
    mm.balloon_deflate(pfn.add(512), Order::PAGEBLOCK);
    assert_eq!(mm.balloon_pages(), 512);
    mm.split_page(pfn, Order::PAGEBLOCK);
    mm.balloon_deflate(pfn, Order::new(8).unwrap());
    assert_eq!(mm.balloon_pages(), 256);
    assert_eq!(violations(&mm), []);
}
