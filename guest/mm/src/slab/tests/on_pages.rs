//! The slab allocator on the real page allocator.

use super::{fill, holds};
use crate::{
    Mm, Order,
    machine::Machine,
    slab::KmemCache,
    testing::{TestMachine, boot, violations, with_cpu},
    zone::ZoneConfig,
};
use pagelab_abi::{
    event::EventKind,
    gfp::Gfp,
    page::{FLAGS_MASK, PageFlags},
    slab::{CacheFlags, KMALLOC_SIZES, ListKind},
    vmstat::NodeStat,
    zone::{WMARK_HIGH, ZoneModel},
};
use std::{
    ptr::NonNull,
    sync::{Mutex, atomic::Ordering::Relaxed},
};

/// Bytes of the direct map: DMA and NORMAL; HIGHMEM is above.
const LOW: u64 = 32 << 20;

fn mm() -> Mm<TestMachine> {
    let zones = ZoneConfig::with_limits(ZoneModel::Classic, &[8 << 20, LOW]).unwrap();
    let mm = boot(64 << 20, zones);
    mm.slab_init(CacheFlags::empty()).unwrap();
    mm
}

/// All audits, and the counters against the descriptors.
fn check(mm: &Mm<TestMachine>) {
    if let Err(violation) = mm.slab().validate() {
        panic!("{violation}");
    }
    let violations = violations(mm);
    assert!(violations.is_empty(), "{violations:?}");
    let marked = PageFlags::SLAB | PageFlags::LARGE_KMALLOC;
    let frames: u32 = (0..(LOW >> 12) as u32)
        .filter_map(|pfn| mm.map.word(pfn))
        .filter(|word| word & FLAGS_MASK & marked.bits() != 0)
        .map(pagelab_abi::page::block_pages)
        .sum();
    let counted =
        mm.node_stat(NodeStat::SlabReclaimable) + mm.node_stat(NodeStat::SlabUnreclaimable);
    assert_eq!(counted, i64::from(frames));
}

fn kfree(mm: &Mm<TestMachine>, object: NonNull<u8>) {
    // SAFETY: the tests do not touch what they have freed.
    unsafe { mm.slab().kfree(object) }
}

/// A small generator (Knuth's MMIX), so that threads can have their own.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn all_low_memory_and_no_high_memory_can_be_had() {
    let mm = mm();
    let gfp = Gfp::KERNEL | Gfp::HIGHMEM | Gfp::NORETRY;
    let mut held = Vec::new();
    while let Ok(object) = mm.slab().kmalloc(2000, gfp) {
        assert!(mm.virt_to_pfn(object.as_ptr() as usize).is_some());
        fill(object, 2000, held.len() as u8);
        held.push(object);
    }
    assert!(held.len() as u64 * 2048 > LOW / 2, "{}", held.len());
    check(&mm);
    for (i, &object) in held.iter().enumerate() {
        assert!(holds(object, 2000, i as u8));
        kfree(&mm, object);
    }
    check(&mm);
}

/// Frames of empty slabs of the kmalloc cache of this class.
fn kept(mm: &Mm<TestMachine>, class: usize) -> u32 {
    let slab = mm.slab();
    // SAFETY: the kmalloc caches live for ever.
    let cache = unsafe { slab.cache_at(slab.root().kmalloc[class].load(Relaxed)) };
    cache.lists[ListKind::Empty as usize].count.load(Relaxed) << cache.geometry.order
}

#[test]
fn a_cache_keeps_its_share_of_a_zone_and_nothing_of_a_short_one() {
    let mm = mm();
    let class = KMALLOC_SIZES.iter().position(|&size| size == 4096).unwrap();
    let many = || (0..1000).map(|_| mm.slab().kmalloc(4096, Gfp::KERNEL).unwrap());
    let held: Vec<_> = many().collect();
    held.iter().for_each(|&object| kfree(&mm, object));
    let zone = &mm.zones()[1];
    let share = zone.managed.load(Relaxed) / 32;
    assert_eq!(kept(&mm, class), share & !1, "in slabs of two frames");
    check(&mm);
    let held: Vec<_> = many().collect();
    let mut pages = Vec::new();
    while let Ok(pfn) = mm.alloc_pages(Gfp::KERNEL | Gfp::NORETRY, Order::ZERO) {
        pages.push(pfn);
    }
    assert!(zone.free_pages.load(Relaxed) < zone.watermark[WMARK_HIGH].load(Relaxed));
    let few = &held[..(share + 40) as usize];
    few.iter().for_each(|&object| kfree(&mm, object));
    assert!(kept(&mm, class) < share / 2, "{}", kept(&mm, class));
    check(&mm);
    let rest = &held[few.len()..];
    rest.iter().for_each(|&object| kfree(&mm, object));
    for pfn in pages {
        mm.free_pages(pfn, Order::ZERO);
    }
    check(&mm);
}

#[test]
fn reclaim_takes_empty_slabs_and_magazines() {
    let mm = mm();
    let mut held = Vec::new();
    for size in KMALLOC_SIZES {
        held.extend((0..200).map(|_| mm.slab().kmalloc(size as usize, Gfp::KERNEL).unwrap()));
    }
    for object in held {
        kfree(&mm, object);
    }
    let idle = mm.slab().shrinkable();
    assert!(idle > 50, "{idle}");
    mm.machine().take_events();
    let mut pages = Vec::new();
    while let Ok(pfn) = mm.alloc_pages(Gfp::KERNEL | Gfp::NORETRY, Order::ZERO) {
        pages.push(pfn);
    }
    assert_eq!(mm.slab().shrinkable(), 0);
    let events = mm.machine().take_events();
    assert!(
        events
            .iter()
            .any(|&(kind, _, freed)| kind == EventKind::Reclaim && freed > 0)
    );
    check(&mm);
    for pfn in pages {
        mm.free_pages(pfn, Order::ZERO);
    }
    let object = mm.slab().kmalloc(8192, Gfp::KERNEL).unwrap();
    kfree(&mm, object);
    check(&mm);
}

#[test]
fn failslab_fails_the_nth_allocation() {
    let mm = mm();
    let attr = &mm.machine().control().failslab;
    attr.nth.store(3, Relaxed);
    let results: Vec<_> = (0..5)
        .map(|_| mm.slab().kmalloc(64, Gfp::KERNEL).is_ok())
        .collect();
    assert_eq!(results, [true, true, false, true, true]);
    assert_eq!(attr.injected.load(Relaxed), 1);
    check(&mm);
}

#[test]
fn failed_pages_fail_objects_but_not_those_that_must_not() {
    let mm = mm();
    let attr = &mm.machine().control().fail_page_alloc;
    attr.probability.store(100, Relaxed);
    for size in KMALLOC_SIZES {
        assert!(mm.slab().kmalloc(size as usize, Gfp::KERNEL).is_err());
        let object = mm
            .slab()
            .kmalloc(size as usize, Gfp::KERNEL | Gfp::NOFAIL)
            .unwrap();
        fill(object, size as usize, 1);
        kfree(&mm, object);
    }
    check(&mm);
    attr.probability.store(0, Relaxed);
    let object = mm.slab().kmalloc(64, Gfp::KERNEL).unwrap();
    kfree(&mm, object);
    check(&mm);
}

#[test]
#[should_panic(expected = "is not in a slab")]
fn a_pointer_into_free_memory_that_was_never_touched() {
    let mm = mm();
    // Descriptors there are the garbage that was in RAM.
    let pfn = (20 << 20 >> 12) + 3;
    let pointer = mm.pfn_to_ptr(crate::Pfn(pfn)).unwrap();
    kfree(&mm, pointer);
}

#[test]
#[should_panic(expected = "is not in a slab")]
fn a_pointer_to_plain_pages() {
    let mm = mm();
    let pfn = mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap();
    kfree(&mm, mm.pfn_to_ptr(pfn).unwrap());
}

/// An object on its way from CPU to CPU.
struct Moving(NonNull<u8>, usize, u8);

// SAFETY: whoever has the value owns the object.
unsafe impl Send for Moving {}

/// Allocates and frees at random; about half of the objects are freed by another CPU.
fn churn(mm: &Mm<TestMachine>, cache: &KmemCache, exchange: &Mutex<Vec<Moving>>, seed: u64) {
    let mut random = Random(seed);
    let mut held: Vec<Moving> = Vec::new();
    let free = |moving: Moving| {
        assert!(holds(moving.0, moving.1, moving.2));
        if moving.1 == 40 {
            // SAFETY: nobody else has the object.
            unsafe { mm.slab().kmem_cache_free(cache, moving.0) }
        } else {
            kfree(mm, moving.0);
        }
    };
    for _ in 0..4000 {
        match random.below(8) {
            0..=3 => {
                let size = if random.below(2) == 0 {
                    40
                } else {
                    41 + random.below(3000)
                };
                let object = if size == 40 {
                    mm.slab().kmem_cache_alloc(cache, Gfp::KERNEL)
                } else {
                    mm.slab().kmalloc(size, Gfp::KERNEL)
                };
                let byte = random.below(256) as u8;
                fill(object.unwrap(), size, byte);
                held.push(Moving(object.unwrap(), size, byte));
            }
            4 | 5 if !held.is_empty() => free(held.swap_remove(random.below(held.len()))),
            6 if !held.is_empty() => exchange.lock().unwrap().push(held.swap_remove(0)),
            7 => {
                let taken = exchange.lock().unwrap().pop();
                taken.into_iter().for_each(free);
            }
            _ => {
                mm.slab().shrink_all(2);
            }
        }
    }
    held.into_iter().for_each(free);
    mm.slab().drain_local();
}

#[test]
fn several_cpus_share_caches() {
    let mm = mm();
    let cache = mm
        .slab()
        .kmem_cache_create("shared", 40, 0, CacheFlags::RECLAIM_ACCOUNT, None)
        .unwrap();
    let exchange = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for cpu in 0..4 {
            let (mm, cache, exchange) = (&mm, &cache, &exchange);
            scope.spawn(move || with_cpu(cpu, || churn(mm, cache, exchange, cpu as u64)));
        }
    });
    check(&mm);
    for moving in exchange.into_inner().unwrap() {
        if moving.1 == 40 {
            // SAFETY: nobody else has the object.
            unsafe { mm.slab().kmem_cache_free(&cache, moving.0) }
        } else {
            kfree(&mm, moving.0);
        }
    }
    mm.slab().kmem_cache_destroy(cache).unwrap();
    for cpu in 0..4 {
        with_cpu(cpu, || mm.slab().drain_local());
    }
    mm.slab().shrink_all(u64::MAX);
    check(&mm);
    assert_eq!(mm.node_stat(NodeStat::SlabReclaimable), 0);
}
