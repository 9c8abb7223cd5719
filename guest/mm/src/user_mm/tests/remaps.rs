//! mremap.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store},
    oracle::check,
};
use crate::{testing::TestMachine, user_mm::UserMm};
use pagelab_abi::{
    errno::Errno,
    mman::{MapFlags, MremapFlags, Prot},
};

const AT: u64 = 0x40_0000;

fn four_pages(world: &World) -> UserMm<TestMachine> {
    let mut user = world.user();
    user.mmap(&MmapRequest::anonymous(4 * PAGE, RW).fixed(AT))
        .unwrap();
    for page in 0..4 {
        store(&mut user, AT + page * PAGE, 1 + page as u8).unwrap();
    }
    user
}

fn holds(user: &mut UserMm<TestMachine>, at: u64, bytes: &[u8]) {
    for (page, &byte) in bytes.iter().enumerate() {
        assert_eq!(load(user, at + page as u64 * PAGE), Ok(byte), "page {page}");
    }
}

#[test]
fn it_grows_where_there_is_room_and_else_moves() {
    let world = World::new();
    let mut user = four_pages(&world);
    let none = MremapFlags::empty();
    assert_eq!(user.mremap(AT, 4 * PAGE, 6 * PAGE, none, 0), Ok(AT));
    holds(&mut user, AT, &[1, 2, 3, 4, 0, 0]);
    assert_eq!(user.mremap(AT, 6 * PAGE, 4 * PAGE, none, 0), Ok(AT));
    let wall = AT + 5 * PAGE;
    user.mmap(&MmapRequest::anonymous(PAGE, Prot::READ).fixed(wall))
        .unwrap();
    let refused = user.mremap(AT, 4 * PAGE, 6 * PAGE, none, 0);
    assert_eq!(refused, Err(Errno::ENOMEM));
    let may = MremapFlags::MAYMOVE;
    let to = user.mremap(AT, 4 * PAGE, 6 * PAGE, may, 0).unwrap();
    assert_ne!(to, AT);
    holds(&mut user, to, &[1, 2, 3, 4, 0, 0]);
    assert_eq!(load(&mut user, AT), Err(FaultSignal::MapErr(AT)));
    check(world.mm(), &mut [&mut user]);
    // A part from the middle, over something else.
    let fixed = may | MremapFlags::FIXED;
    let middle = user.mremap(to + PAGE, 2 * PAGE, 3 * PAGE, fixed, wall - PAGE);
    assert_eq!(middle, Ok(wall - PAGE));
    holds(&mut user, wall - PAGE, &[2, 3, 0]);
    holds(&mut user, to, &[1]);
    assert_eq!(
        load(&mut user, to + PAGE),
        Err(FaultSignal::MapErr(to + PAGE))
    );
    holds(&mut user, to + 3 * PAGE, &[4]);
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn dontunmap_leaves_the_old_area_without_its_pages() {
    let world = World::new();
    let mut user = four_pages(&world);
    let flags = MremapFlags::MAYMOVE | MremapFlags::DONTUNMAP;
    let to = user.mremap(AT, 4 * PAGE, 4 * PAGE, flags, 0).unwrap();
    holds(&mut user, to, &[1, 2, 3, 4]);
    holds(&mut user, AT, &[0, 0, 0, 0]);
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn shared_memory_can_be_mapped_twice() {
    let world = World::new();
    let mut user = world.user();
    let request = MmapRequest {
        flags: MapFlags::SHARED | MapFlags::ANONYMOUS,
        ..MmapRequest::anonymous(2 * PAGE, RW)
    };
    let at = user.mmap(&request).unwrap();
    store(&mut user, at + PAGE, 8).unwrap();
    let twice = user
        .mremap(at, 0, 2 * PAGE, MremapFlags::MAYMOVE, 0)
        .unwrap();
    holds(&mut user, twice, &[0, 8]);
    store(&mut user, twice, 9).unwrap();
    holds(&mut user, at, &[9, 8]);
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn errors_are_linux_s() {
    let world = World::new();
    let mut user = four_pages(&world);
    let may = MremapFlags::MAYMOVE;
    let fixed = may | MremapFlags::FIXED;
    let mut ask = |old, old_len, new_len, flags, to| user.mremap(old, old_len, new_len, flags, to);
    let einval = Err(Errno::EINVAL);
    assert_eq!(ask(AT + 1, PAGE, PAGE, may, 0), einval);
    assert_eq!(ask(AT, PAGE, 0, may, 0), einval);
    assert_eq!(ask(AT, PAGE, PAGE, MremapFlags::FIXED, 0), einval);
    assert_eq!(
        ask(AT, PAGE, PAGE, MremapFlags::from_bits_retain(8), 0),
        einval
    );
    assert_eq!(ask(AT, PAGE, PAGE, fixed, AT), einval, "overlap");
    let nothing = AT - 9 * PAGE;
    assert_eq!(ask(nothing, 2 * PAGE, 2 * PAGE, fixed, nothing), einval);
    assert_eq!(ask(AT, PAGE, PAGE, fixed, 0x50_0001), einval);
    assert_eq!(ask(AT, PAGE, PAGE, fixed, 1 << 47), einval);
    assert_eq!(
        ask(AT, PAGE, 2 * PAGE, may | MremapFlags::DONTUNMAP, 0),
        einval
    );
    assert_eq!(ask(AT, 0, PAGE, may, 0), einval, "private");
    let efault = Err(Errno::EFAULT);
    assert_eq!(ask(AT - PAGE, PAGE, 2 * PAGE, may, 0), efault);
    assert_eq!(ask(nothing, PAGE, PAGE, fixed, AT), efault);
    assert_eq!(ask(AT, 5 * PAGE, 6 * PAGE, may, 0), efault);
    assert_eq!(ask(AT, PAGE, 1 << 46, may, 0), Err(Errno::ENOMEM));
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn all_areas_of_a_range_move_with_the_gaps_between_them() {
    let world = World::new();
    let mut user = four_pages(&world);
    user.munmap(AT + PAGE, PAGE).unwrap();
    user.mprotect(AT + 3 * PAGE, PAGE, Prot::READ).unwrap();
    let to = 0x80_0000;
    let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
    let fault = user.mremap(AT + PAGE, 2 * PAGE, 2 * PAGE, flags, to);
    assert_eq!(fault, Err(Errno::EFAULT), "a gap in front");
    assert_eq!(user.mremap(AT, 5 * PAGE, 5 * PAGE, flags, to), Ok(to));
    holds(&mut user, to, &[1]);
    holds(&mut user, to + 2 * PAGE, &[3, 4]);
    assert_eq!(
        store(&mut user, to + 3 * PAGE, 9),
        Err(FaultSignal::AccErr(to + 3 * PAGE))
    );
    for gap in [to + PAGE, to + 4 * PAGE, AT, AT + 2 * PAGE] {
        assert_eq!(load(&mut user, gap), Err(FaultSignal::MapErr(gap)));
    }
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}
