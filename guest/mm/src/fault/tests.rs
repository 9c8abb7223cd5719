use super::{failslab, should_fail, should_fail_alloc_page};
use crate::Order;
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{fault::FaultAttr, gfp::Gfp};
use std::vec::Vec;

/// Which of `count` candidates of a page each fail.
fn failures(attr: &FaultAttr, count: usize) -> Vec<usize> {
    (1..=count).filter(|_| should_fail(attr, 4096)).collect()
}

#[test]
fn nothing_fails_unless_armed() {
    assert_eq!(failures(&FaultAttr::new(), 100), []);
}

#[test]
fn nth_fails_once_and_beats_the_other_knobs() {
    let attr = FaultAttr::new();
    attr.nth.store(3, Relaxed);
    attr.times.store(0, Relaxed);
    assert_eq!(failures(&attr, 10), [3]);
    assert_eq!(attr.nth.load(Relaxed), 0);
    assert_eq!(
        (attr.seen.load(Relaxed), attr.injected.load(Relaxed)),
        (10, 1)
    );
}

#[test]
fn interval_and_times() {
    let attr = FaultAttr::new();
    attr.probability.store(100, Relaxed);
    attr.interval.store(4, Relaxed);
    attr.times.store(2, Relaxed);
    assert_eq!(failures(&attr, 20), [4, 8]);
    assert_eq!(attr.times.load(Relaxed), 0);
}

#[test]
fn space_is_used_up_first() {
    let attr = FaultAttr::new();
    attr.probability.store(100, Relaxed);
    attr.space.store(3 * 4096 + 1, Relaxed);
    assert_eq!(failures(&attr, 5), [4, 5]);
}

#[test]
fn probability_is_a_share_and_the_seed_decides_which() {
    let run = |seed| {
        let attr = FaultAttr::new();
        attr.probability.store(10, Relaxed);
        attr.rng.store(seed, Relaxed);
        failures(&attr, 10_000)
    };
    let first = run(1);
    assert!((900..1100).contains(&first.len()), "{}", first.len());
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}

#[test]
fn filters_decide_who_is_a_candidate() {
    let attr = FaultAttr::new();
    attr.probability.store(100, Relaxed);
    attr.min_order.store(2, Relaxed);
    attr.gfp_filter
        .store((Gfp::HIGHMEM | Gfp::MOVABLE).bits(), Relaxed);
    let order = |number| Order::new(number).unwrap();
    assert!(!should_fail_alloc_page(
        &attr,
        Gfp::HIGHUSER_MOVABLE,
        order(1)
    ));
    assert!(!should_fail_alloc_page(&attr, Gfp::HIGHUSER, order(2)));
    assert_eq!(attr.seen.load(Relaxed), 0);
    assert!(should_fail_alloc_page(
        &attr,
        Gfp::HIGHUSER_MOVABLE,
        order(2)
    ));
    let must = Gfp::HIGHUSER_MOVABLE | Gfp::NOFAIL;
    assert!(!should_fail_alloc_page(&attr, must, order(2)));
    assert_eq!(attr.seen.load(Relaxed), 1);
}

#[test]
fn failslab_looks_at_the_cache() {
    let mut attr = FaultAttr::new();
    attr.probability.store(100, Relaxed);
    assert!(failslab(&attr, "vm_area_struct", Gfp::KERNEL, 64));
    attr.cache[..9].copy_from_slice(b"kmalloc-8");
    assert!(!failslab(&attr, "vm_area_struct", Gfp::KERNEL, 64));
    assert!(!failslab(&attr, "kmalloc-80", Gfp::KERNEL, 64));
    assert!(failslab(&attr, "kmalloc-8", Gfp::KERNEL, 8));
}
