//! Caches without faults: allocation, constructors, colours, shrinking, destruction.

use super::*;
use pagelab_abi::{event::EventKind, page::PageFlags, slab::ListKind};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

#[test]
fn objects_are_aligned_apart_and_keep_their_content() {
    for (size, align) in [
        (1, 0),
        (24, 0),
        (40, 64),
        (100, 4),
        (700, 0),
        (3000, 256),
        (9000, 0),
    ] {
        let bench = Bench::new();
        let slab = bench.slab();
        let cache = slab
            .kmem_cache_create("test", size, align, CacheFlags::empty(), None)
            .unwrap();
        let objects: Vec<_> = (0..200).map(|_| bench.alloc(&cache)).collect();
        for (i, &object) in objects.iter().enumerate() {
            assert!((object.as_ptr() as usize).is_multiple_of(align.max(8) as usize));
            fill(object, size as usize, i as u8);
        }
        bench.check();
        for (i, &object) in objects.iter().enumerate() {
            assert!(holds(object, size as usize, i as u8), "{size} {i}");
        }
        for &object in &objects {
            bench.free(&cache, object);
        }
        bench.check();
        slab.kmem_cache_destroy(cache).unwrap();
        bench.check();
    }
}

#[test]
fn a_magazine_is_last_in_first_out() {
    let bench = Bench::new();
    let cache = bench.cache("test", 64);
    let [a, b] = [bench.alloc(&cache), bench.alloc(&cache)];
    bench.free(&cache, a);
    bench.free(&cache, b);
    assert_eq!([bench.alloc(&cache), bench.alloc(&cache)], [b, a]);
}

#[test]
fn a_pair_in_a_warm_magazine_asks_for_no_pages() {
    let bench = Bench::new();
    let warm = bench.kmalloc(64);
    bench.kfree(warm);
    let calls = bench.source.calls.get();
    for _ in 0..1000 {
        let object = bench.kmalloc(64);
        bench.kfree(object);
    }
    assert_eq!(bench.source.calls.get(), calls);
}

#[test]
fn events_name_object_and_cache_and_come_in_order() {
    let bench = Bench::new();
    let cache = bench.cache("test", 64);
    let warm = bench.alloc(&cache);
    bench.source.events.borrow_mut().clear();
    let object = bench.alloc(&cache);
    bench.free(&cache, object);
    bench.free(&cache, warm);
    let gpa = bench.slab().physical(object);
    let index = u64::from(cache.index());
    assert_eq!(
        bench.source.events.borrow()[..2],
        [
            (EventKind::SlabAlloc, gpa, index),
            (EventKind::SlabFree, gpa, index)
        ]
    );
}

static CONSTRUCTED: AtomicU32 = AtomicU32::new(0);

fn constructor(object: NonNull<u8>) {
    CONSTRUCTED.fetch_add(1, Relaxed);
    fill(object, 48, 0x77);
}

#[test]
fn a_constructor_runs_once_for_each_object_and_its_work_survives() {
    let bench = Bench::new();
    // Poison is asked for, and left out: it would destroy what the constructor made.
    let flags = CacheFlags::POISON | CacheFlags::RED_ZONE;
    let cache = bench
        .slab()
        .kmem_cache_create("test", 48, 0, flags, Some(constructor))
        .unwrap();
    for _ in 0..5 {
        let objects: Vec<_> = (0..150).map(|_| bench.alloc(&cache)).collect();
        for &object in &objects {
            assert!(holds(object, 48, 0x77));
            bench.free(&cache, object);
        }
    }
    let desc = cache.as_ref();
    let objects = desc.grown.load(Relaxed) as u32 * desc.geometry.objects;
    assert_eq!(CONSTRUCTED.load(Relaxed), objects);
}

#[test]
#[should_panic(expected = "ZERO asked of cache test, which has a constructor")]
fn zeros_and_a_constructor_contradict() {
    let bench = Bench::new();
    let cache = bench
        .slab()
        .kmem_cache_create("test", 48, 0, CacheFlags::empty(), Some(|_| ()))
        .unwrap();
    let _ = bench
        .slab()
        .kmem_cache_alloc(&cache, Gfp::KERNEL | Gfp::ZERO);
}

#[test]
fn successive_slabs_have_different_colours() {
    let bench = Bench::new();
    let cache = bench.cache("test", 480);
    let geometry = cache.as_ref().geometry;
    assert!(geometry.colours > 1, "{geometry:?}");
    let mut colours = BTreeSet::new();
    for _ in 0..geometry.objects * geometry.colours {
        let object = bench.alloc(&cache);
        let (pfn, _) = bench.slab().slab_of(object).unwrap();
        colours.insert(bench.slab().word(pfn).colour());
    }
    let expected: BTreeSet<_> = (0..geometry.colours)
        .map(|colour| colour * geometry.colour_step)
        .collect();
    assert_eq!(colours, expected);
}

#[test]
fn empty_slabs_are_kept_up_to_a_limit_and_given_back_by_shrink() {
    let bench = Bench::new();
    let cache = bench.cache("test", 2000);
    let before = bench.source.allocated.get();
    let objects: Vec<_> = (0..300).map(|_| bench.alloc(&cache)).collect();
    for object in objects {
        bench.free(&cache, object);
    }
    let desc = cache.as_ref();
    let empty = || desc.lists[ListKind::Empty as usize].count.load(Relaxed);
    assert!(empty() > 0 && empty() <= desc.max_empty);
    assert!(desc.reaped.load(Relaxed) > 0);
    bench.check();
    assert!(bench.slab().kmem_cache_shrink(&cache) > 0);
    bench.check();
    assert_eq!(empty(), 0);
    // What is left is a magazine's slab, made meanwhile.
    assert!(bench.source.allocated.get() <= before + 1);
}

#[test]
fn while_memory_is_plentiful_all_empty_slabs_stay() {
    let bench = Bench::new();
    bench.source.plentiful.set(true);
    let cache = bench.cache("test", 2000);
    let all = |cache| {
        let objects: Vec<_> = (0..300).map(|_| bench.alloc(cache)).collect();
        for object in objects {
            bench.free(cache, object);
        }
    };
    all(&cache);
    let desc = cache.as_ref();
    assert!(desc.lists[ListKind::Empty as usize].count.load(Relaxed) > desc.max_empty);
    let calls = bench.source.calls.get();
    all(&cache);
    assert_eq!(bench.source.calls.get(), calls, "no slab is made anew");
    assert_eq!(desc.reaped.load(Relaxed), 0);
    bench.check();
}

#[test]
fn all_caches_shrink_up_to_the_wanted_number_of_frames() {
    let bench = Bench::new();
    for size in [64, 1024, 4096] {
        let objects: Vec<_> = (0..40).map(|_| bench.kmalloc(size)).collect();
        for object in objects {
            bench.kfree(object);
        }
    }
    let shrinkable = bench.slab().shrinkable();
    assert!(shrinkable > 20);
    bench.slab().drain_local();
    let allocated = bench.source.allocated.get();
    let freed = bench.slab().shrink_all(3);
    assert!(freed == 3 || freed == 4, "whole slabs: {freed}");
    assert_eq!(bench.source.allocated.get(), allocated - freed);
    assert!(bench.slab().shrink_all(u64::MAX) > 3);
    assert_eq!(bench.slab().shrinkable(), 0);
    bench.check();
}

#[test]
fn another_cpu_empties_its_magazine_when_it_comes_by() {
    let bench = Bench::new();
    let cache = bench.cache("test", 64);
    let desc = cache.as_ref();
    bench.source.cpu.set(1);
    let object = bench.alloc(&cache);
    bench.free(&cache, object);
    let waiting = |cpu| {
        bench.source.cpu.set(cpu);
        bench.slab().magazine(desc).map(|m| m.avail.load(Relaxed))
    };
    assert!(waiting(1) > Some(0));
    bench.source.cpu.set(0);
    bench.slab().kmem_cache_shrink(&cache);
    assert!(waiting(1) > Some(0), "not touched by a foreign CPU");
    bench.slab().drain_local();
    assert_eq!(waiting(1), Some(0));
    bench.check();
    // Freed on another CPU than allocated.
    bench.source.cpu.set(0);
    let object = bench.alloc(&cache);
    bench.source.cpu.set(1);
    bench.free(&cache, object);
    bench.check();
    bench.slab().kmem_cache_destroy(cache).unwrap();
    bench.check();
}

#[test]
fn a_leak_is_reported_with_name_count_and_addresses() {
    let bench = Bench::new();
    let slab = bench.slab();
    let cache = slab
        .kmem_cache_create("leaky", 64, 0, CacheFlags::STORE_USER, None)
        .unwrap();
    let leaked: Vec<_> = (0..10).map(|_| bench.alloc(&cache)).collect();
    let error = slab.kmem_cache_destroy(cache).unwrap_err();
    bench.check();
    let text = error.to_string();
    assert!(
        text.starts_with("cache leaky still has 10 objects:"),
        "{text}"
    );
    assert!(text.ends_with("and more"), "{text}");
    assert_eq!(error.leak.objects, 10);
    for object in error.leak.first {
        let object = object.unwrap();
        assert!(leaked.contains(&object), "{object:p} {leaked:?}");
        assert!(text.contains(&format!("{object:p}")));
    }
    assert!(text.contains("tests/mod.rs:"), "{text}");
    for object in leaked {
        bench.free(&error.cache, object);
    }
    slab.kmem_cache_destroy(error.cache).unwrap();
    bench.check();
}

#[test]
fn destruction_leaves_nothing() {
    let bench = Bench::new();
    // The allocator's own slab of magazines stays.
    let object = bench.kmalloc(64);
    bench.kfree(object);
    let before = bench.source.allocated.get();
    let cache = bench.cache("test", 300);
    let objects: Vec<_> = (0..100).map(|_| bench.alloc(&cache)).collect();
    for object in objects {
        bench.free(&cache, object);
    }
    bench.slab().kmem_cache_destroy(cache).unwrap();
    assert!(bench.slab().find("test").is_none());
    bench.slab().shrink_all(u64::MAX);
    assert!(bench.source.allocated.get() <= before);
    bench.check();
}

#[test]
fn what_cannot_be_a_cache_is_refused() {
    let bench = Bench::new();
    let slab = bench.slab();
    let create = |name, size, align| {
        slab.kmem_cache_create(name, size, align, CacheFlags::empty(), None)
            .map(|cache| cache.name().to_owned())
            .unwrap_err()
            .to_string()
    };
    assert!(create("", 8, 0).contains("not 0 bytes"));
    assert!(create("a-name-of-twenty-four-by", 8, 0).contains("not 24 bytes"));
    assert!(create("kmalloc-64", 8, 0).contains("choose another name"));
    assert!(create("none", 0, 0).contains("at least 1"));
    assert!(create("odd", 8, 24).contains("power of two"));
    assert!(create("huge", 40_000, 0).contains("allocate pages instead"));
    bench.check();
}

#[test]
fn slabs_ask_for_pages_as_their_cache_and_request_say() {
    let bench = Bench::new();
    let slab = bench.slab();
    let flags = CacheFlags::RECLAIM_ACCOUNT | CacheFlags::CACHE_DMA;
    let cache = slab
        .kmem_cache_create("test", 3000, 0, flags, None)
        .unwrap();
    let before = bench.source.slab_frames.get();
    bench.source.gfps.borrow_mut().clear();
    let gfp = Gfp::ATOMIC | Gfp::ZERO | Gfp::HIGHUSER_MOVABLE;
    let object = slab.kmem_cache_alloc(&cache, gfp).unwrap();
    let asked = *bench.source.gfps.borrow().last().unwrap();
    assert!(asked.contains(Gfp::HIGH | Gfp::DMA | Gfp::RECLAIMABLE | Gfp::COMP));
    assert!(!asked.intersects(Gfp::ZERO | Gfp::HIGHMEM | Gfp::MOVABLE));
    assert!(holds(object, 3000, 0), "ZERO is done object by object");
    let frames = 1 << cache.as_ref().geometry.order;
    assert_eq!(bench.source.slab_frames.get()[1], before[1] + frames);
    let (_, page) = slab.slab_of(object).unwrap();
    assert!(page.flags.load(Relaxed) & PageFlags::HEAD.bits() != 0);
}
