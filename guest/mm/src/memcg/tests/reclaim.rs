//! Groups at their limits reclaim, and what they keep for hard times stays.

use super::{GroupId, usage};
use crate::{
    Mm,
    testing::{TestMachine, boot, violations},
    user_mm::{MmapRequest, UserMm},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SIZE,
    memcg::NO_LIMIT,
    mman::{MADV_PAGEOUT, MLOCK_ONFAULT, Prot},
    slab::CacheFlags,
    vmstat::VmEvent,
};
use std::boxed::Box;

const PAGE: u64 = PAGE_SIZE;
const AT: u64 = 0x4000_0000;

/// So many MiB of RAM, and a swap device of so many pages. Whoever is asked to kill says no.
fn world(mib: u64, swap: u64) -> &'static Mm<TestMachine> {
    let mm: &'static _ = Box::leak(Box::new(boot(mib << 20, ZoneConfig::CLASSIC)));
    mm.slab_init(CacheFlags::empty()).unwrap();
    mm.vm_init().unwrap();
    mm.machine().disk().set_pages(swap);
    assert_eq!(mm.swapon(), Ok(swap));
    mm.set_page_cluster(0);
    mm
}

/// A program in a group that has written so many pages.
fn program(
    mm: &'static Mm<TestMachine>,
    group: Option<GroupId>,
    pages: u64,
) -> UserMm<TestMachine> {
    mm.set_current_memory_group(group);
    let mut user = UserMm::new(mm).unwrap();
    let request = MmapRequest::anonymous(pages * PAGE, Prot::READ | Prot::WRITE);
    user.mmap(&request.fixed(AT)).unwrap();
    for page in 0..pages {
        user.write(AT + page * PAGE, &page.to_le_bytes()).unwrap();
    }
    user
}

/// What it has written is there.
fn whole(user: &mut UserMm<TestMachine>, group: Option<GroupId>, pages: u64) {
    user.mm().set_current_memory_group(group);
    for page in 0..pages {
        let mut bytes = [0; 8];
        user.read(AT + page * PAGE, &mut bytes).unwrap();
        assert_eq!(u64::from_le_bytes(bytes), page);
    }
}

fn sound(mm: &'static Mm<TestMachine>) {
    assert_eq!(violations(mm), []);
    mm.validate_lru(&mut |violation| panic!("{violation}"));
    mm.validate_swap(&mut |violation| panic!("{violation}"));
}

fn swap_usage(mm: &Mm<TestMachine>, group: GroupId) -> u64 {
    mm.memory_group(group).swap_usage.load(Relaxed)
}

#[test]
fn at_its_limit_a_group_swaps_and_nobody_else_does() {
    let mm = world(32, 2000);
    let group = mm.memory_group_create(200).unwrap();
    let mut other = program(mm, None, 300);
    let mut user = program(mm, Some(group), 600);
    let counts = mm.memory_group(group);
    assert!(usage(mm, group) <= 200);
    assert_eq!(
        (counts.peak.load(Relaxed), counts.oom_events.load(Relaxed)),
        (200, 0)
    );
    assert!(counts.max_events.load(Relaxed) > 0 && counts.pgsteal.load(Relaxed) >= 400);
    assert_eq!(swap_usage(mm, group), user.swapped());
    assert_eq!(
        (other.swapped(), user.resident() + user.swapped()),
        (0, 600)
    );
    whole(&mut user, Some(group), 600);
    whole(&mut other, None, 300);
    // Background reclaim had no part in it.
    assert_eq!(mm.event_count(VmEvent::PgscanKswapd), 0);
    let stat = mm.memory_group_stat(group);
    assert_eq!((stat.anon, stat.file), (usage(mm, group), 0));
    sound(mm);
    other.destroy();
    user.destroy();
    assert_eq!((usage(mm, group), swap_usage(mm, group)), (0, 0));
}

#[test]
fn a_group_may_have_no_more_than_the_one_it_is_part_of() {
    let mm = world(32, 2000);
    let parent = mm.memory_group_create(150).unwrap();
    let [first, second] = [(); 2].map(|()| mm.memory_group_create_in(Some(parent)).unwrap());
    mm.memory_group(first).max.store(100, Relaxed);
    let mut one = program(mm, Some(first), 140);
    let mut two = program(mm, Some(second), 140);
    assert!(usage(mm, first) <= 100 && usage(mm, parent) <= 150);
    assert_eq!(usage(mm, parent), usage(mm, first) + usage(mm, second));
    assert_eq!(swap_usage(mm, parent), one.swapped() + two.swapped());
    // What the limit of the parent takes, it may take from either.
    assert!(mm.memory_group(parent).max_events.load(Relaxed) > 0);
    whole(&mut one, Some(first), 140);
    whole(&mut two, Some(second), 140);
    sound(mm);
    one.destroy();
    two.destroy();
    assert_eq!((usage(mm, parent), swap_usage(mm, parent)), (0, 0));
}

#[test]
fn a_limit_of_swap_ends_in_the_oom_killer() {
    let mm = world(32, 2000);
    let group = mm.memory_group_create(100).unwrap();
    mm.set_swap_max(group, 50);
    let user = program(mm, Some(group), 150);
    assert_eq!((user.swapped(), usage(mm, group)), (50, 100));
    let counts = mm.memory_group(group);
    assert_eq!(
        (
            counts.swap_peak.load(Relaxed),
            counts.oom_events.load(Relaxed)
        ),
        (50, 0)
    );
    let mut user = user;
    let more = AT + (1 << 30);
    let request = MmapRequest::anonymous(PAGE, Prot::READ | Prot::WRITE);
    user.mmap(&request.fixed(more)).unwrap();
    assert!(user.write(more, &[1]).is_err());
    assert_eq!(counts.oom_events.load(Relaxed), 1);
    sound(mm);
    // A slot that comes free makes room again.
    user.munmap(AT, 100 * PAGE).unwrap();
    user.write(more, &[1]).unwrap();
    sound(mm);
    user.destroy();
    assert_eq!(swap_usage(mm, group), 0);
}

#[test]
fn above_high_a_group_reclaims_and_waits_and_is_not_stopped() {
    let mm = world(32, 2000);
    let group = mm.memory_group_create(NO_LIMIT).unwrap();
    mm.set_memory_high(group, 200);
    let mut user = program(mm, Some(group), 600);
    let counts = mm.memory_group(group);
    assert!(counts.high_events.load(Relaxed) > 0);
    assert_eq!(counts.oom_events.load(Relaxed), 0);
    assert!(usage(mm, group) < 300, "{}", usage(mm, group));
    whole(&mut user, Some(group), 600);
    // Without anything to reclaim it goes on, slowly.
    mm.set_swap_max(group, 0);
    let waits = || {
        let events = mm.machine().take_events();
        let wait = crate::reclaim::RECLAIM_WAIT;
        events.iter().filter(|event| event.1 == wait).count()
    };
    waits();
    user.munmap(AT, 600 * PAGE).unwrap();
    user.destroy();
    let user = program(mm, Some(group), 600);
    assert_eq!(usage(mm, group), 600);
    assert!(waits() > 0);
    sound(mm);
    user.destroy();
}

#[test]
fn limits_that_are_lowered_are_kept_if_possible() {
    let mm = world(32, 2000);
    let group = mm.memory_group_create(NO_LIMIT).unwrap();
    let mut user = program(mm, Some(group), 500);
    mm.set_memory_max(group, 300);
    assert!(usage(mm, group) <= 300);
    assert_eq!(mm.memory_group(group).excess.load(Relaxed), 0);
    mm.set_memory_high(group, 200);
    assert!(usage(mm, group) <= 200);
    assert_eq!(mm.reclaim_from_group(group, 50), Ok(()));
    assert!(usage(mm, group) <= 150);
    assert!(mm.reclaim_from_group(group, 151).is_err());
    assert_eq!(usage(mm, group), 0);
    whole(&mut user, Some(group), 100);
    // Those that cannot go stay, above the limit.
    mm.set_swap_max(group, 0);
    mm.set_memory_max(group, 10);
    let left = usage(mm, group);
    let counts = mm.memory_group(group);
    assert!(left >= 100 && counts.excess.load(Relaxed) == left);
    assert!(counts.swap_excess.load(Relaxed) > 0);
    sound(mm);
    user.destroy();
    assert_eq!(counts.excess.load(Relaxed), 0);
    assert_eq!(counts.swap_excess.load(Relaxed), 0);
}

#[test]
fn what_is_protected_is_taken_last_or_never() {
    let mm = world(16, 8000);
    let [min, low, plain] = [(); 3].map(|()| mm.memory_group_create(NO_LIMIT).unwrap());
    mm.memory_group(min).min.store(NO_LIMIT, Relaxed);
    mm.memory_group(low).low.store(NO_LIMIT, Relaxed);
    let mut users = [min, low].map(|group| program(mm, Some(group), 300));
    let hog = program(mm, Some(plain), 5000);
    // There was something else.
    assert!(hog.swapped() > 0);
    assert_eq!(users.each_ref().map(|user| user.swapped()), [0, 0]);
    assert_eq!(mm.memory_group(low).low_events.load(Relaxed), 0);
    hog.destroy();
    // And now there is not: what is locked stays.
    mm.set_current_memory_group(Some(plain));
    let mut hog = UserMm::new(mm).unwrap();
    let request = MmapRequest::anonymous(5000 * PAGE, Prot::READ | Prot::WRITE);
    hog.mmap(&request.fixed(AT)).unwrap();
    hog.mlock(AT, 5000 * PAGE, MLOCK_ONFAULT).unwrap();
    for page in 0..5000 {
        if hog.write(AT + page * PAGE, &[1]).is_err() {
            break;
        }
    }
    assert!(users[1].swapped() > 0);
    assert_eq!(users[0].swapped(), 0);
    assert!(mm.memory_group(low).low_events.load(Relaxed) > 0);
    hog.destroy();
    for (user, group) in users.iter_mut().zip([min, low]) {
        whole(user, Some(group), 300);
    }
    sound(mm);
    for user in users {
        user.destroy();
    }
}

#[test]
fn a_page_that_comes_back_is_charged_to_whose_it_was() {
    let mm = world(32, 2000);
    let group = mm.memory_group_create(NO_LIMIT).unwrap();
    let mut user = program(mm, Some(group), 10);
    user.madvise(AT, 10 * PAGE, MADV_PAGEOUT).unwrap();
    assert_eq!((usage(mm, group), swap_usage(mm, group)), (0, 10));
    whole(&mut user, None, 4);
    assert_eq!((usage(mm, group), swap_usage(mm, group)), (4, 6));
    // A group that is gone is charged no more, and keeps its place.
    mm.memory_group_remove(group);
    assert_ne!(mm.memory_group_create(1), Some(group));
    whole(&mut user, None, 10);
    assert_eq!((usage(mm, group), swap_usage(mm, group)), (4, 0));
    sound(mm);
    user.destroy();
    assert_eq!(usage(mm, group), 0);
}
