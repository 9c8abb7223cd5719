//! Every single failure, one after the other: each leaves all as it was.

use super::*;
use pagelab_abi::event::EventKind;

/// Runs `work` with the n-th page allocation failing, for each n until it runs without a failure.
/// Returns how many runs met a failure.
fn each_page_failure(work: impl Fn(&Bench) -> bool) -> u32 {
    for n in 1.. {
        let bench = Bench::new();
        bench.source.fail_page.set(Some(n));
        let succeeded = work(&bench);
        bench.check();
        if bench.source.fail_page.get().is_some() {
            assert!(succeeded);
            return n as u32 - 1;
        }
    }
    unreachable!()
}

#[test]
fn init_fails_as_a_whole() {
    let bench = Bench::bare(64);
    bench.source.fail_page.set(Some(1));
    assert!(bench.slab().init(CacheFlags::empty()).is_err());
    assert_eq!(bench.source.allocated.get(), 0);
    bench.check();
    bench.slab().init(CacheFlags::empty()).unwrap();
    assert_eq!(bench.source.calls.get(), 2, "one page is enough");
    bench.check();
}

#[test]
fn creation_survives_each_page_failure() {
    let failures = each_page_failure(|bench| {
        let slab = bench.slab();
        let mut caches = Vec::new();
        let mut complete = true;
        for i in 0..40 {
            let name = format!("cache-{i}");
            let before = bench
                .source
                .state
                .nr_caches
                .load(std::sync::atomic::Ordering::Relaxed);
            match slab.kmem_cache_create(&name, 100, 0, CacheFlags::empty(), None) {
                Ok(cache) => caches.push(cache),
                Err(error) => {
                    assert_eq!(error, super::super::CreateError::NoMemory);
                    assert_eq!(
                        bench
                            .source
                            .state
                            .nr_caches
                            .load(std::sync::atomic::Ordering::Relaxed),
                        before
                    );
                    complete = false;
                }
            }
        }
        bench.check();
        for cache in caches {
            slab.kmem_cache_destroy(cache).unwrap();
        }
        complete
    });
    assert!(failures >= 2);
}

#[test]
fn growth_survives_each_page_failure() {
    for size in [32, 600, 3000, 8192] {
        let failures = each_page_failure(|bench| {
            let flags = CacheFlags::empty();
            let Ok(cache) = bench.slab().kmem_cache_create("test", size, 0, flags, None) else {
                return false;
            };
            let mut objects = Vec::new();
            let mut complete = true;
            for _ in 0..150 {
                match bench.slab().kmem_cache_alloc(&cache, Gfp::KERNEL) {
                    Ok(object) => {
                        fill(object, size as usize, objects.len() as u8);
                        objects.push(object);
                    }
                    Err(_) => complete = false,
                }
            }
            bench.check();
            for (i, &object) in objects.iter().enumerate() {
                assert!(holds(object, size as usize, i as u8));
                bench.free(&cache, object);
            }
            bench.slab().kmem_cache_destroy(cache).unwrap();
            // A failed magazine is no failure of the request.
            complete || objects.len() < 150
        });
        assert!(failures >= 2);
    }
}

#[test]
fn kmalloc_survives_each_page_failure() {
    let failures = each_page_failure(|bench| {
        let mut held = Vec::new();
        for i in 0..60 {
            let size = (i * i * 11) % 20_000 + 1;
            let gfp = if i % 5 == 0 { Gfp::DMA } else { Gfp::KERNEL };
            if let Ok(object) = bench.slab().kmalloc(size, gfp) {
                held.push(object);
            }
        }
        bench.check();
        let complete = held.len() == 60;
        for object in held {
            bench.kfree(object);
        }
        complete || bench.source.fail_page.get().is_none()
    });
    assert!(failures >= 20);
}

#[test]
fn failslab_is_reported_and_counted() {
    let bench = Bench::new();
    let cache = bench.cache("test", 64);
    for n in 1..4 {
        bench.source.fail_slab.set(Some(n));
        let results: Vec<_> = (0..3)
            .map(|_| bench.slab().kmem_cache_alloc(&cache, Gfp::ATOMIC))
            .collect();
        for (i, result) in results.iter().enumerate() {
            assert_eq!(result.is_err(), i as u64 + 1 == n);
        }
        let event = (
            EventKind::SlabAllocFail,
            u64::from(cache.index()),
            u64::from(Gfp::ATOMIC.bits()),
        );
        let events = bench.source.events.borrow();
        assert_eq!(events.iter().filter(|&&e| e == event).count() as u64, n);
    }
    let failures = &cache.as_ref().alloc_failures;
    assert_eq!(failures.load(std::sync::atomic::Ordering::Relaxed), 3);
    bench.check();
}

#[test]
fn memory_runs_out_and_comes_back() {
    let bench = Bench::with(64, CacheFlags::empty());
    let mut held = Vec::new();
    while let Ok(object) = bench.slab().kmalloc(1000, Gfp::KERNEL) {
        fill(object, 1000, held.len() as u8);
        held.push(object);
    }
    bench.check();
    assert!(held.len() > 200);
    for (i, object) in held.into_iter().enumerate() {
        assert!(holds(object, 1000, i as u8));
        bench.kfree(object);
    }
    bench.slab().shrink_all(u64::MAX);
    bench.check();
    bench.kfree(bench.kmalloc(8192));
}
