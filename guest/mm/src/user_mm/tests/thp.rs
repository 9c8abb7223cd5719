//! Two megabytes in one entry, and all that makes many of it.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use crate::{
    machine::Machine,
    pgtable::HUGE_SIZE,
    testing::TestMachine,
    user_mm::{Access, ThpEnabled, UserMm},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    mman::{MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_PAGEOUT, MremapFlags, Prot},
    vmstat::VmEvent,
};
use proptest::prelude::*;
use std::{collections::BTreeMap, vec::Vec};

/// An area of twice 2 MiB that begins a page before a boundary, so that one huge page has room in it.
const START: u64 = 0x4000_0000 - PAGE;
const LEN: u64 = 2 * HUGE_SIZE;
/// Where that is.
pub(super) const HUGE: u64 = START + PAGE;

/// A program with such an area, as madvise has it.
fn program(world: &World, advice: Option<u32>) -> UserMm<TestMachine> {
    let mut user = world.user();
    switch(world.mm().machine());
    user.mmap(&MmapRequest::anonymous(LEN, RW).fixed(START))
        .unwrap();
    if let Some(advice) = advice {
        user.madvise(START, LEN, advice).unwrap();
    }
    user
}

/// A program with a huge page, every 64th page of which has content.
pub(super) fn huge(world: &World) -> UserMm<TestMachine> {
    let mut user = program(world, Some(MADV_HUGEPAGE));
    for page in (0..512).step_by(64) {
        store(&mut user, HUGE + page * PAGE, 1 + (page / 64) as u8).unwrap();
    }
    assert!(is_huge(&user), "{}", user.resident());
    check(world.mm(), &mut [&mut user]);
    user
}

fn is_huge(user: &UserMm<TestMachine>) -> bool {
    user.tables().huge(HUGE).is_some()
}

fn content(user: &mut UserMm<TestMachine>, at: u64, pages: core::ops::Range<u64>) {
    for page in pages {
        let expected = if page % 64 == 0 { 1 + page / 64 } else { 0 };
        assert_eq!(load(user, at + page * PAGE), Ok(expected as u8), "{page}");
    }
}

#[test]
fn one_fault_maps_two_megabytes_of_zeros() {
    let world = World::new();
    let mut user = huge(&world);
    assert_eq!((user.resident(), user.faults()), (512, 1));
    content(&mut user, HUGE, 0..512);
    assert_eq!(user.faults(), 1);
    assert_eq!(world.mm().event_count(VmEvent::ThpFaultAlloc), 1);
    // The pages around it are single ones, for want of room.
    store(&mut user, START, 1).unwrap();
    store(&mut user, HUGE + HUGE_SIZE, 1).unwrap();
    assert_eq!(user.resident(), 514);
    // The kernel needs no small entries.
    let mut bytes = [0; 3];
    user.write(HUGE + 5 * PAGE - 1, &[7, 8, 9]).unwrap();
    user.read(HUGE + 5 * PAGE - 1, &mut bytes).unwrap();
    assert_eq!((bytes, is_huge(&user)), ([7, 8, 9], true));
    user.fault_in(HUGE + PAGE, Access::Write).unwrap();
    assert!(is_huge(&user));
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn who_gets_huge_pages_is_a_matter_of_policy() {
    for (enabled, advice, expected) in [
        (ThpEnabled::Never, Some(MADV_HUGEPAGE), false),
        (ThpEnabled::Madvise, None, false),
        (ThpEnabled::Madvise, Some(MADV_HUGEPAGE), true),
        (ThpEnabled::Madvise, Some(MADV_NOHUGEPAGE), false),
        (ThpEnabled::Always, None, true),
        (ThpEnabled::Always, Some(MADV_NOHUGEPAGE), false),
    ] {
        let world = World::new();
        world.mm().set_thp_enabled(enabled);
        let mut user = program(&world, advice);
        // A load is no reason.
        load(&mut user, HUGE + HUGE_SIZE / 2).unwrap();
        assert!(!is_huge(&user));
        user.munmap(START, LEN).unwrap();
        user.destroy();
        let mut user = program(&world, advice);
        store(&mut user, HUGE + HUGE_SIZE / 2, 1).unwrap();
        assert_eq!(is_huge(&user), expected, "{enabled:?} {advice:?}");
        check(world.mm(), &mut [&mut user]);
        user.destroy();
    }
}

#[test]
fn without_a_block_or_a_node_a_single_page_will_do() {
    // The block, then the tables: two levels above, and the one set aside.
    for nth in 1..=4 {
        let world = World::new();
        let mut user = program(&world, Some(MADV_HUGEPAGE));
        let attr = &world.mm().machine().control().fail_page_alloc.nth;
        attr.store(nth, Relaxed);
        store(&mut user, HUGE, 5).unwrap();
        assert_eq!(attr.load(Relaxed), 0, "{nth}");
        assert!(!is_huge(&user));
        assert_eq!(user.resident(), 1);
        assert_eq!(world.mm().event_count(VmEvent::ThpFaultFallback), 1);
        check(world.mm(), &mut [&mut user]);
        user.destroy();
    }
}

#[test]
fn a_fork_shares_it_and_a_store_copies_one_page() {
    let world = World::new();
    let mut parent = huge(&world);
    let mut child = parent.fork().unwrap();
    assert!(is_huge(&parent) && is_huge(&child));
    check(world.mm(), &mut [&mut parent, &mut child]);
    switch(world.mm().machine());
    let before = world.in_use();
    store(&mut child, HUGE + 64 * PAGE, 50).unwrap();
    assert_eq!(world.in_use(), before + 1);
    assert!(is_huge(&parent) && !is_huge(&child));
    check(world.mm(), &mut [&mut child, &mut parent]);
    assert_eq!(load(&mut child, HUGE + 64 * PAGE), Ok(50));
    switch(world.mm().machine());
    content(&mut parent, HUGE, 0..512);
    child.destroy();
    // Alone again, it is written as one.
    store(&mut parent, HUGE + PAGE, 9).unwrap();
    assert!(is_huge(&parent));
    assert_eq!(load(&mut parent, HUGE + PAGE), Ok(9));
    check(world.mm(), &mut [&mut parent]);
    parent.destroy();
}

#[test]
fn a_fork_that_fails_leaves_it() {
    for nth in 1..8 {
        let world = World::new();
        let mut parent = huge(&world);
        let attr = &world.mm().machine().control().fail_page_alloc.nth;
        attr.store(nth, Relaxed);
        let child = parent.fork();
        attr.store(0, Relaxed);
        if let Ok(child) = child {
            child.destroy();
        }
        check(world.mm(), &mut [&mut parent]);
        content(&mut parent, HUGE, 0..512);
        store(&mut parent, HUGE, 1).unwrap();
        assert!(is_huge(&parent));
        parent.destroy();
    }
}

#[test]
fn what_changes_a_part_splits_it() {
    let middle = HUGE + 100 * PAGE;
    type Change = fn(&mut UserMm<TestMachine>, u64);
    let changes: [Change; 5] = [
        |user, at| user.munmap(at, 28 * PAGE).unwrap(),
        |user, at| user.madvise(at, 28 * PAGE, MADV_DONTNEED).unwrap(),
        |user, at| user.mprotect(at, 28 * PAGE, Prot::READ).unwrap(),
        |user, at| {
            let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
            let to = 0x12_3456_7000;
            assert_eq!(user.mremap(at, 28 * PAGE, 28 * PAGE, flags, to), Ok(to));
        },
        |user, at| user.madvise(at, 28 * PAGE, MADV_PAGEOUT).unwrap(),
    ];
    for change in changes {
        let world = World::with_swap(100);
        let mut user = huge(&world);
        change(&mut user, middle);
        assert!(!is_huge(&user));
        assert_eq!(world.mm().event_count(VmEvent::ThpSplitPmd), 1);
        check(world.mm(), &mut [&mut user]);
        content(&mut user, HUGE, 0..100);
        content(&mut user, HUGE, 128..512);
        check(world.mm(), &mut [&mut user]);
        user.destroy();
    }
}

#[test]
fn rights_change_for_all_of_it_at_once() {
    let world = World::new();
    let mut user = huge(&world);
    user.mprotect(START, LEN, Prot::READ).unwrap();
    assert!(is_huge(&user));
    check(world.mm(), &mut [&mut user]);
    assert_eq!(store(&mut user, HUGE, 1), Err(FaultSignal::AccErr(HUGE)));
    user.mprotect(START, LEN, RW).unwrap();
    store(&mut user, HUGE, 1).unwrap();
    assert!(is_huge(&user));
    // Kept from everybody it is many.
    user.mprotect(START, LEN, Prot::empty()).unwrap();
    assert!(!is_huge(&user));
    check(world.mm(), &mut [&mut user]);
    user.mprotect(START, LEN, RW).unwrap();
    content(&mut user, HUGE, 0..512);
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn its_pages_go_to_swap_one_by_one() {
    let world = World::with_swap(1000);
    let mut user = huge(&world);
    user.madvise(START, LEN, MADV_PAGEOUT).unwrap();
    assert_eq!((user.resident(), user.swapped()), (0, 512));
    check(world.mm(), &mut [&mut user]);
    content(&mut user, HUGE, 0..512);
    user.destroy();
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Store(u64, u8),
    Unmap(u64, u64),
    Map(u64, u64),
    Protect(u64, u64, bool),
    PageOut(u64, u64),
    Fork,
    Switch,
    Exit,
}

/// Pages of the area that the random steps are about: three times 2 MiB.
const PAGES: u64 = 3 * 512;

fn step() -> impl Strategy<Value = Step> {
    // What begins and ends at boundaries is as likely as what does not.
    let at = || prop_oneof![(0..3u64).prop_map(|it| it * 512), 0..PAGES];
    let len = || prop_oneof![Just(512u64), 1..700u64];
    prop_oneof![
        8 => (0..PAGES, 1..=255u8).prop_map(|(at, value)| Step::Store(at, value)),
        1 => (at(), len()).prop_map(|(at, len)| Step::Unmap(at, len)),
        2 => (at(), len()).prop_map(|(at, len)| Step::Map(at, len)),
        2 => (at(), len(), any::<bool>()).prop_map(|(at, len, open)| Step::Protect(at, len, open)),
        1 => (at(), 1..40u64).prop_map(|(at, len)| Step::PageOut(at, len)),
        1 => Just(Step::Fork),
        1 => Just(Step::Switch),
        1 => Just(Step::Exit),
    ]
}

/// What each page that is mapped has, and whether it can be accessed.
type Space = BTreeMap<u64, (u8, bool)>;

fn run(user: &mut UserMm<TestMachine>, space: &mut Space, step: Step) {
    let address = |page: u64| HUGE + page * PAGE;
    let bytes = |at: u64, len: u64| len.min(PAGES - at) * PAGE;
    let range = |at: u64, len: u64| at..(at + len).min(PAGES);
    match step {
        Step::Store(page, value) => {
            let result = store(user, address(page), value);
            match space.get_mut(&page) {
                Some((byte, true)) => {
                    assert_eq!(result, Ok(()));
                    *byte = value;
                }
                _ => assert!(result.is_err()),
            }
        }
        Step::Unmap(at, len) => {
            user.munmap(address(at), bytes(at, len)).unwrap();
            space.retain(|page, _| !range(at, len).contains(page));
        }
        Step::Map(at, len) => {
            let request = MmapRequest::anonymous(bytes(at, len), RW);
            user.mmap(&request.fixed(address(at))).unwrap();
            space.extend(range(at, len).map(|page| (page, (0, true))));
        }
        Step::Protect(at, len, open) => {
            let prot = if open { RW } else { Prot::empty() };
            let mapped = range(at, len).take_while(|page| space.contains_key(page));
            let mapped: Vec<u64> = mapped.collect();
            let _ = user.mprotect(address(at), bytes(at, len), prot);
            for page in mapped {
                space.entry(page).and_modify(|page| page.1 = open);
            }
        }
        Step::PageOut(at, len) => {
            let _ = user.madvise(address(at), bytes(at, len), MADV_PAGEOUT);
        }
        Step::Fork | Step::Switch | Step::Exit => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn large_entries_make_no_difference(steps in prop::collection::vec(step(), 1..40)) {
        let world = World::with_swap(300);
        world.mm().set_thp_enabled(ThpEnabled::Always);
        let mut processes = std::vec![(world.user(), Space::new())];
        switch(world.mm().machine());
        run(&mut processes[0].0, &mut Space::new(), Step::Map(0, PAGES));
        processes[0].1.extend((0..PAGES).map(|page| (page, (0, true))));
        for step in steps {
            let last = processes.len() - 1;
            match step {
                Step::Fork if last < 2 => {
                    let (user, space) = &mut processes[0];
                    let child = (user.fork().unwrap(), space.clone());
                    processes.push(child);
                }
                Step::Switch => {
                    processes.swap(0, last);
                    switch(world.mm().machine());
                }
                Step::Exit if last > 0 => processes.remove(last).0.destroy(),
                _ => {
                    let (user, space) = &mut processes[0];
                    run(user, space, step);
                }
            }
            let mut users: Vec<_> = processes.iter_mut().map(|(user, _)| user).collect();
            check(world.mm(), &mut users);
        }
        for (user, space) in &mut processes {
            switch(world.mm().machine());
            for page in 0..PAGES {
                let loaded = load(user, HUGE + page * PAGE).ok();
                let expected = space.get(&page).filter(|(_, open)| *open);
                assert_eq!(loaded, expected.map(|(byte, _)| *byte), "{page}");
            }
        }
        for (user, _) in processes {
            user.destroy();
        }
    }
}

#[test]
fn reclaim_takes_a_huge_page_apart_and_all_of_it_comes_back() {
    let world = World::with_swap(1200);
    let mut user = program(&world, Some(MADV_HUGEPAGE));
    for page in 0..512 {
        store(&mut user, HUGE + page * PAGE, page as u8 | 1).unwrap();
    }
    assert!(is_huge(&user));
    // Used pages get a second chance, so the lists are gone through more than once.
    for _ in 0..1000 {
        if user.swapped() == 512 {
            break;
        }
        world.mm().direct_reclaim(Gfp::HIGHUSER_MOVABLE);
        check(world.mm(), &mut [&mut user]);
    }
    assert_eq!((user.swapped(), user.resident()), (512, 0));
    assert!(!is_huge(&user));
    for page in 0..512 {
        let loaded = load(&mut user, HUGE + page * PAGE);
        assert_eq!(loaded, Ok(page as u8 | 1), "{page}");
    }
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}
