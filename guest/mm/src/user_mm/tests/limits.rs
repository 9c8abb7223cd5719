//! RLIMIT_AS, RLIMIT_DATA and RLIMIT_MEMLOCK.

use super::{MmapRequest, PAGE, RW, World, cpu::store, oracle::check};
use pagelab_abi::{
    errno::Errno,
    mman::{MapFlags, MlockallFlags, MremapFlags, Prot},
};

const AT: u64 = 0x40_0000;
const INFINITY: u64 = u64::MAX;

#[test]
fn all_areas_together_are_limited() {
    let world = World::new();
    let mut user = world.user();
    user.set_limits(10 * PAGE + 4095, INFINITY);
    user.mmap(&MmapRequest::anonymous(8 * PAGE, RW).fixed(AT))
        .unwrap();
    let more = MmapRequest::anonymous(3 * PAGE, Prot::empty());
    assert_eq!(user.mmap(&more), Err(Errno::ENOMEM));
    // What is replaced does not count.
    user.mmap(&more.fixed(AT + 5 * PAGE)).unwrap();
    user.mmap(&more.fixed(AT + 7 * PAGE)).unwrap();
    assert_eq!(user.total_vm(), 10);
    let grow = |user: &mut crate::user_mm::UserMm<_>, pages| {
        user.mremap(AT, PAGE, pages * PAGE, MremapFlags::MAYMOVE, 0)
    };
    assert_eq!(grow(&mut user, 2), Err(Errno::ENOMEM));
    let heap = 0x100_0000;
    user.set_brk_start(heap);
    assert_eq!(user.brk(heap + 1), heap);
    user.munmap(AT, PAGE).unwrap();
    assert_eq!(user.brk(heap + 1), heap + 1);
    assert_eq!(user.brk(heap + PAGE + 1), heap + 1);
    // A child has the same limits.
    let mut child = user.fork().unwrap();
    assert_eq!(child.mmap(&more), Err(Errno::ENOMEM));
    check(world.mm(), &mut [&mut user, &mut child]);
    child.destroy();
    // Less than there is takes nothing away.
    user.set_limits(PAGE, INFINITY);
    assert_eq!(user.total_vm(), 10);
    assert_eq!(user.mmap(&more), Err(Errno::ENOMEM));
    user.set_limits(INFINITY, INFINITY);
    user.mmap(&more).unwrap();
    user.destroy();
}

#[test]
fn the_stack_grows_no_further_than_that() {
    let world = World::new();
    let mut user = world.user();
    super::cpu::switch(world.mm().machine());
    let top = 0x7fff_0000_0000;
    user.map_stack(top, PAGE, 100 * PAGE).unwrap();
    user.set_limits(3 * PAGE, INFINITY);
    store(&mut user, top - 3 * PAGE, 1).unwrap();
    assert!(store(&mut user, top - 3 * PAGE - 1, 1).is_err());
    user.destroy();
}

#[test]
fn private_memory_that_can_be_written_is_limited() {
    let world = World::new();
    let mut user = world.user();
    user.set_limits(INFINITY, 4 * PAGE);
    user.mmap(&MmapRequest::anonymous(3 * PAGE, RW).fixed(AT))
        .unwrap();
    let two = MmapRequest::anonymous(2 * PAGE, RW);
    assert_eq!(user.mmap(&two), Err(Errno::ENOMEM));
    // Other memory does not count.
    let read_only = MmapRequest::anonymous(2 * PAGE, Prot::READ);
    let at = user.mmap(&read_only).unwrap();
    let shared = MmapRequest {
        flags: MapFlags::SHARED | MapFlags::ANONYMOUS,
        ..two
    };
    user.mmap(&shared).unwrap();
    // Unless it becomes such memory.
    assert_eq!(user.mprotect(at, 2 * PAGE, RW), Err(Errno::ENOMEM));
    user.mprotect(at, PAGE, RW).unwrap();
    user.mprotect(AT, PAGE, Prot::READ).unwrap();
    user.mprotect(at + PAGE, PAGE, RW).unwrap();
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn locked_memory_is_limited() {
    let world = World::new();
    let mut user = world.user();
    user.mmap(&MmapRequest::anonymous(8 * PAGE, RW).fixed(AT))
        .unwrap();
    user.set_memlock_limit(4 * PAGE + 4095);
    assert_eq!(user.mlock(AT, 5 * PAGE, 0), Err(Errno::ENOMEM));
    assert_eq!(user.mlock(AT, 4 * PAGE, 0), Ok(()));
    // What is locked already does not count twice.
    assert_eq!(user.mlock(AT + PAGE, 3 * PAGE, 0), Ok(()));
    assert_eq!(user.mlock(AT + PAGE, 4 * PAGE, 0), Err(Errno::ENOMEM));
    let locked = MmapRequest {
        flags: MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::LOCKED,
        ..MmapRequest::anonymous(PAGE, RW)
    };
    assert_eq!(user.mmap(&locked), Err(Errno::EAGAIN));
    let grown = user.mremap(AT, 4 * PAGE, 5 * PAGE, MremapFlags::MAYMOVE, 0);
    assert_eq!(grown, Err(Errno::EAGAIN));
    let current = MlockallFlags::CURRENT;
    assert_eq!(user.mlockall(current), Err(Errno::ENOMEM));
    let mut child = user.fork().unwrap();
    assert_eq!(child.mlock(AT, 5 * PAGE, 0), Err(Errno::ENOMEM));
    check(world.mm(), &mut [&mut user, &mut child]);
    child.destroy();
    user.munlock(AT, PAGE).unwrap();
    assert!(user.mmap(&locked).is_ok());
    user.set_memlock_limit(0);
    assert_eq!(user.mlock(AT, 0, 0), Err(Errno::EPERM));
    assert_eq!(user.mlockall(current), Err(Errno::EPERM));
    assert_eq!(user.mmap(&locked), Err(Errno::EPERM));
    assert_eq!(user.munlock(AT, PAGE), Ok(()));
    user.set_memlock_limit(u64::MAX);
    assert_eq!(user.mlockall(current), Ok(()));
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}
