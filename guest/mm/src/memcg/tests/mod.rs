//! Charges, limits, and what becomes of both.

mod reclaim;

use super::GroupId;
use crate::{
    AllocError, Mm,
    testing::{TestMachine, boot, violations},
    user_mm::{MmapRequest, ThpEnabled, UserMm},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{gfp::Gfp, memcg::NO_LIMIT, mman::Prot, page::memory_group_of, slab::CacheFlags};
use std::{boxed::Box, sync::Arc, sync::Mutex, vec::Vec};

const USER: Gfp = Gfp::HIGHUSER_MOVABLE;

fn world(max: u64) -> (&'static Mm<TestMachine>, GroupId) {
    let mm: &'static _ = Box::leak(Box::new(boot(32 << 20, ZoneConfig::CLASSIC)));
    let group = mm.memory_group_create(max).unwrap();
    mm.set_current_memory_group(Some(group));
    (mm, group)
}

fn usage(mm: &Mm<TestMachine>, group: GroupId) -> u64 {
    mm.memory_group(group).usage.load(Relaxed)
}

#[test]
fn a_page_is_charged_from_its_allocation_until_it_is_free() {
    let (mm, group) = world(NO_LIMIT);
    let pages: Vec<_> = (0..100).map(|_| mm.alloc_charged(USER).unwrap()).collect();
    assert_eq!(usage(mm, group), 100);
    let number = |pfn| memory_group_of(mm.page(pfn).unwrap().flags.load(Relaxed));
    assert!(pages.iter().all(|&pfn| number(pfn) == group.number()));
    // Whoever runs when it is freed, and however that is.
    mm.set_current_memory_group(None);
    mm.free_pages_bulk(&pages[..50]);
    for &pfn in &pages[50..] {
        mm.get_page(pfn);
        assert!(!mm.put_page(pfn));
        assert_eq!(number(pfn), group.number());
        assert!(mm.put_page(pfn));
    }
    assert_eq!(usage(mm, group), 0);
    assert_eq!(mm.memory_group(group).peak.load(Relaxed), 100);
    let root = mm.alloc_charged(USER).unwrap();
    assert_eq!((number(root), usage(mm, group)), (0, 0));
    mm.free_pages(root, crate::Order::ZERO);
    assert_eq!(violations(mm), []);
}

#[test]
fn at_the_limit_somebody_of_the_group_is_asked_for() {
    let (mm, group) = world(10);
    let held: Vec<_> = (0..10).map(|_| mm.alloc_charged(USER).unwrap()).collect();
    assert_eq!(mm.alloc_charged(USER), Err(AllocError::NoMemory));
    // A victim that gives two pages back, and then nobody.
    let left = Arc::new(Mutex::new(held));
    let hoard = left.clone();
    mm.machine().on_oom(Box::new(move |control| {
        assert_eq!(control.memcg, Some(group));
        let mut held = hoard.lock().unwrap();
        if held.len() < 10 {
            return false;
        }
        let freed = held.split_off(8);
        mm.free_pages_bulk(&freed);
        true
    }));
    let more = [(); 2].map(|()| mm.alloc_charged(USER).unwrap());
    assert_eq!(mm.alloc_charged(USER), Err(AllocError::NoMemory));
    let counts = mm.memory_group(group);
    assert_eq!(counts.usage.load(Relaxed), 10);
    assert_eq!(counts.peak.load(Relaxed), 10);
    assert_eq!(counts.max_events.load(Relaxed), 3);
    assert_eq!(counts.oom_events.load(Relaxed), 3);
    // One who cannot wait kills nobody, and others are not in it.
    assert!(mm.alloc_charged(Gfp::NOWAIT).is_err());
    assert_eq!(counts.oom_events.load(Relaxed), 3);
    mm.set_current_memory_group(None);
    let other = mm.alloc_charged(USER).unwrap();
    mm.free_pages(other, crate::Order::ZERO);
    mm.free_pages_bulk(&more);
    mm.free_pages_bulk(&left.lock().unwrap());
    assert_eq!(usage(mm, group), 0);
}

#[test]
fn a_failed_allocation_is_not_charged() {
    let (mm, group) = world(NO_LIMIT);
    let attr = &crate::machine::Machine::control(mm.machine()).fail_page_alloc;
    attr.nth.store(1, Relaxed);
    assert_eq!(mm.alloc_charged(USER), Err(AllocError::Injected));
    assert_eq!(usage(mm, group), 0);
}

#[test]
fn a_group_keeps_its_place_until_its_pages_are_gone() {
    let (mm, first) = world(NO_LIMIT);
    let pfn = mm.alloc_charged(USER).unwrap();
    mm.memory_group_remove(first);
    let mut others = Vec::new();
    while let Some(group) = mm.memory_group_create(1) {
        assert_ne!(group, first);
        others.push(group);
    }
    assert_eq!(others.len(), 14, "the root and the first are taken");
    mm.free_pages(pfn, crate::Order::ZERO);
    assert_eq!(mm.memory_group_create(1), Some(first));
}

#[test]
fn a_large_page_is_charged_as_its_pages_if_the_limit_allows() {
    let (mm, group) = world(600);
    mm.slab_init(CacheFlags::empty()).unwrap();
    mm.vm_init().unwrap();
    mm.set_thp_enabled(ThpEnabled::Always);
    let mut user = UserMm::new(mm).unwrap();
    let at = 0x4000_0000;
    let request = MmapRequest::anonymous(4 << 20, Prot::READ | Prot::WRITE);
    user.mmap(&request.fixed(at)).unwrap();
    user.write(at, &[1]).unwrap();
    assert_eq!((usage(mm, group), user.resident()), (512, 512));
    user.write(at + (2 << 20), &[1]).unwrap();
    assert_eq!((usage(mm, group), user.resident()), (513, 513));
    user.destroy();
    assert_eq!(usage(mm, group), 0);
    assert_eq!(violations(mm), []);
}
