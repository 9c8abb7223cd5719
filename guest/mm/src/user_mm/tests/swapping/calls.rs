//! Calls that meet pages in swap.

use super::{AT, PAGES, content, page_out, requests, swapped};
use crate::{
    testing::TestMachine,
    user_mm::{
        UserMm,
        tests::{
            FaultSignal, MmapRequest, PAGE, RW, World,
            cpu::{load, store},
            oracle::check,
        },
    },
};
use pagelab_abi::mman::{MADV_WILLNEED, MremapFlags, Prot};

#[test]
fn rights_and_places_change_under_pages_in_swap() {
    let world = World::with_swap(100);
    let mut user = swapped(&world);
    user.mprotect(AT, PAGE, Prot::empty()).unwrap();
    user.mprotect(AT + PAGE, PAGE, Prot::READ).unwrap();
    check(world.mm(), &mut [&mut user]);
    assert_eq!(load(&mut user, AT), Err(FaultSignal::AccErr(AT)));
    assert_eq!(load(&mut user, AT + PAGE), Ok(2));
    let denied = Err(FaultSignal::AccErr(AT + PAGE));
    assert_eq!(store(&mut user, AT + PAGE, 1), denied);
    // A page that nobody may access goes out as well.
    user.mprotect(AT, PAGES * PAGE, RW).unwrap();
    content(&mut user, AT);
    user.mprotect(AT, PAGES * PAGE, Prot::empty()).unwrap();
    page_out(&mut user);
    assert_eq!(user.swapped(), PAGES);
    user.mprotect(AT, PAGES * PAGE, RW).unwrap();
    let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
    let (len, to) = (PAGES * PAGE, 0x12_3456_7000);
    assert_eq!(user.mremap(AT, len, 2 * len, flags, to), Ok(to));
    assert_eq!(user.swapped(), PAGES);
    check(world.mm(), &mut [&mut user]);
    content(&mut user, to);
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn pages_are_read_in_ahead_and_mincore_says_so() {
    let world = World::with_swap(100);
    let mut user = swapped(&world);
    let vec = 0x80_0000;
    user.mmap(&MmapRequest::anonymous(PAGE, RW).fixed(vec))
        .unwrap();
    let in_core = |user: &mut UserMm<TestMachine>| {
        user.mincore(AT, PAGES * PAGE, vec).unwrap();
        let mut bytes = [0; PAGES as usize];
        user.read(vec, &mut bytes).unwrap();
        bytes
    };
    assert_eq!(in_core(&mut user), [0; 4]);
    user.madvise(AT + PAGE, 2 * PAGE, MADV_WILLNEED).unwrap();
    assert_eq!(in_core(&mut user), [0, 1, 1, 0]);
    assert_eq!((user.swapped(), world.mm().swap_cached()), (PAGES, 2));
    check(world.mm(), &mut [&mut user]);
    let (reads, minor) = (requests(&world), user.faults());
    assert_eq!(load(&mut user, AT + PAGE), Ok(2));
    assert_eq!((requests(&world), user.faults()), (reads, minor + 1));
    assert_eq!(user.major_faults(), 0);
    load(&mut user, AT).unwrap();
    assert_eq!(in_core(&mut user), [1, 1, 1, 0]);
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}
