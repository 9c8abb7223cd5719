//! The map of the swap slots.

use std::mem::offset_of;

use pagelab_abi::{
    gfp::Gfp,
    mm::MmState,
    page::PageFlags,
    slab::CacheFlags,
    swap::{SLOT_BAD, SWAPFILE_CLUSTER, SwapCluster, SwapInfo, SwapSlot},
};
use pagelab_mm::{Order, Pfn};

use crate::inspect::{
    AuditResult, Outcome, proc,
    test_guest::{FLAGS, PRIVATE, REFCOUNT, ROOT, TestGuest, TestImage},
};
use pagelab_abi::view::ViewKind;

/// A guest with a slot of each kind: 1 is bad, 2 has two entries and no page, 3 has both, and 4 only
/// a page.
fn guest() -> (TestGuest, Pfn) {
    let guest = TestGuest::new(CacheFlags::empty());
    let mm = &guest.mm;
    mm.machine().disk().set_pages(700);
    assert_eq!(mm.swapon(), Ok(700));
    mm.machine().disk().fail_from(1, 1);
    let pages = [(); 3].map(|()| {
        let pfn = mm.alloc_pages(Gfp::HIGHUSER_MOVABLE, Order::ZERO).unwrap();
        (pfn, mm.swap_out(pfn).unwrap())
    });
    for (pfn, entry) in &pages[..2] {
        mm.swap_duplicate(*entry).unwrap();
        mm.delete_from_swap_cache(*pfn);
    }
    mm.swap_duplicate(pages[0].1).unwrap();
    let pfn = mm.swap_in(pages[1].1).unwrap();
    assert_eq!(pages.map(|(_, entry)| entry.slot()), [2, 3, 4]);
    (guest, pfn)
}

/// Where the map is in an image.
fn info(image: &TestImage) -> u64 {
    let root = image.snapshot();
    let state = root.root.mm.state;
    image.u64(state + offset_of!(MmState, swap) as u64)
}

/// Where a slot is.
fn slot(image: &TestImage, number: u64) -> u64 {
    let first = info(image) + size_of::<SwapInfo>() as u64;
    let cluster = first + number / SWAPFILE_CLUSTER * size_of::<SwapCluster>() as u64;
    let slots = image.u64(cluster + offset_of!(SwapCluster, slots) as u64);
    slots + number % SWAPFILE_CLUSTER * size_of::<SwapSlot>() as u64
}

fn audit(image: &TestImage) -> AuditResult {
    image.audit("swap-slots")
}

#[test]
fn a_sound_map_holds_and_shows_in_meminfo() {
    let (guest, _) = guest();
    let image = guest.image();
    let result = audit(&image);
    assert!(result.held(), "{result:#?}");
    let snapshot = image.snapshot();
    let text = proc::text(&snapshot, ViewKind::Meminfo).unwrap();
    for line in [
        "SwapCached:            8 kB",
        "SwapTotal:          2792 kB",
        "SwapFree:           2780 kB",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let mut own = String::new();
    guest.mm.meminfo(&mut own).unwrap();
    assert_eq!(text, own);
    // Without swap there is nothing to be wrong.
    let result = audit(&TestGuest::new(CacheFlags::empty()).image());
    assert_eq!(result.outcome, Outcome::Held);
}

#[test]
fn each_wrong_word_is_found() {
    let (guest, cached) = guest();
    let image = guest.image();
    let counter = |field: usize| info(&image) + field as u64;
    let map = |number| slot(&image, number);
    let cache = |number| slot(&image, number) + offset_of!(SwapSlot, cache) as u64;
    let free = |cluster: u64| {
        let at = size_of::<SwapInfo>() as u64 + cluster * size_of::<SwapCluster>() as u64;
        info(&image) + at + offset_of!(SwapCluster, free) as u64
    };
    let other = cached.0 + 1;
    for (what, gpa, value) in [
        ("inuse", counter(offset_of!(SwapInfo, inuse)), 2),
        ("bad", counter(offset_of!(SwapInfo, bad)), 1),
        ("cached", counter(offset_of!(SwapInfo, cached)), 3),
        ("entries", counter(offset_of!(SwapInfo, entries)), 4),
        ("magic", counter(offset_of!(SwapInfo, magic)), 0),
        ("pages", counter(offset_of!(SwapInfo, pages)), 1 << 28),
        ("nr_clusters", counter(offset_of!(SwapInfo, nr_clusters)), 4),
        ("clusters", counter(offset_of!(SwapInfo, clusters)), !0),
        ("free of a cluster", free(0), 1),
        ("free of the last cluster", free(2), 512),
        ("slot 0 is used", map(0), 0),
        ("an entry too many", map(2), 3),
        ("a slot in use is bad", map(3), SLOT_BAD),
        ("a bad slot counts", map(1), SLOT_BAD | 1),
        ("a free slot in use", map(600), 1),
        ("a slot with a page loses it", cache(4), 0),
        ("a page that denies it", cache(2), other + 1),
        ("a page that is none", cache(2), !0),
        ("a page in two slots", cache(2), cached.0 + 1),
    ] {
        let mut broken = image.copy();
        broken.write(gpa, &u32::to_le_bytes(value));
        let result = audit(&broken);
        assert!(result.violated(), "{what}: {result:#?}");
        // Whoever else reads it copes.
        let _ = proc::text(&broken.snapshot(), ViewKind::Meminfo);
    }
    for field in [PRIVATE, REFCOUNT, FLAGS] {
        let mut broken = image.copy();
        broken.change_page(cached.0, field, |word| match field {
            FLAGS => word & !PageFlags::SWAPCACHE.bits(),
            _ => 0,
        });
        assert!(audit(&broken).violated(), "offset {field}");
    }
    assert!(image.snapshot().root_gpa == ROOT);
}
