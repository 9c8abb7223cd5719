//! Watermarks, reserves, reclaim, and what each flag may do when memory is short.

use super::MIB;
use crate::{
    AllocError, Mm, Order, Pfn,
    machine::Machine,
    reclaim::RECLAIM_WAIT,
    shrinker::{SHRINK_STOP, ShrinkControl, Shrinker, TooManyShrinkers},
    testing::{TestMachine, boot, violations},
    zone::ZoneConfig,
};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use pagelab_abi::{
    event::EventKind,
    gfp::Gfp,
    vmstat::VmEvent,
    zone::{WMARK_HIGH, WMARK_LOW, WMARK_MIN},
};
use std::{
    boxed::Box,
    sync::{Arc, Mutex},
    vec::Vec,
};

/// Allocates until these flags get no more.
fn exhaust(mm: &Mm<TestMachine>, gfp: Gfp) -> Vec<Pfn> {
    let mut pages = Vec::new();
    loop {
        match mm.alloc_pages(gfp, Order::ZERO) {
            Ok(pfn) => pages.push(pfn),
            Err(error) => {
                assert_eq!(error, AllocError::NoMemory);
                return pages;
            }
        }
    }
}

fn free(mm: &Mm<TestMachine>, zone: usize) -> u32 {
    mm.zones()[zone].free_pages.load(Relaxed)
}

fn mark(mm: &Mm<TestMachine>, zone: usize, mark: usize) -> u32 {
    mm.zones()[zone].watermark[mark].load(Relaxed)
}

#[test]
fn each_flag_digs_as_deep_as_it_may() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    let min = mark(&mm, 1, WMARK_MIN);
    let mut held = exhaust(&mm, Gfp::KERNEL);
    let after_kernel = free(&mm, 1);
    assert!(
        after_kernel <= min + 1 && after_kernel > min / 2,
        "{after_kernel} of {min}"
    );
    held.extend(exhaust(&mm, Gfp::KERNEL | Gfp::HIGH));
    let after_high = free(&mm, 1);
    assert!(
        after_high <= min / 2 + 1 && after_high > min / 4,
        "{after_high} of {min}"
    );
    held.extend(exhaust(&mm, Gfp::ATOMIC));
    let after_atomic = free(&mm, 1);
    assert!(
        after_atomic < after_high && after_atomic > 0,
        "{after_atomic} of {min}"
    );
    held.extend(exhaust(&mm, Gfp::NOWAIT | Gfp::MEMALLOC));
    assert_eq!((free(&mm, 0), free(&mm, 1)), (0, 0));
    assert_eq!(
        mm.alloc_pages(Gfp::KERNEL | Gfp::MEMALLOC | Gfp::NOMEMALLOC, Order::ZERO),
        Err(AllocError::NoMemory)
    );
    mm.free_pages_bulk(&held);
    assert_eq!(violations(&mm), []);
}

#[test]
fn lower_zones_help_and_keep_their_reserve() {
    let zones =
        ZoneConfig::with_limits(pagelab_abi::zone::ZoneModel::Classic, &[16 << 20, 64 << 20])
            .unwrap();
    let mm = boot(192 * MIB, zones);
    let reserve =
        |zone: usize, highest: usize| mm.zones()[zone].lowmem_reserve[highest].load(Relaxed);
    // HIGHMEM has 128 MiB: a 32nd of them stays in NORMAL, a 256th of both above in DMA.
    assert_eq!(reserve(1, 2), 32768 / 32);
    let above = mm.zones()[1].managed.load(Relaxed) + 32768;
    assert_eq!(reserve(0, 2), above / 256);
    let held = exhaust(&mm, Gfp::HIGHUSER);
    assert!(mm.event_count(VmEvent::PgallocFallback) > 0);
    assert!(free(&mm, 1) >= mark(&mm, 1, WMARK_MIN) + reserve(1, 2));
    assert!(free(&mm, 0) >= mark(&mm, 0, WMARK_MIN) + reserve(0, 2));
    // The kernel's own requests may still have that.
    mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap();
    mm.alloc_pages(Gfp::KERNEL | Gfp::DMA, Order::ZERO).unwrap();
    drop(held);
}

/// Holds pages, and gives them back when it is asked.
struct Hoard {
    pages: Mutex<Vec<Pfn>>,
    stubborn: bool,
}

impl Hoard {
    fn new(pages: Vec<Pfn>, stubborn: bool) -> &'static Self {
        Box::leak(Box::new(Self {
            pages: Mutex::new(pages),
            stubborn,
        }))
    }
}

impl Shrinker<TestMachine> for Hoard {
    fn name(&self) -> &'static str {
        "hoard"
    }

    fn count_objects(&self, _: &Mm<TestMachine>, _: &ShrinkControl) -> u64 {
        self.pages.lock().unwrap().len() as u64
    }

    fn scan_objects(&self, mm: &Mm<TestMachine>, control: &ShrinkControl) -> u64 {
        if self.stubborn {
            return SHRINK_STOP;
        }
        let mut pages = self.pages.lock().unwrap();
        let keep = pages.len().saturating_sub(control.nr_to_scan as usize);
        let freed = pages.split_off(keep);
        drop(pages);
        mm.free_pages_bulk(&freed);
        freed.len() as u64
    }
}

#[test]
fn direct_reclaim_asks_the_shrinkers() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    let hoard = Hoard::new(exhaust(&mm, Gfp::KERNEL), false);
    mm.register_shrinker(hoard).unwrap();
    mm.machine().take_events();
    let pfn = mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap();
    assert_eq!(
        mm.event_count(VmEvent::AllocstallNormal),
        2,
        "once to fill, once now"
    );
    assert!(mm.event_count(VmEvent::SlabsScanned) > 0);
    let reclaims = mm.machine().take_events();
    assert!(reclaims.iter().any(|&(kind, shrinker, freed)| {
        kind == EventKind::Reclaim && shrinker == 0 && freed > 0
    }));
    // One who cannot wait does not reclaim.
    mm.free_pages(pfn, Order::ZERO);
    let left = hoard.pages.lock().unwrap().len();
    hoard
        .pages
        .lock()
        .unwrap()
        .extend(exhaust(&mm, Gfp::ATOMIC));
    assert!(hoard.pages.lock().unwrap().len() >= left);
    assert_eq!(violations(&mm), []);
}

#[test]
fn background_reclaim_goes_on_to_the_high_watermark() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    assert!(!mm.background_step());
    let hoard = Hoard::new(exhaust(&mm, Gfp::KERNEL), false);
    mm.register_shrinker(hoard).unwrap();
    assert!(mm.kswapd_is_awake());
    assert!(mm.background_step());
    for zone in 0..2 {
        assert!(free(&mm, zone) > mark(&mm, zone, WMARK_HIGH));
    }
    assert!(!mm.kswapd_is_awake() && !mm.background_step());
    assert_eq!(mm.event_count(VmEvent::Pageoutrun), 1);
    assert!(
        !hoard.pages.lock().unwrap().is_empty(),
        "no more than needed"
    );
}

#[test]
fn background_reclaim_gives_up_when_nothing_helps() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    let hoard = Hoard::new(exhaust(&mm, Gfp::KERNEL), true);
    mm.register_shrinker(hoard).unwrap();
    let mut runs = 0;
    while mm.kswapd_is_awake() {
        mm.background_step();
        runs += 1;
        assert!(mm.alloc_pages(Gfp::NOWAIT, Order::ZERO).is_err());
    }
    assert_eq!(runs, 16);
    assert!(free(&mm, 1) <= mark(&mm, 1, WMARK_LOW));
}

#[test]
fn one_who_must_not_fail_uses_the_reserves() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    let held = exhaust(&mm, Gfp::KERNEL);
    for _ in 0..10 {
        mm.alloc_pages(Gfp::KERNEL | Gfp::NOFAIL, Order::ZERO)
            .unwrap();
    }
    for (gfp, order) in [(Gfp::KERNEL, 2), (Gfp::NOWAIT, 0)] {
        let order = Order::new(order).unwrap();
        assert_eq!(
            mm.alloc_pages(gfp | Gfp::NOFAIL, order),
            Err(AllocError::BadRequest)
        );
    }
    mm.free_pages_bulk(&held);
}

/// Rounds that the next test waits: more than are ever needed to notice that nothing helps.
const ROUNDS: usize = 3000;

#[test]
fn one_who_must_not_fail_asks_for_a_victim_and_waits_for_memory() {
    let mm: &'static _ = Box::leak(Box::new(boot(16 * MIB, ZoneConfig::CLASSIC)));
    let held = exhaust(mm, Gfp::KERNEL | Gfp::MEMALLOC);
    let first = held[0];
    let mut rounds = 0;
    mm.machine().on_oom(Box::new(move |control| {
        assert_eq!(control.gfp, Gfp::KERNEL | Gfp::NOFAIL);
        rounds += 1;
        if rounds == ROUNDS {
            // Comes without being told: nobody was killed.
            mm.free_pages(first, Order::ZERO);
        }
        false
    }));
    mm.machine().take_events();
    mm.alloc_pages(Gfp::KERNEL | Gfp::NOFAIL, Order::ZERO)
        .unwrap();
    let waits = mm
        .machine()
        .take_events()
        .iter()
        .filter(|event| event.0 == EventKind::Reclaim && event.1 == RECLAIM_WAIT)
        .count();
    assert_eq!(waits, ROUNDS - 1);
    mm.free_pages_bulk(&held[1..]);
    assert_eq!(violations(mm), []);
}

#[test]
fn only_one_who_may_wait_asks_for_a_victim() {
    let mm: &'static _ = Box::leak(Box::new(boot(64 * MIB, ZoneConfig::CLASSIC)));
    let held = exhaust(mm, Gfp::KERNEL);
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    mm.machine().on_oom(Box::new(move |_| {
        count.fetch_add(1, Relaxed);
        false
    }));
    let order = |order| Order::new(order).unwrap();
    let mut blocks = Vec::new();
    for (gfp, order, times) in [
        (Gfp::KERNEL, order(0), 1),
        (Gfp::HIGHUSER_MOVABLE, order(3), 1),
        (Gfp::KERNEL, order(4), 0),
        (Gfp::KERNEL | Gfp::NORETRY, order(0), 0),
        (Gfp::KERNEL | Gfp::DMA, order(3), 0),
        (Gfp::KERNEL | Gfp::DMA32, order(3), 0),
        (Gfp::NOWAIT, order(0), 0),
    ] {
        // Whatever larger blocks are left go first.
        asked.store(0, Relaxed);
        while let Ok(pfn) = mm.alloc_pages(gfp, order) {
            blocks.push((pfn, order));
        }
        assert_eq!(asked.load(Relaxed), times, "{gfp:?} {order}");
    }
    for (pfn, order) in blocks {
        mm.free_pages(pfn, order);
    }
    mm.free_pages_bulk(&held);
}

#[test]
fn the_table_of_shrinkers_has_an_end() {
    let mm = boot(16 * MIB, ZoneConfig::CLASSIC);
    let hoard = Hoard::new(Vec::new(), false);
    for _ in 0..16 {
        mm.register_shrinker(hoard).unwrap();
    }
    assert_eq!(mm.register_shrinker(hoard), Err(TooManyShrinkers));
}

#[test]
fn an_injected_failure_changes_nothing() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    let attr = &mm.machine().control().fail_page_alloc;
    attr.nth.store(3, Relaxed);
    let results: Vec<bool> = (0..5)
        .map(|_| mm.alloc_pages(Gfp::KERNEL, Order::ZERO).is_ok())
        .collect();
    assert_eq!(results, [true, true, false, true, true]);
    assert_eq!(attr.injected.load(Relaxed), 1);
    assert_eq!(mm.event_count(VmEvent::PgallocFail), 1);
    attr.probability.store(100, Relaxed);
    assert_eq!(
        mm.alloc_pages(Gfp::KERNEL, Order::ZERO),
        Err(AllocError::Injected)
    );
    mm.alloc_pages(Gfp::KERNEL | Gfp::NOFAIL, Order::ZERO)
        .unwrap();
    assert_eq!(violations(&mm), []);
}
