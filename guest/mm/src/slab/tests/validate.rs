//! Each check of `validate` fires on damage that is planted for it.

use super::*;
use crate::slab::{PageSource, validate::What};
use pagelab_abi::slab::{ListKind, MagazineEntry, ObjectState, SlabWord};
use std::sync::atomic::Ordering::Relaxed;

/// A cache with a full, a partial and an empty slab and a filled magazine; `damage` gets the
/// bench, the cache and an allocated object. Returns what `validate` says.
fn planted(damage: impl Fn(&Bench, &KmemCache, NonNull<u8>)) -> String {
    let bench = Bench::new();
    let flags = CacheFlags::RED_ZONE | CacheFlags::POISON;
    let cache = bench
        .slab()
        .kmem_cache_create("victim", 200, 0, flags, None)
        .unwrap();
    let objects: Vec<_> = (0..300).map(|_| bench.alloc(&cache)).collect();
    for object in &objects[1..200] {
        bench.free(&cache, *object);
    }
    bench.slab().drain_local();
    let last = bench.alloc(&cache);
    bench.free(&cache, last);
    bench.check();
    damage(&bench, &cache, objects[0]);
    let violation = bench.slab().validate().unwrap_err();
    assert!(matches!(violation.what, What::Caches) || violation.cache == "victim");
    violation.to_string()
}

fn list_head(cache: &KmemCache, kind: ListKind) -> u32 {
    cache.as_ref().lists[kind as usize].head.load(Relaxed)
}

#[test]
fn links() {
    let text = planted(|bench, cache, _| {
        let pfn = list_head(cache, ListKind::Empty);
        bench.source.slab_page(pfn).prev.store(pfn, Relaxed);
    });
    assert!(text.contains("broken link"), "{text}");
    let text = planted(|bench, cache, _| {
        let pfn = list_head(cache, ListKind::Partial);
        // A loop: it must end all the same.
        bench.source.slab_page(pfn).next.store(pfn, Relaxed);
    });
    assert!(text.contains("broken link"), "{text}");
    let text = planted(|bench, cache, _| {
        let pfn = list_head(cache, ListKind::Partial);
        bench.source.slab_page(pfn).next.store(7, Relaxed);
    });
    assert!(text.contains("broken link"), "{text}");
}

#[test]
fn frames() {
    let text = planted(|bench, cache, _| {
        let pfn = list_head(cache, ListKind::Empty);
        bench.source.slab_page(pfn).mapping.store(0, Relaxed);
    });
    assert!(text.contains("not a slab of it"), "{text}");
}

#[test]
fn states_and_counts() {
    let text = planted(|bench, cache, object| {
        let (pfn, _) = bench.slab().slab_of(object).unwrap();
        bench.slab().state(cache.as_ref(), pfn, 0).store(3, Relaxed);
    });
    assert!(text.contains("has state 3"), "{text}");
    let text = planted(|bench, cache, _| {
        let pfn = list_head(cache, ListKind::Partial);
        let word = bench.slab().word(pfn);
        let wrong = SlabWord::new(word.free() - 1, word.colour());
        bench.source.slab_page(pfn).private.store(wrong.0, Relaxed);
    });
    assert!(text.contains("free objects and has"), "{text}");
    let text = planted(|_, cache, _| {
        cache.as_ref().free_objects.fetch_add(1, Relaxed);
    });
    assert!(text.contains("free objects counted"), "{text}");
    let text = planted(|_, cache, _| {
        cache.as_ref().lists[0].count.fetch_add(1, Relaxed);
    });
    assert!(text.contains("list Full counts"), "{text}");
    let text = planted(|_, cache, _| {
        cache.as_ref().reaped.fetch_add(1, Relaxed);
    });
    assert!(text.contains("grown less those reaped"), "{text}");
    let text = planted(|bench, cache, _| {
        let pfn = list_head(cache, ListKind::Empty);
        bench.source.slab_page(pfn).mapcount.store(5, Relaxed);
    });
    assert!(text.contains("below the lowest free index"), "{text}");
    let text = planted(|bench, cache, _| {
        let cache = cache.as_ref();
        let pfn = cache.lists[ListKind::Empty as usize].head.load(Relaxed);
        bench.slab().unlink(cache, ListKind::Empty, pfn);
        bench.slab().link(cache, ListKind::Full, pfn);
    });
    assert!(text.contains("wrong list Full"), "{text}");
}

#[test]
fn magazines() {
    let text = planted(|bench, cache, _| {
        let magazine = bench.slab().magazine(cache.as_ref()).unwrap();
        magazine.avail.fetch_sub(1, Relaxed);
    });
    assert!(text.contains("marked as in a magazine"), "{text}");
    let text = planted(|bench, cache, object| {
        let magazine = bench.slab().magazine(cache.as_ref()).unwrap();
        let entry = MagazineEntry::new(bench.slab().physical(object), 0);
        magazine.entries[0].store(entry.0, Relaxed);
    });
    assert!(text.contains("is no object in a magazine"), "{text}");
    let text = planted(|bench, cache, _| {
        let magazine = bench.slab().magazine(cache.as_ref()).unwrap();
        let entry = magazine.entries[0].load(Relaxed);
        magazine.entries[1].store(entry, Relaxed);
    });
    assert!(text.contains("in a magazine twice"), "{text}");
    let text = planted(|bench, cache, _| {
        let magazine = bench.slab().magazine(cache.as_ref()).unwrap();
        let entry = magazine.entries[0].load(Relaxed);
        magazine
            .avail
            .store(cache.as_ref().geometry.limit + 1, Relaxed);
        for slot in &magazine.entries {
            // Found before the duplicates are: the limit is checked for each slot first.
            slot.store(entry, Relaxed);
        }
    });
    assert!(text.contains("magazine"), "{text}");
}

#[test]
fn an_object_marked_free_in_a_magazine() {
    let text = planted(|bench, cache, object| {
        let desc = cache.as_ref();
        let (pfn, _) = bench.slab().slab_of(object).unwrap();
        let word = bench.slab().word(pfn);
        let gpa = bench.slab().physical(object);
        let index = crate::slab::memory::index_of(&desc, word, pfn, gpa).unwrap();
        bench
            .slab()
            .debug_free(desc, gpa, std::panic::Location::caller());
        bench
            .slab()
            .state(desc, pfn, index)
            .store(ObjectState::Magazine as u8, Relaxed);
    });
    assert!(text.contains("marked as in a magazine"), "{text}");
}

#[test]
fn damage_around_an_object() {
    let text = planted(|_, _, object| {
        // SAFETY: the red zone of an object of 200 bytes.
        unsafe { object.as_ptr().add(200).write(0) };
    });
    assert!(text.contains("right red zone"), "{text}");
}

#[test]
fn the_list_of_caches() {
    let text = planted(|bench, _, _| {
        bench.source.state.nr_caches.fetch_add(1, Relaxed);
    });
    assert!(text.contains("list of caches"), "{text}");
}
