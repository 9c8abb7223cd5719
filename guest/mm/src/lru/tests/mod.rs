use super::Violation;
use crate::{
    Mm, Order, Pfn,
    testing::{TestMachine, boot},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    lru::LruList,
    page::{MAPPING_ANON, PageFlags, flags_of},
};
use std::vec::Vec;

fn mm() -> Mm<TestMachine> {
    boot(16 << 20, ZoneConfig::CLASSIC)
}

/// A program's page, in a list.
fn page(mm: &Mm<TestMachine>, unevictable: bool) -> Pfn {
    let pfn = mm.alloc_pages(Gfp::HIGHUSER_MOVABLE, Order::ZERO).unwrap();
    mm.page(pfn).unwrap().mapping.store(MAPPING_ANON, Relaxed);
    mm.lru_add(pfn, unevictable);
    pfn
}

fn flags(mm: &Mm<TestMachine>, pfn: Pfn) -> PageFlags {
    flags_of(mm.page(pfn).unwrap().flags.load(Relaxed)) - PageFlags::ALLOCATED
}

fn faults(mm: &Mm<TestMachine>) -> Vec<Violation> {
    let mut found = Vec::new();
    mm.validate_lru(&mut |violation| found.push(violation));
    found
}

/// Pages in the lists, in the order of [`LruList`].
fn sizes(mm: &Mm<TestMachine>) -> [u64; 5] {
    assert_eq!(faults(mm), []);
    LruList::ALL.map(|list| mm.lru_pages(list))
}

#[test]
fn a_page_that_is_used_twice_becomes_active_and_is_forgotten_when_it_is_freed() {
    let mm = mm();
    let pages: Vec<Pfn> = (0..3).map(|_| page(&mm, false)).collect();
    assert_eq!(sizes(&mm), [3, 0, 0, 0, 0]);
    mm.mark_page_accessed(pages[1]);
    assert_eq!(flags(&mm, pages[1]), PageFlags::LRU | PageFlags::REFERENCED);
    mm.mark_page_accessed(pages[1]);
    assert_eq!(flags(&mm, pages[1]), PageFlags::LRU | PageFlags::ACTIVE);
    assert_eq!(sizes(&mm), [2, 1, 0, 0, 0]);
    mm.mark_page_accessed(pages[1]);
    let all = PageFlags::LRU | PageFlags::ACTIVE | PageFlags::REFERENCED;
    assert_eq!(flags(&mm, pages[1]), all);
    for pfn in pages {
        assert!(mm.put_page(pfn));
        assert!(!flags(&mm, pfn).intersects(super::LRU_FLAGS));
        assert_eq!(mm.page(pfn).unwrap().mapping.load(Relaxed), 0);
    }
    assert_eq!(sizes(&mm), [0; 5]);
}

#[test]
fn unevictable_pages_are_in_a_list_of_their_own_and_stay_there_however_often_they_are_used() {
    let mm = mm();
    let locked = page(&mm, true);
    let other = page(&mm, false);
    assert_eq!(sizes(&mm), [1, 0, 0, 0, 1]);
    mm.mark_page_accessed(locked);
    mm.mark_page_accessed(locked);
    mm.lru_cull(other);
    mm.lru_cull(other);
    assert_eq!(sizes(&mm), [0, 0, 0, 0, 2]);
    mm.lru_rescue(locked);
    assert_eq!(sizes(&mm), [1, 0, 0, 0, 1]);
    for pfn in [locked, other] {
        mm.put_page(pfn);
    }
    assert_eq!(sizes(&mm), [0; 5]);
}

#[test]
#[should_panic(expected = "in a list of reclaim")]
fn a_page_in_a_list_is_not_freed_behind_its_back() {
    let mm = mm();
    let pfn = page(&mm, false);
    mm.free_pages(pfn, Order::ZERO);
}

#[test]
fn the_oracle_sees_broken_lists() {
    let mm = mm();
    let pages: Vec<Pfn> = (0..4).map(|_| page(&mm, false)).collect();
    let lruvec = &mm.state().lruvecs[0];
    let zone = mm.zones().len() - 1;
    let descriptor = |index: usize| mm.page(pages[index]).unwrap();

    let at = (0..=zone).find(|zone| mm.zone_lru_pages(*zone, LruList::InactiveAnon) > 0);
    let counter = &lruvec.nr[at.unwrap()][0];
    counter.store(9, Relaxed);
    assert!(matches!(
        faults(&mm)[..],
        [Violation::BadCount {
            counted: 9,
            found: 4,
            ..
        }]
    ));
    counter.store(4, Relaxed);

    // Newest first: the list is 3, 2, 1, 0.
    descriptor(1).prev.store(pages[3].0, Relaxed);
    assert!(faults(&mm).contains(&Violation::BadLink {
        group: 0,
        list: LruList::InactiveAnon,
        pfn: pages[1].0
    }));
    descriptor(1).prev.store(pages[2].0, Relaxed);
    assert_eq!(faults(&mm), []);

    descriptor(0)
        .flags
        .fetch_or(PageFlags::ACTIVE.bits(), Relaxed);
    assert!(!faults(&mm).is_empty());
    descriptor(0)
        .flags
        .fetch_and(!PageFlags::ACTIVE.bits(), Relaxed);

    // One that says so and is not there.
    let stray = mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap();
    mm.set_page_flags(stray, PageFlags::LRU);
    let missing = Violation::Missing {
        flagged: 5,
        listed: 4,
    };
    assert_eq!(faults(&mm), [missing]);
}
