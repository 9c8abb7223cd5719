//! The device fails, or there is no memory.

use super::{AT, PAGES, content, filled, page_out, swapped};
use crate::{
    machine::Machine,
    user_mm::tests::{
        FaultSignal, PAGE, World,
        cpu::{load, store},
        oracle::check,
    },
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{errno::Errno, mman::MADV_WILLNEED};

#[test]
fn a_page_that_cannot_be_read_is_a_sigbus_and_comes_back_later() {
    let world = World::with_swap(100);
    let disk = world.mm().machine().disk();
    let mut user = swapped(&world);
    disk.fail_from(1, 2);
    let at = AT + PAGE + 5;
    assert_eq!(load(&mut user, at), Err(FaultSignal::BusAdrErr(at)));
    check(world.mm(), &mut [&mut user]);
    disk.fail_from(1, 2);
    let mut byte = [0];
    let fault = user.read(at, &mut byte).unwrap_err();
    assert_eq!(
        (fault.copied, fault.signal),
        (0, FaultSignal::BusAdrErr(at))
    );
    disk.fail_from(1, 2);
    assert_eq!(user.mlock(AT, PAGE, 0), Err(Errno::ENOMEM));
    disk.fail_from(1, 2);
    user.madvise(AT, PAGE, MADV_WILLNEED).unwrap();
    assert_eq!((user.swapped(), user.major_faults()), (PAGES, 0));
    // An error that does not last is none.
    disk.fail_from(1, 1);
    content(&mut user, AT);
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn a_page_that_cannot_be_written_stays() {
    let world = World::with_swap(100);
    let disk = world.mm().machine().disk();
    let mut user = filled(&world);
    // All of them twice, and the one that is first a third time.
    disk.fail_from(1, 2 * PAGES + 1);
    page_out(&mut user);
    assert_eq!((user.swapped(), user.resident()), (PAGES - 1, 1));
    check(world.mm(), &mut [&mut user]);
    content(&mut user, AT);
    store(&mut user, AT, 1).unwrap();
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn swapping_in_without_memory_changes_nothing() {
    let world = World::with_swap(100);
    let mut parent = swapped(&world);
    let child = parent.fork().unwrap();
    let nth = &world.mm().machine().control().fail_page_alloc.nth;
    // No memory for the page, then none for the copy.
    for (allocation, swapped) in [(1, PAGES), (2, PAGES - 1)] {
        nth.store(allocation, Relaxed);
        let stored = store(&mut parent, AT, 80);
        assert_eq!(stored, Err(FaultSignal::Oom));
        assert_eq!(parent.swapped(), swapped);
    }
    let mut child = child;
    check(world.mm(), &mut [&mut parent, &mut child]);
    nth.store(1, Relaxed);
    parent.madvise(AT, PAGES * PAGE, MADV_WILLNEED).unwrap();
    assert_eq!(world.mm().swap_cached(), 1, "the page that is mapped");
    content(&mut parent, AT);
    child.destroy();
    parent.destroy();
}
