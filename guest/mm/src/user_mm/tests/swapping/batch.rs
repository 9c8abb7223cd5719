//! What goes out, or comes in, together is one call of the device.

use super::{AT, requests};
use crate::user_mm::tests::{
    MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use crate::{testing::TestMachine, user_mm::UserMm};
use pagelab_abi::{gfp::Gfp, mman::MADV_PAGEOUT, vmstat::VmEvent};

/// A program that has stored its number into each of so many pages from [`AT`] on.
fn program(world: &World, pages: u64) -> UserMm<TestMachine> {
    let mut user = world.user();
    switch(world.mm().machine());
    let request = MmapRequest::anonymous(pages * PAGE, RW).fixed(AT);
    user.mmap(&request).unwrap();
    for page in 0..pages {
        store(&mut user, AT + page * PAGE, page as u8).unwrap();
    }
    user
}

fn content(user: &mut UserMm<TestMachine>, pages: u64) {
    for page in 0..pages {
        assert_eq!(load(user, AT + page * PAGE), Ok(page as u8), "{page}");
    }
}

fn notifications(world: &World) -> u64 {
    world.mm().machine().disk().notifications()
}

#[test]
fn pages_go_out_32_at_once_each_in_a_request_of_its_own() {
    let world = World::with_swap(200);
    let mut user = program(&world, 100);
    user.madvise(AT, 100 * PAGE, MADV_PAGEOUT).unwrap();
    assert_eq!((user.swapped(), requests(&world)), (100, 100));
    assert_eq!(notifications(&world), 4);
    check(world.mm(), &mut [&mut user]);
    content(&mut user, 100);
    user.destroy();
}

#[test]
fn reclaim_writes_what_it_takes_at_once() {
    let world = World::with_swap(200);
    let mm = world.mm();
    let mut user = program(&world, 100);
    while user.swapped() < 64 {
        mm.direct_reclaim(Gfp::HIGHUSER_MOVABLE);
        check(mm, &mut [&mut user]);
    }
    let (written, calls) = (mm.event_count(VmEvent::Pswpout), notifications(&world));
    assert!(calls * 4 <= written, "{written} pages in {calls} calls");
    content(&mut user, 100);
    user.destroy();
}

#[test]
fn a_window_comes_in_at_once() {
    let world = World::with_swap(200);
    let mut user = program(&world, 64);
    user.madvise(AT, 64 * PAGE, MADV_PAGEOUT).unwrap();
    world.mm().set_page_cluster(4);
    let (asked, called) = (requests(&world), notifications(&world));
    load(&mut user, AT).unwrap();
    // The page by itself, and what lies before and behind it: slot 0 is none.
    assert_eq!(notifications(&world) - called, 1);
    assert!((2..=3).contains(&(requests(&world) - asked)));
    assert!(world.mm().swap_cached() >= 2);
    check(world.mm(), &mut [&mut user]);
    content(&mut user, 64);
    assert!(notifications(&world) - called <= 16);
    assert_eq!(world.mm().event_count(VmEvent::Pswpin), 64);
    user.destroy();
}

#[test]
fn an_error_is_that_of_its_own_page() {
    for nth in 1..=32 {
        let world = World::with_swap(200);
        let mut user = program(&world, 32);
        let (total, _) = world.mm().swap_slots();
        world.mm().machine().disk().fail_from(nth, 1);
        user.madvise(AT, 32 * PAGE, MADV_PAGEOUT).unwrap();
        // One slot is bad, and its page is in another one.
        assert_eq!((user.swapped(), requests(&world)), (32, 33));
        assert_eq!(world.mm().swap_slots(), (total - 1, total - 33));
        assert_eq!(notifications(&world), 2);
        check(world.mm(), &mut [&mut user]);
        content(&mut user, 32);
        user.destroy();
    }
}

#[test]
fn what_does_not_fit_any_more_stays() {
    let world = World::with_swap(21);
    let mut user = program(&world, 32);
    user.madvise(AT, 32 * PAGE, MADV_PAGEOUT).unwrap();
    assert_eq!((user.swapped(), user.resident()), (20, 12));
    check(world.mm(), &mut [&mut user]);
    content(&mut user, 32);
    user.destroy();
}

#[test]
fn a_device_that_fails_for_good_loses_nothing() {
    let world = World::with_swap(400);
    let mut user = program(&world, 32);
    world.mm().machine().disk().fail_from(1, 96);
    user.madvise(AT, 32 * PAGE, MADV_PAGEOUT).unwrap();
    assert_eq!((user.swapped(), user.resident()), (0, 32));
    assert_eq!((requests(&world), notifications(&world)), (96, 3));
    check(world.mm(), &mut [&mut user]);
    content(&mut user, 32);
    user.madvise(AT, 32 * PAGE, MADV_PAGEOUT).unwrap();
    assert_eq!(user.swapped(), 32);
    content(&mut user, 32);
    user.destroy();
}
