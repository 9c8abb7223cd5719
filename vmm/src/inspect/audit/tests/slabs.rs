//! Corruptions of slabs.

use std::mem::offset_of;

use pagelab_abi::{
    page::{NONE, PageFlags},
    slab::{CacheFlags, ListKind, Magazine, MagazineEntry, ObjectState, SlabList},
};

use super::{assert_finds, busy, violated};
use crate::inspect::{
    decode::{Cache, Slab},
    test_guest::{FLAGS, MAPPING, NEXT, PREV, PRIVATE, TestGuest, TestImage},
};

/// The cache of this name.
fn cache(image: &TestImage, name: &str) -> Cache {
    let caches = image.snapshot().caches().unwrap();
    caches.into_iter().find(|cache| cache.name == name).unwrap()
}

/// The first slab of a cache.
fn slab(image: &TestImage, cache: &Cache) -> Slab {
    image.snapshot().slabs(cache)[0]
}

/// A slab with an object in this state, its index, and the address of its state byte.
fn object(image: &TestImage, cache: &Cache, wanted: ObjectState) -> (Slab, u32, u64) {
    assert!(!cache.has(CacheFlags::DESCRIPTOR_STATES));
    let snapshot = image.snapshot();
    for slab in snapshot.slabs(cache) {
        let states = snapshot.object_states(cache, &slab).unwrap();
        let found = (0..)
            .zip(states.iter())
            .find(|(_, state)| *state == Some(wanted));
        if let Some((index, _)) = found {
            let states = snapshot.gpa(slab.pfn) + u64::from(cache.geometry.states_offset);
            return (slab, index, states + u64::from(index));
        }
    }
    panic!("no object is {wanted:?}");
}

fn list_gpa(cache: &Cache, list: ListKind, field: usize) -> u64 {
    let lists = offset_of!(pagelab_abi::slab::Cache, lists);
    cache.gpa + (lists + list as usize * size_of::<SlabList>() + field) as u64
}

#[test]
fn a_slab_on_the_wrong_list_is_found() {
    let mut image = busy();
    let small = cache(&image, "small");
    let victim = slab(&image, &small);
    let pfn = format!("pfn {:#x}", victim.pfn);
    let other = if victim.word().free() == 0 { 1 } else { 0 };
    image.change_page(victim.pfn, PRIVATE, |word| word & 0xffff_0000 | other);
    assert_finds(
        &image,
        "slab-lists",
        &["cache small", &pfn, "objects free and is on the"],
    );
    assert_finds(
        &image,
        "slab-objects",
        &["cache small", &pfn, "free objects, but has"],
    );
}

#[test]
fn broken_lists_of_slabs_are_found() {
    for (field, value, words) in [
        (PREV, 3, "links back to 0x3"),
        (NEXT, 0x7fff_fff0, "which is not in use"),
        (
            FLAGS,
            PageFlags::ALLOCATED.bits(),
            "its descriptor says ALLOCATED",
        ),
        (MAPPING, 0x1234_5000, "names the cache at 0x"),
    ] {
        let mut image = busy();
        let large = cache(&image, "large");
        let victim = slab(&image, &large);
        image.change_page(victim.pfn, field, |_| value);
        assert_finds(&image, "slab-lists", &["cache large", words]);
    }
}

#[test]
fn wrong_counts_of_slabs_are_found() {
    let mut image = busy();
    let small = cache(&image, "small");
    let list = slab(&image, &small).list;
    let gpa = list_gpa(&small, list, offset_of!(SlabList, count));
    image.change_u32(gpa, |count| count + 1);
    assert_finds(&image, "slab-lists", &["cache small", "it counts"]);
    assert_finds(&image, "slab-lists", &["cache small", "grew by"]);
    assert_finds(&image, "vmstat-consistent", &["nr_slab_unreclaimable"]);
}

#[test]
fn a_slab_that_its_cache_lost_is_found() {
    let mut image = busy();
    let large = cache(&image, "large");
    let victim = slab(&image, &large);
    let gpa = list_gpa(&large, victim.list, offset_of!(SlabList, head));
    image.change_u32(gpa, |_| NONE);
    let pfn = format!("pfn {:#x} is marked as a slab of large", victim.pfn);
    assert_finds(&image, "slab-frames", &[&pfn, "on none of its lists"]);
    assert_finds(
        &image,
        "no-overlap",
        &[&format!("{:#x}", victim.pfn), "nowhere"],
    );
}

#[test]
fn an_object_in_an_impossible_state_is_found() {
    for (from, to, words) in [
        (ObjectState::Allocated, 77, "meaningless state 77"),
        (
            ObjectState::Allocated,
            ObjectState::Magazine as u8,
            "but is in none",
        ),
        (
            ObjectState::Magazine,
            ObjectState::Allocated as u8,
            "not marked so",
        ),
        (
            ObjectState::Allocated,
            ObjectState::Free as u8,
            "free objects, but has",
        ),
    ] {
        let mut image = busy();
        let small = cache(&image, "small");
        let (_, _, gpa) = object(&image, &small, from);
        image.write(gpa, &[to]);
        assert_finds(&image, "slab-objects", &["cache small", words]);
    }
}

#[test]
fn wrong_magazines_are_found() {
    let image = busy();
    let small = cache(&image, "small");
    let magazine = image.snapshot().magazines(&small).unwrap().remove(0);
    assert!(magazine.entries.len() >= 2);
    let entries = magazine.gpa + offset_of!(Magazine, entries) as u64;
    let [first, second] = [magazine.entries[0], magazine.entries[1]];

    let mut twice = image.copy();
    twice.write(entries, &second.0.to_le_bytes());
    assert_finds(
        &twice,
        "slab-objects",
        &["cache small", "is in two magazines"],
    );

    let mut foreign = image.copy();
    let middle = MagazineEntry::new(first.gpa() + 8, first.index());
    foreign.write(entries, &middle.0.to_le_bytes());
    assert_finds(
        &foreign,
        "slab-objects",
        &["cache small", "no object of this cache"],
    );

    let mut index = image.copy();
    let wrong = MagazineEntry::new(first.gpa(), first.index() + 1);
    index.write(entries, &wrong.0.to_le_bytes());
    assert_finds(
        &index,
        "slab-objects",
        &["cache small", "index of another object"],
    );

    let mut long = image.copy();
    long.change_u32(magazine.gpa + offset_of!(Magazine, avail) as u64, |_| {
        u32::MAX
    });
    assert_finds(
        &long,
        "slab-objects",
        &["cache small", "counts 4294967295 objects"],
    );
}

#[test]
fn a_wrong_count_of_free_objects_is_found() {
    let mut image = busy();
    let large = cache(&image, "large");
    let gpa = large.gpa + offset_of!(pagelab_abi::slab::Cache, free_objects) as u64;
    image.change_u32(gpa, |count| count + 1);
    assert_finds(
        &image,
        "slab-objects",
        &["cache large", "free objects in slabs"],
    );
}

#[test]
fn written_red_zones_and_poison_are_found() {
    let image = TestGuest::busy(CacheFlags::DEBUG).image();
    let small = cache(&image, "small");
    let size = i64::from(small.geometry.object_size);
    for (state, offset, words) in [
        (ObjectState::Free, 5, "poison"),
        (ObjectState::Free, size - 1, "poison"),
        (ObjectState::Magazine, 0, "poison"),
        (ObjectState::Allocated, -1, "left red zone"),
        (ObjectState::Allocated, size, "right red zone"),
        (ObjectState::Free, size + 8, "right red zone"),
    ] {
        let mut image = image.copy();
        let (victim, index, _) = object(&image, &small, state);
        let gpa = image.snapshot().object_gpa(&small, &victim, index);
        let at = gpa.wrapping_add_signed(offset);
        image.write(at, &[0x11]);
        let words = [
            words,
            &format!("of the object at {gpa:#x} is 0x11"),
            &format!("at {at:#x}"),
        ];
        assert_finds(&image, "slab-debug", &words);
    }
    assert!(image.audit("slab-debug").held());
}

#[test]
fn a_cache_that_cannot_be_decoded_skips_what_depends_on_it() {
    let mut image = busy();
    let small = cache(&image, "small");
    let order = offset_of!(pagelab_abi::slab::Cache, geometry)
        + offset_of!(pagelab_abi::slab::Geometry, order);
    image.change_u32(small.gpa + order as u64, |_| 40);
    let result = violated(&image, "decode");
    assert!(
        result.findings[0].contains("order of the cache"),
        "{result:#?}"
    );
    for name in [
        "slab-lists",
        "slab-objects",
        "slab-frames",
        "slab-debug",
        "no-overlap",
    ] {
        let result = image.audit(name);
        assert_eq!(
            result.outcome,
            crate::inspect::Outcome::Skipped,
            "{result:#?}"
        );
        assert!(
            result.findings[0].contains("cannot be decoded"),
            "{result:#?}"
        );
    }
    assert!(image.audit("free-list-links").held());
}
