//! Each debugging aid finds what it is for, and names it.

use super::*;

fn one(flags: CacheFlags, size: u32) -> (Bench, KmemCache, NonNull<u8>) {
    let bench = Bench::new();
    let cache = bench
        .slab()
        .kmem_cache_create("victim", size, 0, flags, None)
        .unwrap();
    let object = bench.alloc(&cache);
    (bench, cache, object)
}

/// Writes outside what the test owns, which is the point.
fn poke(object: NonNull<u8>, offset: isize, byte: u8) {
    // SAFETY: the address is inside the slab's pages.
    unsafe { object.as_ptr().offset(offset).write(byte) }
}

#[test]
#[should_panic(expected = "cache victim: right red zone of object")]
fn one_byte_beyond_the_end() {
    let (bench, cache, object) = one(CacheFlags::RED_ZONE, 13);
    poke(object, 13, 0x41);
    bench.free(&cache, object);
}

#[test]
#[should_panic(expected = "expected 0xc0, found 41 88 56 63 c5 56 41 d8")]
fn the_bytes_are_quoted() {
    let (bench, cache, object) = one(CacheFlags::RED_ZONE, 16);
    poke(object, 16, 0x41);
    bench.free(&cache, object);
}

#[test]
#[should_panic(expected = "left red zone of object")]
fn one_byte_before_the_start() {
    let (bench, cache, object) = one(CacheFlags::RED_ZONE, 64);
    poke(object, -1, 0);
    bench.free(&cache, object);
}

#[test]
#[should_panic(expected = "cache victim: poison of object")]
fn a_write_after_free() {
    let (bench, cache, object) = one(CacheFlags::POISON, 64);
    bench.free(&cache, object);
    poke(object, 20, 0x6a);
    let _ = bench.alloc(&cache);
}

#[test]
#[should_panic(expected = "expected 0xa5, found 6b")]
fn the_last_byte_has_its_own_poison() {
    let (bench, cache, object) = one(CacheFlags::POISON, 64);
    bench.free(&cache, object);
    poke(object, 63, 0x6b);
    let _ = bench.alloc(&cache);
}

#[test]
#[should_panic(expected = "last allocated at guest/mm/src/slab/tests/mod.rs:")]
fn the_owner_is_named() {
    let (bench, cache, object) = one(CacheFlags::RED_ZONE | CacheFlags::STORE_USER, 64);
    poke(object, 64, 0);
    bench.free(&cache, object);
}

#[test]
#[should_panic(expected = "it was freed before at guest/mm/src/slab/tests/mod.rs:")]
fn the_first_free_is_named() {
    let (bench, cache, object) = one(CacheFlags::STORE_USER, 64);
    bench.free(&cache, object);
    bench.free(&cache, object);
}

#[test]
#[should_panic(expected = "cache victim: slab at")]
fn a_damaged_state_byte() {
    let (bench, cache, object) = one(CacheFlags::CONSISTENCY_CHECKS, 64);
    bench.free(&cache, object);
    let desc = cache.as_ref();
    let (pfn, _) = bench.slab().slab_of(object).unwrap();
    bench
        .slab()
        .state(desc, pfn, desc.geometry.objects - 1)
        .store(9, std::sync::atomic::Ordering::Relaxed);
    bench.slab().drain_local();
}

#[test]
fn poison_is_that_of_linux() {
    let (bench, cache, object) = one(CacheFlags::POISON, 32);
    assert!(
        holds(object, 31, 0x5a) && holds(object.map_addr(|a| a.checked_add(31).unwrap()), 1, 0xa5)
    );
    bench.free(&cache, object);
    assert!(
        holds(object, 31, 0x6b) && holds(object.map_addr(|a| a.checked_add(31).unwrap()), 1, 0xa5)
    );
}

#[test]
fn all_aids_together_disturb_nobody() {
    let bench = Bench::with(2048, CacheFlags::DEBUG);
    for round in 0..3 {
        let objects: Vec<_> = (1..300)
            .map(|i| {
                let size = i * 37 % 9000 + 1;
                let object = bench.slab().kmalloc(size, Gfp::KERNEL | Gfp::ZERO).unwrap();
                assert!(holds(object, size, 0));
                fill(object, size, i as u8);
                (object, size, i as u8)
            })
            .collect();
        bench.check();
        for (object, size, byte) in objects {
            assert!(holds(object, size, byte), "round {round}");
            bench.kfree(object);
        }
        bench.check();
        bench.slab().shrink_all(u64::MAX);
        bench.check();
    }
    let _ = bench.slab();
}

#[test]
fn an_object_that_is_too_large_with_aids_goes_without() {
    let bench = Bench::new();
    let cache = bench
        .slab()
        .kmem_cache_create("large", 32_768, 0, CacheFlags::DEBUG, None)
        .unwrap();
    let object = bench.alloc(&cache);
    fill(object, 32_768, 1);
    bench.free(&cache, object);
    bench.check();
}
