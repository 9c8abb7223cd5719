//! madvise, the mlock family, msync and mincore.

use super::{
    Access, MmapRequest, PAGE, RW, World,
    cpu::{load, store},
    oracle::check,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    errno::Errno,
    mm_struct::RssStat,
    mman::{
        MADV_COLD, MADV_DONTNEED, MADV_HUGEPAGE, MADV_NORMAL, MADV_PAGEOUT, MADV_POPULATE_READ,
        MADV_POPULATE_WRITE, MADV_SEQUENTIAL, MADV_WILLNEED, MLOCK_ONFAULT, MapFlags,
        MlockallFlags, MsyncFlags, Prot,
    },
};

const AT: u64 = 0x40_0000;

#[test]
fn madvise_does_the_rest_and_says_that_a_part_is_missing() {
    let world = World::new();
    let mut user = world.user();
    let map = MmapRequest::anonymous(2 * PAGE, RW);
    for at in [AT, AT + 3 * PAGE] {
        user.mmap(&map.fixed(at)).unwrap();
        store(&mut user, at, 1).unwrap();
    }
    let hole = user.madvise(AT, 5 * PAGE, MADV_DONTNEED);
    assert_eq!(hole, Err(Errno::ENOMEM));
    for at in [AT, AT + 3 * PAGE] {
        assert_eq!(load(&mut user, at), Ok(0));
    }
    for advice in [MADV_WILLNEED, MADV_COLD, MADV_PAGEOUT, MADV_NORMAL] {
        assert_eq!(user.madvise(AT, PAGE, advice), Ok(()));
    }
    assert_eq!(user.madvise(AT, PAGE, MADV_SEQUENTIAL), Ok(()));
    assert_eq!(user.tree().len(), 3);
    assert_eq!(user.madvise(AT, PAGE, MADV_NORMAL), Ok(()));
    assert_eq!(user.tree().len(), 2);
    assert_eq!(user.madvise(AT, PAGE, MADV_HUGEPAGE), Ok(()));
    assert_eq!(user.madvise(AT + 1, PAGE, MADV_NORMAL), Err(Errno::EINVAL));
    for unknown in [5, 7, 24, 100] {
        assert_eq!(user.madvise(AT, PAGE, unknown), Err(Errno::EINVAL));
    }
    assert_eq!(user.madvise(AT, u64::MAX, MADV_NORMAL), Err(Errno::EINVAL));
    assert_eq!(user.madvise(AT, 0, MADV_NORMAL), Ok(()));
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn populating_brings_all_pages_or_says_why_not() {
    let world = World::new();
    let mut user = world.user();
    user.mmap(&MmapRequest::anonymous(4 * PAGE, RW).fixed(AT))
        .unwrap();
    let anon = |user: &super::UserMm<_>| user.mm_struct().rss[RssStat::Anon as usize].load(Relaxed);
    user.madvise(AT, 4 * PAGE, MADV_POPULATE_READ).unwrap();
    assert_eq!(anon(&user), 0);
    user.madvise(AT, 4 * PAGE, MADV_POPULATE_WRITE).unwrap();
    assert_eq!(anon(&user), 4);
    let beyond = user.madvise(AT, 5 * PAGE, MADV_POPULATE_READ);
    assert_eq!(beyond, Err(Errno::ENOMEM));
    user.mprotect(AT, PAGE, Prot::READ).unwrap();
    let read_only = user.madvise(AT, PAGE, MADV_POPULATE_WRITE);
    assert_eq!(read_only, Err(Errno::EINVAL));
    let request = MmapRequest {
        flags: MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::POPULATE,
        ..MmapRequest::anonymous(3 * PAGE, RW)
    };
    user.mmap(&request).unwrap();
    assert_eq!(anon(&user), 7);
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn locked_pages_are_there_and_stay() {
    let world = World::new();
    let mut user = world.user();
    user.mmap(&MmapRequest::anonymous(4 * PAGE, RW).fixed(AT))
        .unwrap();
    let counts = |user: &super::UserMm<_>| {
        let this = user.mm_struct();
        let anon = this.rss[RssStat::Anon as usize].load(Relaxed);
        (this.locked_vm.load(Relaxed), anon)
    };
    user.mlock(AT + PAGE + 5, PAGE, 0).unwrap();
    assert_eq!(counts(&user), (2, 2), "a part of two pages");
    assert_eq!(
        user.madvise(AT, 4 * PAGE, MADV_DONTNEED),
        Err(Errno::EINVAL)
    );
    user.munlock(AT, 4 * PAGE).unwrap();
    assert_eq!(counts(&user), (0, 2));
    assert_eq!(user.tree().len(), 1);
    user.mlock(AT, 4 * PAGE, MLOCK_ONFAULT).unwrap();
    assert_eq!(counts(&user), (4, 2));
    assert_eq!(user.mlock(AT, PAGE, 2), Err(Errno::EINVAL));
    assert_eq!(user.mlock(AT, 5 * PAGE, 0), Err(Errno::ENOMEM));
    // As on Linux: made whole pages, the first length is none.
    assert_eq!(user.mlock(AT, u64::MAX, 0), Ok(()));
    let behind_all = 0_u64.wrapping_sub(2 * PAGE);
    assert_eq!(user.mlock(AT, behind_all, 0), Err(Errno::EINVAL));
    check(world.mm(), &mut [&mut user]);
    user.munlockall();
    assert_eq!(user.mlockall(MlockallFlags::empty()), Err(Errno::EINVAL));
    assert_eq!(user.mlockall(MlockallFlags::ONFAULT), Err(Errno::EINVAL));
    user.mlockall(MlockallFlags::CURRENT | MlockallFlags::FUTURE)
        .unwrap();
    assert_eq!(counts(&user), (4, 4));
    user.mmap(&MmapRequest::anonymous(2 * PAGE, RW)).unwrap();
    assert_eq!(counts(&user), (6, 6));
    let child = user.fork().unwrap();
    assert_eq!(counts(&child).0, 0);
    child.destroy();
    user.munlockall();
    user.mmap(&MmapRequest::anonymous(PAGE, RW)).unwrap();
    assert_eq!(counts(&user), (0, 6));
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn msync_and_mincore_say_what_is_mapped_and_there() {
    let world = World::new();
    let mut user = world.user();
    user.mmap(&MmapRequest::anonymous(4 * PAGE, RW).fixed(AT))
        .unwrap();
    store(&mut user, AT + PAGE, 1).unwrap();
    load(&mut user, AT + 3 * PAGE).unwrap();
    let vec = AT + 100;
    user.fault_in(vec, Access::Write).unwrap();
    user.mincore(AT, 3 * PAGE + 1, vec).unwrap();
    let mut bytes = [9; 5];
    user.read(vec, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 1, 0, 1, 0]);
    assert_eq!(user.mincore(AT + 1, PAGE, vec), Err(Errno::EINVAL));
    assert_eq!(user.mincore(AT, 5 * PAGE, vec), Err(Errno::ENOMEM));
    assert_eq!(user.mincore(AT, PAGE, 0), Err(Errno::EFAULT));
    assert_eq!(user.mincore(AT, PAGE, u64::MAX), Err(Errno::EFAULT));
    let sync = MsyncFlags::SYNC;
    assert_eq!(user.msync(AT, 4 * PAGE, sync), Ok(()));
    assert_eq!(user.msync(AT + 1, PAGE, sync), Err(Errno::EINVAL));
    assert_eq!(
        user.msync(AT, PAGE, sync | MsyncFlags::ASYNC),
        Err(Errno::EINVAL)
    );
    assert_eq!(user.msync(AT, 5 * PAGE, sync), Err(Errno::ENOMEM));
    user.mlock(AT, PAGE, 0).unwrap();
    assert_eq!(
        user.msync(AT, PAGE, MsyncFlags::INVALIDATE),
        Err(Errno::EBUSY)
    );
    check(world.mm(), &mut [&mut user]);
}
