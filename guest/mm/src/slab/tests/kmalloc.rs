//! kmalloc, kfree, krealloc and ksize.

use super::*;
use crate::kmalloc::{KMALLOC_MAX_SIZE, ZERO_SIZE_PTR};
use std::sync::atomic::Ordering::Relaxed;

#[test]
fn every_size_is_served_aligned_zeroed_and_freed() {
    let bench = Bench::new();
    let slab = bench.slab();
    let sizes = (1..600).chain((600..40_000).step_by(517)).chain([1 << 20]);
    for size in sizes {
        let object = slab.kmalloc(size, Gfp::KERNEL | Gfp::ZERO).unwrap();
        assert!(holds(object, size, 0), "{size}");
        let usable = slab.ksize(object);
        assert!(usable >= size);
        fill(object, usable, 0xff);
        if size.is_power_of_two() {
            assert!((object.as_ptr() as usize).is_multiple_of(size));
        }
        bench.kfree(object);
    }
    bench.check();
}

#[test]
fn nothing_can_be_allocated_and_freed() {
    let bench = Bench::new();
    let object = bench.kmalloc(0);
    assert_eq!(object, ZERO_SIZE_PTR);
    assert_eq!(bench.slab().ksize(object), 0);
    bench.kfree(object);
}

#[test]
fn too_much_is_an_error() {
    let bench = Bench::with(4096, CacheFlags::empty());
    assert!(
        bench
            .slab()
            .kmalloc(KMALLOC_MAX_SIZE + 1, Gfp::KERNEL)
            .is_err()
    );
    assert!(bench.slab().kmalloc(usize::MAX, Gfp::KERNEL).is_err());
    bench.kfree(bench.kmalloc(KMALLOC_MAX_SIZE));
    bench.check();
}

#[test]
fn dma_has_caches_of_its_own_made_at_first_use() {
    let bench = Bench::new();
    let slab = bench.slab();
    assert!(slab.find("dma-kmalloc-2k").is_none());
    let object = slab.kmalloc(1500, Gfp::KERNEL | Gfp::DMA).unwrap();
    assert!(
        bench
            .source
            .gfps
            .borrow()
            .iter()
            .any(|gfp| gfp.contains(Gfp::DMA))
    );
    let (_, page) = slab.slab_of(object).unwrap();
    let cache = slab.find("dma-kmalloc-2k").unwrap();
    assert_eq!(page.mapping.load(Relaxed), cache.gpa);
    bench.kfree(object);
    let again = slab.kmalloc(1500, Gfp::KERNEL | Gfp::DMA).unwrap();
    assert_eq!(again, object);
    bench.check();
}

#[test]
fn a_foreign_cache_of_a_dma_name_is_not_taken_for_it() {
    let bench = Bench::new();
    let _cache = bench.cache("dma-kmalloc-64", 64);
    assert!(bench.slab().kmalloc(64, Gfp::DMA).is_err());
}

/// krealloc of an object that is then used under its new address only.
fn krealloc(bench: &Bench, object: NonNull<u8>, size: usize) -> Option<NonNull<u8>> {
    // SAFETY: callers forget the old pointer.
    unsafe { bench.slab().krealloc(Some(object), size, Gfp::KERNEL) }.ok()
}

#[test]
fn krealloc_keeps_the_content() {
    let bench = Bench::new();
    // SAFETY: there is no old pointer.
    let mut object = unsafe { bench.slab().krealloc(None, 10, Gfp::KERNEL) }.unwrap();
    fill(object, 10, 0x31);
    for size in [16, 17, 100, 5000, 9000, 40_000] {
        object = krealloc(&bench, object, size).unwrap();
        assert!(bench.slab().ksize(object) >= size && holds(object, 10, 0x31));
    }
    let smaller = krealloc(&bench, object, 10).unwrap();
    assert_eq!(smaller, object);
    assert_eq!(krealloc(&bench, object, 0), Some(ZERO_SIZE_PTR));
    bench.check();
}

#[test]
fn krealloc_without_memory_leaves_the_old_object() {
    let bench = Bench::new();
    let object = bench.kmalloc(10);
    fill(object, 10, 0x31);
    bench.source.fail_page.set(Some(1));
    assert_eq!(krealloc(&bench, object, 40_000), None);
    assert!(holds(object, 10, 0x31));
    bench.kfree(object);
    bench.check();
}

#[test]
fn pages_of_large_allocations_are_counted_and_given_back() {
    let bench = Bench::new();
    let before = bench.source.slab_frames.get();
    let object = bench.kmalloc(9000);
    assert_eq!(bench.source.slab_frames.get()[0], before[0] + 4);
    bench.kfree(object);
    assert_eq!(bench.source.slab_frames.get(), before);
}
