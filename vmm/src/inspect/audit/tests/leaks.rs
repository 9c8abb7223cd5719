//! Leaks, against a baseline.

use pagelab_abi::{gfp::Gfp, slab::CacheFlags};
use pagelab_mm::Order;

use crate::inspect::{
    AuditResult,
    audit::{Baseline, leak},
    test_guest::TestGuest,
};

/// What a guest leaks since a baseline.
fn leaks(guest: &TestGuest, baseline: &Baseline) -> AuditResult {
    leak(&guest.image().snapshot(), baseline)
}

fn baseline(guest: &TestGuest) -> Baseline {
    Baseline::take(&guest.image().snapshot()).unwrap()
}

#[test]
fn what_was_given_back_is_no_leak() {
    for debug in [CacheFlags::empty(), CacheFlags::DEBUG] {
        let mut guest = TestGuest::new(debug);
        let baseline = baseline(&guest);
        for step in 0..500 {
            guest.step(step * 7919);
        }
        assert!(leaks(&guest, &baseline).violated());
        guest.give_back();
        let result = leaks(&guest, &baseline);
        assert!(result.held(), "{result:#?}");
    }
}

#[test]
fn a_page_that_was_not_freed_is_named() {
    let guest = TestGuest::new(CacheFlags::empty());
    let baseline = baseline(&guest);
    let pfn = guest
        .mm
        .alloc_pages(Gfp::HIGHUSER_MOVABLE, Order::new(3).unwrap())
        .unwrap();
    let result = leaks(&guest, &baseline);
    assert_eq!((result.violated(), result.total), (true, 1));
    let words = format!("new: pfn {:#x} order 3 (Movable)", pfn.0);
    assert!(result.findings[0].contains(&words), "{result:#?}");
}

#[test]
fn an_object_that_was_not_freed_is_named() {
    let guest = TestGuest::new(CacheFlags::STORE_USER);
    let baseline = baseline(&guest);
    guest
        .mm
        .slab()
        .kmem_cache_alloc(&guest.caches[1], Gfp::KERNEL)
        .unwrap();
    guest.mm.slab().kmalloc(100, Gfp::KERNEL).unwrap();
    guest.mm.slab().kmalloc(50_000, Gfp::KERNEL).unwrap();
    let result = leaks(&guest, &baseline);
    for words in [
        "cache large: 1 objects are in use, 0 were before: 0x",
        "cache kmalloc-128: 1 objects are in use",
        "order 4 (kmalloc)",
    ] {
        assert!(
            result.findings.iter().any(|it| it.contains(words)),
            "{words}: {result:#?}"
        );
    }
}

#[test]
fn a_cache_that_was_not_destroyed_is_named() {
    let guest = TestGuest::new(CacheFlags::empty());
    let baseline = baseline(&guest);
    guest
        .mm
        .slab()
        .kmem_cache_create("forgotten", 64, 0, CacheFlags::empty(), None)
        .unwrap();
    let result = leaks(&guest, &baseline);
    assert!(
        result.findings[0].contains("cache forgotten was created"),
        "{result:#?}"
    );
}
