//! Each kind of damage is found, and nothing else.

use super::Violation;
use crate::{
    Mm, Order, Pfn,
    testing::{TestMachine, boot, violations},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    page::{MigrateType, NONE, PageFlags, pack},
};

/// A machine with an order-3 block allocated in NORMAL.
fn machine() -> (Mm<TestMachine>, Pfn) {
    let mm = boot(64 << 20, ZoneConfig::CLASSIC);
    let pfn = mm.alloc_pages(Gfp::KERNEL, Order::new(3).unwrap()).unwrap();
    assert_eq!(violations(&mm), []);
    (mm, pfn)
}

#[test]
fn a_head_without_a_state() {
    let (mm, pfn) = machine();
    mm.map.page(pfn.0).flags.store(0, Relaxed);
    let found = violations(&mm);
    assert!(
        found.contains(&Violation::BadHead {
            pfn: pfn.0,
            word: 0
        }),
        "{found:?}"
    );
}

#[test]
fn a_head_with_two_states() {
    let (mm, pfn) = machine();
    mm.set_page_flags(pfn, PageFlags::BUDDY);
    let found = violations(&mm);
    assert!(
        matches!(found[0], Violation::BadHead { pfn: bad, .. } if bad == pfn.0),
        "{found:?}"
    );
}

#[test]
fn flags_inside_a_block() {
    let (mm, pfn) = machine();
    let word = PageFlags::ALLOCATED.bits();
    mm.map.page(pfn.0 + 5).flags.store(word, Relaxed);
    assert_eq!(
        violations(&mm),
        [Violation::BadInterior {
            pfn: pfn.0 + 5,
            word
        }]
    );
}

#[test]
fn a_block_at_an_odd_place() {
    let (mm, pfn) = machine();
    // The block gets smaller, and the rest becomes one that is not aligned.
    let zone = 1;
    let piece = |order| pack(PageFlags::ALLOCATED, order, zone, MigrateType::Unmovable);
    mm.map.page(pfn.0).flags.store(piece(0), Relaxed);
    mm.map.page(pfn.0 + 1).flags.store(piece(2), Relaxed);
    mm.map.page(pfn.0 + 5).flags.store(piece(1), Relaxed);
    mm.map.page(pfn.0 + 7).flags.store(piece(0), Relaxed);
    let found = violations(&mm);
    let odd = Violation::BadExtent {
        pfn: pfn.0 + 1,
        order: 2,
    };
    assert!(found.contains(&odd), "{found:?}");
}

#[test]
fn buddies_that_were_not_merged() {
    let (mm, _) = machine();
    let zone = mm.lock_zone(1);
    let pfn = zone.first(10, MigrateType::Movable).unwrap();
    zone.unlink(pfn, 10, MigrateType::Movable);
    for half in [pfn, pfn + 512] {
        zone.push(half, 9, MigrateType::Movable, crate::buddy::End::Head);
    }
    drop(zone);
    assert_eq!(violations(&mm), [Violation::Unmerged { pfn, order: 9 }]);
}

#[test]
fn a_link_that_leads_nowhere() {
    let (mm, _) = machine();
    let list = &mm.zones()[1].free_area[10].free_list[MigrateType::Movable as usize];
    let first = list.head.load(Relaxed);
    mm.map.page(first).prev.store(first, Relaxed);
    let found = violations(&mm);
    let bad = Violation::BadLink {
        zone: 1,
        pfn: first,
    };
    assert!(found.contains(&bad), "{found:?}");
    mm.map.page(first).prev.store(NONE, Relaxed);
    list.tail.store(first, Relaxed);
    assert_eq!(violations(&mm), [bad]);
}

#[test]
fn counters_that_do_not_agree() {
    let (mm, _) = machine();
    let zone = &mm.zones()[1];
    let cases = [
        (&zone.free_pages, "the free lists' pages"),
        (&zone.free_area[10].free_list[1].count, "a free list"),
        (&zone.managed, "managed pages"),
        (&zone.balloon_pages, "the balloon"),
        (&zone.isolated_pages, "isolated pages"),
        (&mm.percpu[0].pcp[1].count, "a per-CPU list"),
    ];
    for (counter, name) in cases {
        counter.store(counter.load(Relaxed) + 1, Relaxed);
        let found = violations(&mm);
        assert!(
            found
                .iter()
                .any(|v| matches!(v, Violation::BadCount { what, .. } if *what == name)),
            "{name}: {found:?}"
        );
        counter.store(counter.load(Relaxed) - 1, Relaxed);
        assert_eq!(violations(&mm), []);
    }
}

#[test]
fn references_to_nothing() {
    let (mm, pfn) = machine();
    mm.map.page(pfn.0).refcount.store(0, Relaxed);
    assert_eq!(
        violations(&mm),
        [Violation::BadRefcount {
            pfn: pfn.0,
            refcount: 0
        }]
    );
}
