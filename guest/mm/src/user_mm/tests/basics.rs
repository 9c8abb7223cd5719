//! Anonymous memory comes and goes.

use super::{
    Access, FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{fetch, load, store},
    oracle::check,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    errno::Errno,
    mm_struct::RssStat,
    mman::{MapFlags, Prot},
    pte::USER_END,
};

#[test]
fn memory_is_zero_keeps_what_is_stored_and_goes() {
    let world = World::new();
    let mut user = world.user();
    let at = user.mmap(&MmapRequest::anonymous(8 * PAGE, RW)).unwrap();
    assert_eq!(at, 0x7fff_f7ff_f000 - 8 * PAGE, "just below mmap_base");
    assert_eq!(load(&mut user, at + PAGE).unwrap(), 0);
    let rss = |user: &super::UserMm<_>| user.mm_struct().rss[RssStat::Anon as usize].load(Relaxed);
    assert_eq!(rss(&user), 0, "the zero page is nobody's");
    for page in 0..8 {
        store(&mut user, at + page * PAGE + 7, page as u8 + 1).unwrap();
    }
    assert_eq!(rss(&user), 8);
    for page in 0..8 {
        assert_eq!(
            load(&mut user, at + page * PAGE + 7).unwrap(),
            page as u8 + 1
        );
        assert_eq!(load(&mut user, at + page * PAGE + 8).unwrap(), 0);
    }
    check(world.mm(), &mut [&mut user]);
    user.munmap(at, 8 * PAGE).unwrap();
    check(world.mm(), &mut [&mut user]);
    assert_eq!(user.mm_struct().pgtables.load(Relaxed), 1);
    assert_eq!(load(&mut user, at), Err(FaultSignal::MapErr(at)));
    user.destroy();
}

#[test]
fn unmapping_the_middle_splits_and_mapping_it_again_joins() {
    let world = World::new();
    let mut user = world.user();
    let at = user.mmap(&MmapRequest::anonymous(9 * PAGE, RW)).unwrap();
    for page in 0..9 {
        store(&mut user, at + page * PAGE, page as u8).unwrap();
    }
    user.munmap(at + 3 * PAGE, 2 * PAGE).unwrap();
    check(world.mm(), &mut [&mut user]);
    assert_eq!(user.tree().len(), 2);
    let hole = at + 4 * PAGE;
    assert_eq!(store(&mut user, hole, 1), Err(FaultSignal::MapErr(hole)));
    let request = MmapRequest::anonymous(2 * PAGE, RW).fixed(at + 3 * PAGE);
    user.mmap(&request).unwrap();
    assert_eq!(user.tree().len(), 1, "one area again");
    assert_eq!(load(&mut user, hole).unwrap(), 0);
    assert_eq!(load(&mut user, at + 5 * PAGE).unwrap(), 5);
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn fixed_replaces_and_noreplace_refuses() {
    let world = World::new();
    let mut user = world.user();
    let at = 0x40_0000;
    let request = MmapRequest::anonymous(4 * PAGE, RW).fixed(at);
    assert_eq!(user.mmap(&request), Ok(at));
    store(&mut user, at + PAGE, 9).unwrap();
    let middle = MmapRequest::anonymous(2 * PAGE, Prot::READ).fixed(at + PAGE);
    let noreplace = MmapRequest {
        flags: MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED_NOREPLACE,
        ..middle
    };
    assert_eq!(user.mmap(&noreplace), Err(Errno::EEXIST));
    assert_eq!(user.mmap(&middle), Ok(at + PAGE));
    assert_eq!(load(&mut user, at + PAGE).unwrap(), 0);
    assert_eq!(
        store(&mut user, at + PAGE, 9),
        Err(FaultSignal::AccErr(at + PAGE))
    );
    assert_eq!(user.tree().len(), 3);
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn rights_are_kept() {
    let world = World::new();
    let mut user = world.user();
    let none = user
        .mmap(&MmapRequest::anonymous(PAGE, Prot::empty()))
        .unwrap();
    assert_eq!(load(&mut user, none), Err(FaultSignal::AccErr(none)));
    assert_eq!(fetch(&mut user, none), Err(FaultSignal::AccErr(none)));
    let data = user.mmap(&MmapRequest::anonymous(PAGE, RW)).unwrap();
    assert_eq!(load(&mut user, data), Ok(0));
    assert_eq!(fetch(&mut user, data), Err(FaultSignal::AccErr(data)));
    let code = user
        .mmap(&MmapRequest::anonymous(PAGE, Prot::READ | Prot::EXEC))
        .unwrap();
    assert_eq!(fetch(&mut user, code), Ok(()));
    assert_eq!(store(&mut user, code, 1), Err(FaultSignal::AccErr(code)));
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn errors_are_linux_s() {
    let world = World::new();
    let mut user = world.user();
    let ask = |user: &mut super::UserMm<_>, addr, len, flags: MapFlags| {
        let request = MmapRequest {
            addr,
            len,
            prot: RW,
            flags,
            file: None,
        };
        user.mmap(&request)
    };
    let private = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
    let fixed = private | MapFlags::FIXED;
    assert_eq!(ask(&mut user, 0, 0, private), Err(Errno::EINVAL));
    assert_eq!(ask(&mut user, 0, u64::MAX, private), Err(Errno::ENOMEM));
    assert_eq!(ask(&mut user, 0, USER_END, private), Err(Errno::ENOMEM));
    assert_eq!(ask(&mut user, 0x10001, 1, fixed), Err(Errno::EINVAL));
    assert_eq!(ask(&mut user, 0x1000, 1, fixed), Err(Errno::EPERM));
    assert_eq!(ask(&mut user, USER_END, 1, fixed), Err(Errno::ENOMEM));
    assert_eq!(
        ask(&mut user, 0, 1, MapFlags::ANONYMOUS),
        Err(Errno::EINVAL)
    );
    // More than there is RAM, and not NORESERVE.
    assert_eq!(ask(&mut user, 0, 1 << 30, private), Err(Errno::ENOMEM));
    let at = ask(&mut user, 0, 1 << 30, private | MapFlags::NORESERVE).unwrap();
    assert_eq!(user.munmap(at, 1 << 30), Ok(()));
    assert_eq!(user.munmap(at + 1, PAGE), Err(Errno::EINVAL));
    assert_eq!(user.munmap(at, 0), Err(Errno::EINVAL));
    assert_eq!(user.munmap(USER_END, PAGE), Err(Errno::EINVAL));
    assert_eq!(user.munmap(at, PAGE), Ok(()), "nothing there is no error");
    // A hint is taken where there is room, and not where there is none.
    let hint = 0x1234_5000;
    assert_eq!(ask(&mut user, hint + 5, PAGE, private), Ok(hint));
    assert_ne!(ask(&mut user, hint, PAGE, private), Ok(hint));
    assert!(ask(&mut user, 0, PAGE, private | MapFlags::BIT32).unwrap() < 1 << 31);
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn the_kernel_reads_and_writes_across_pages_or_says_where_it_cannot() {
    let world = World::new();
    let mut user = world.user();
    let at = user.mmap(&MmapRequest::anonymous(3 * PAGE, RW)).unwrap();
    let bytes: std::vec::Vec<u8> = (0..=255).cycle().take(5000).collect();
    user.write(at + 100, &bytes).unwrap();
    let mut back = [0; 5000];
    user.read(at + 100, &mut back).unwrap();
    assert_eq!(back[..], bytes[..]);
    assert_eq!(load(&mut user, at + 4196).unwrap(), bytes[4096]);
    user.clear(at + 4000, 200).unwrap();
    assert_eq!(load(&mut user, at + 4000).unwrap(), 0);
    let fault = user.write(at + 3 * PAGE - 10, &bytes).unwrap_err();
    assert_eq!(fault.copied, 10);
    assert_eq!(Errno::from(fault), Errno::EFAULT);
    for wild in [
        0,
        0xfff,
        USER_END - 1,
        1 << 47,
        u64::MAX,
        0xffff_8880_0000_0000,
    ] {
        assert!(user.read(wild, &mut back).is_err(), "{wild:#x}");
        assert!(user.write(wild, &bytes).is_err(), "{wild:#x}");
    }
    user.read(0, &mut []).unwrap();
    check(world.mm(), &mut [&mut user]);
    assert_eq!(
        user.fault_in(at, Access::Exec),
        Err(FaultSignal::AccErr(at))
    );
}

#[test]
fn address_spaces_are_listed_and_stay_apart() {
    let world = World::new();
    let (mut a, mut b, c) = (world.user(), world.user(), world.user());
    let at = 0x10_0000;
    for (user, value) in [(&mut a, 1), (&mut b, 2)] {
        user.mmap(&MmapRequest::anonymous(PAGE, RW).fixed(at))
            .unwrap();
        user.write(at, &[value]).unwrap();
    }
    assert_eq!(world.mm().state().mm_list.load(Relaxed), c.gpa());
    b.destroy();
    assert_eq!(c.mm_struct().next.load(Relaxed), a.gpa());
    assert_eq!(a.mm_struct().prev.load(Relaxed), c.gpa());
    c.destroy();
    assert_eq!(world.mm().state().mm_list.load(Relaxed), a.gpa());
    assert_eq!(load(&mut a, at), Ok(1));
    check(world.mm(), &mut [&mut a]);
}
