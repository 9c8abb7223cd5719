//! mprotect.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{fetch, load, store},
    oracle::check,
};
use pagelab_abi::{errno::Errno, mman::Prot};

#[test]
fn rights_change_at_once_and_neighbours_join_again() {
    let world = World::new();
    let mut user = world.user();
    let at = user.mmap(&MmapRequest::anonymous(5 * PAGE, RW)).unwrap();
    for page in 0..5 {
        store(&mut user, at + page * PAGE, 1 + page as u8).unwrap();
    }
    let mid = at + 2 * PAGE;
    user.mprotect(mid, PAGE, Prot::READ).unwrap();
    assert_eq!(user.tree().len(), 3);
    check(world.mm(), &mut [&mut user]);
    assert_eq!(store(&mut user, mid, 0), Err(FaultSignal::AccErr(mid)));
    assert_eq!(load(&mut user, mid), Ok(3));
    user.mprotect(mid, PAGE, Prot::empty()).unwrap();
    check(world.mm(), &mut [&mut user]);
    assert_eq!(load(&mut user, mid), Err(FaultSignal::AccErr(mid)));
    assert!(user.read(mid, &mut [0]).is_err());
    user.mprotect(mid, PAGE, Prot::READ | Prot::EXEC).unwrap();
    assert_eq!(fetch(&mut user, mid), Ok(()));
    user.mprotect(at, 5 * PAGE, RW).unwrap();
    assert_eq!(user.tree().len(), 1, "one area again");
    check(world.mm(), &mut [&mut user]);
    assert_eq!(load(&mut user, mid), Ok(3), "the content has stayed");
    store(&mut user, mid, 9).unwrap();
    assert_eq!(fetch(&mut user, mid), Err(FaultSignal::AccErr(mid)));
}

#[test]
fn errors_are_linux_s() {
    let world = World::new();
    let mut user = world.user();
    let at = 0x40_0000;
    let map = MmapRequest::anonymous(2 * PAGE, RW);
    user.mmap(&map.fixed(at)).unwrap();
    user.mmap(&map.fixed(at + 3 * PAGE)).unwrap();
    let read = Prot::READ;
    assert_eq!(user.mprotect(at + 1, PAGE, read), Err(Errno::EINVAL));
    assert_eq!(user.mprotect(at, 0, read), Ok(()));
    assert_eq!(user.mprotect(at, u64::MAX, read), Err(Errno::ENOMEM));
    let unknown = Prot::from_bits_retain(0x10);
    assert_eq!(user.mprotect(at, PAGE, unknown), Err(Errno::EINVAL));
    assert_eq!(user.mprotect(at - PAGE, 2 * PAGE, read), Err(Errno::ENOMEM));
    // What is before the hole has been changed, as in Linux.
    assert_eq!(user.mprotect(at, 4 * PAGE, read), Err(Errno::ENOMEM));
    assert_eq!(store(&mut user, at, 1), Err(FaultSignal::AccErr(at)));
    assert_eq!(store(&mut user, at + 3 * PAGE, 1), Ok(()));
    let down = Prot::GROWSDOWN | read;
    assert_eq!(user.mprotect(at, PAGE, down), Err(Errno::EINVAL));
    assert_eq!(
        user.mprotect(at, PAGE, down | Prot::GROWSUP),
        Err(Errno::EINVAL)
    );
    check(world.mm(), &mut [&mut user]);
}
