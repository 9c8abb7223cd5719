//! What lies around a page comes with it.

use super::{AT, slot};
use crate::{
    machine::Machine,
    testing::TestMachine,
    user_mm::{
        UserMm,
        tests::{
            MmapRequest, PAGE, RW, World,
            cpu::{load, store, switch},
            oracle::check,
        },
    },
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{mman::MADV_PAGEOUT, vmstat::VmEvent};
use std::vec::Vec;

/// A program of 40 pages, all in swap, on a machine that reads ahead.
fn swapped_in_a_row(world: &World) -> UserMm<TestMachine> {
    world.mm().set_page_cluster(3);
    let mut user = world.user();
    switch(world.mm().machine());
    user.mmap(&MmapRequest::anonymous(40 * PAGE, RW).fixed(AT))
        .unwrap();
    for page in 0..40 {
        store(&mut user, AT + page * PAGE, 1 + page as u8).unwrap();
    }
    user.madvise(AT, 40 * PAGE, MADV_PAGEOUT).unwrap();
    assert_eq!(user.swapped(), 40);
    user
}

#[test]
fn what_lies_around_a_page_comes_with_it() {
    let world = World::with_swap(200);
    let mm = world.mm();
    let mut user = swapped_in_a_row(&world);
    // Slots lie as the pages do, or the other way round.
    let slots: Vec<u64> = (0..40)
        .map(|page| slot(&user, AT + page * PAGE).unwrap().slot())
        .collect();
    let near = |pair: &[u64]| pair[0].abs_diff(pair[1]) == 1;
    assert!(
        slots.windows(2).filter(|pair| near(pair)).count() >= 38,
        "{slots:?}"
    );
    for page in 0..40 {
        assert_eq!(load(&mut user, AT + page * PAGE), Ok(1 + page as u8));
        check(mm, &mut [&mut user]);
    }
    // In a row each window is of use.
    assert_eq!(mm.event_count(VmEvent::Pswpin), 40);
    assert!(user.major_faults() <= 8, "{}", user.major_faults());
    user.destroy();
}

#[test]
fn pages_read_ahead_fail_in_silence() {
    let world = World::with_swap(200);
    let mm = world.mm();
    let disk = mm.machine().disk();
    let mut user = swapped_in_a_row(&world);
    // The page itself comes, and none of the others can be read.
    disk.fail_from(2, 7);
    let at = AT + 20 * PAGE;
    assert_eq!(load(&mut user, at), Ok(21));
    assert_eq!((user.major_faults(), mm.swap_cached()), (1, 0));
    check(mm, &mut [&mut user]);
    disk.fail_from(0, 0);
    // Nor is there memory for them.
    let control = mm.machine().control();
    control.fail_page_alloc.nth.store(2, Relaxed);
    assert_eq!(load(&mut user, AT), Ok(1));
    assert_eq!((user.major_faults(), mm.swap_cached()), (2, 0));
    check(mm, &mut [&mut user]);
    for page in 0..40 {
        assert_eq!(load(&mut user, AT + page * PAGE), Ok(1 + page as u8));
    }
    check(mm, &mut [&mut user]);
    user.destroy();
}

#[test]
fn pages_read_ahead_that_nobody_wants_are_dropped() {
    let world = World::with_swap(200);
    let mm = world.mm();
    let mut user = swapped_in_a_row(&world);
    load(&mut user, AT + 20 * PAGE).unwrap();
    assert!(mm.swap_cached() > 0);
    check(mm, &mut [&mut user]);
    let written = mm.event_count(VmEvent::Pswpout);
    mm.direct_reclaim(pagelab_abi::gfp::Gfp::HIGHUSER_MOVABLE);
    assert_eq!(mm.swap_cached(), 0);
    assert!(mm.event_count(VmEvent::Pswpout) <= written + 1);
    check(mm, &mut [&mut user]);
    user.destroy();
}
