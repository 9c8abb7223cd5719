//! What callers do wrong is named in every build, without any debugging switched on.

use super::*;

#[test]
#[should_panic(expected = "kfree: double free of")]
fn a_double_free_into_a_magazine() {
    let bench = Bench::new();
    let object = bench.kmalloc(64);
    bench.kfree(object);
    bench.kfree(object);
}

#[test]
#[should_panic(expected = "an object of cache test; it was freed before")]
fn a_double_free_after_the_magazine_was_drained() {
    let bench = Bench::new();
    let cache = bench.cache("test", 64);
    let [object, _other] = [bench.alloc(&cache), bench.alloc(&cache)];
    bench.free(&cache, object);
    bench.slab().drain_local();
    bench.free(&cache, object);
}

#[test]
#[should_panic(expected = "kmem_cache_free: double free of")]
fn a_double_free_of_an_object_whose_state_is_in_the_descriptor() {
    let bench = Bench::new();
    let cache = bench.cache("test", 2048);
    let object = bench.alloc(&cache);
    bench.free(&cache, object);
    bench.free(&cache, object);
}

#[test]
#[should_panic(expected = "is not in a slab: a foreign pointer, or its slab is gone")]
fn a_double_free_after_the_slab_is_gone() {
    let bench = Bench::new();
    let object = bench.kmalloc(64);
    bench.kfree(object);
    bench.slab().shrink_all(u64::MAX);
    bench.kfree(object);
}

#[test]
#[should_panic(expected = "kfree: 0x1000 is not in a slab")]
fn a_pointer_outside_memory() {
    Bench::new().kfree(NonNull::without_provenance(0x1000.try_into().unwrap()));
}

#[test]
#[should_panic(expected = "is not in a slab")]
fn a_page_that_is_not_a_slab() {
    let bench = Bench::new();
    let pfn = crate::slab::PageSource::alloc_pages(&bench.source, Gfp::KERNEL, 0).unwrap();
    bench.kfree(bench.slab().object(u64::from(pfn) << 12));
}

#[test]
#[should_panic(expected = "kmem_cache_free: wrong cache: ")]
fn an_object_of_another_cache() {
    let bench = Bench::new();
    let [a, b] = [bench.cache("a", 64), bench.cache("b", 64)];
    let object = bench.alloc(&a);
    bench.free(&b, object);
}

#[test]
#[should_panic(expected = "belongs to cache a, not to b")]
fn the_wrong_cache_is_named() {
    let bench = Bench::new();
    let [a, b] = [bench.cache("a", 64), bench.cache("b", 64)];
    let object = bench.alloc(&a);
    bench.free(&b, object);
}

#[test]
#[should_panic(expected = "is in a slab of cache kmalloc-96, but no object starts there")]
fn the_middle_of_an_object() {
    let bench = Bench::new();
    let object = bench.kmalloc(96);
    // SAFETY: within the object.
    bench.kfree(unsafe { object.add(8) });
}

#[test]
#[should_panic(expected = "but no object starts there")]
fn the_state_bytes_of_a_slab() {
    let bench = Bench::new();
    let object = bench.kmalloc(64);
    let end = (object.as_ptr() as usize | 4095) - 7;
    bench.kfree(object.with_addr(end.try_into().unwrap()));
}

#[test]
#[should_panic(expected = "kfree: ")]
fn kfree_of_an_object_of_a_plain_cache() {
    let bench = Bench::new();
    let cache = bench.cache("test", 64);
    let object = bench.alloc(&cache);
    bench.kfree(object);
}

#[test]
#[should_panic(expected = "belongs to cache test, not to a kmalloc cache")]
fn the_plain_cache_is_named() {
    let bench = Bench::new();
    let cache = bench.cache("test", 64);
    let object = bench.alloc(&cache);
    bench.kfree(object);
}

#[test]
#[should_panic(expected = "kfree: ")]
fn a_double_free_of_pages() {
    let bench = Bench::new();
    let object = bench.kmalloc(20_000);
    bench.kfree(object);
    bench.kfree(object);
}

#[test]
#[should_panic(expected = "is not in a slab")]
fn the_middle_of_pages() {
    let bench = Bench::new();
    let object = bench.kmalloc(20_000);
    // SAFETY: within the allocation.
    bench.kfree(unsafe { object.add(4096) });
}
