use crate::{
    Order, Pfn,
    testing::{boot, violations},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    page::{PageFlags, flags_of},
};
use std::{vec, vec::Vec};

#[test]
fn each_block_is_reported_once_until_it_was_used() {
    let mm = boot(512 << 20, ZoneConfig::CLASSIC);
    let mut reported = Vec::new();
    loop {
        let mut blocks = vec![(Pfn(0), Order::ZERO); 7];
        let got = mm.report_isolate(Order::PAGEBLOCK, &mut blocks);
        if got == 0 {
            break;
        }
        assert_eq!(violations(&mm), []);
        mm.report_putback(&blocks[..got], true);
        assert_eq!(violations(&mm), []);
        reported.extend_from_slice(&blocks[..got]);
    }
    let pages: u32 = reported.iter().map(|(_, order)| order.pages()).sum();
    assert!(pages > 60_000, "{pages} pages");
    let mut pfns: Vec<_> = reported.iter().map(|(pfn, _)| pfn.0).collect();
    pfns.sort_unstable();
    pfns.dedup();
    assert_eq!(pfns.len(), reported.len(), "none twice");

    // A block that was used and freed is news.
    let pfn = mm.alloc_pages(Gfp::KERNEL, Order::MAX).unwrap();
    mm.free_pages(pfn, Order::MAX);
    let mut blocks = [(Pfn(0), Order::ZERO); 7];
    assert_eq!(mm.report_isolate(Order::PAGEBLOCK, &mut blocks), 1);
    assert_eq!(blocks[0], (pfn, Order::MAX));
    mm.report_putback(&blocks[..1], false);
    let word = mm.map.page(pfn.0).flags.load(Relaxed);
    assert_eq!(flags_of(word), PageFlags::BUDDY, "the host was not told");
    assert_eq!(violations(&mm), []);
}

#[test]
fn a_zone_that_is_short_reports_nothing() {
    let mm = boot(64 << 20, ZoneConfig::CLASSIC);
    let mut blocks = [(Pfn(0), Order::ZERO); 4];
    assert_eq!(mm.report_isolate(Order::PAGEBLOCK, &mut blocks), 0);
}

#[test]
#[should_panic(expected = "bad putback")]
fn only_what_was_isolated_is_put_back() {
    let mm = boot(64 << 20, ZoneConfig::CLASSIC);
    let pfn = mm.alloc_pages(Gfp::KERNEL, Order::PAGEBLOCK).unwrap();
    mm.report_putback(&[(pfn, Order::PAGEBLOCK)], true);
}
