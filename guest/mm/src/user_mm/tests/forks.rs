//! Copy-on-write.

use super::{
    MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{mm_struct::RssStat, mman::Prot, vma::VmFlags};

#[test]
fn a_child_has_what_the_parent_had_and_neither_sees_the_other_s_stores() {
    let world = World::new();
    let mut parent = world.user();
    let at = parent.mmap(&MmapRequest::anonymous(6 * PAGE, RW)).unwrap();
    for page in 0..4 {
        store(&mut parent, at + page * PAGE, 10 + page as u8).unwrap();
    }
    // The zero page is inherited as well.
    assert_eq!(load(&mut parent, at + 4 * PAGE), Ok(0));
    let mut child = parent.fork().unwrap();
    check(world.mm(), &mut [&mut parent, &mut child]);
    let before = world.in_use();
    store(&mut parent, at, 77).unwrap();
    assert_eq!(world.in_use(), before + 1, "one page was copied");
    check(world.mm(), &mut [&mut parent, &mut child]);

    switch(world.mm().machine());
    for page in 0..4 {
        assert_eq!(load(&mut child, at + page * PAGE), Ok(10 + page as u8));
    }
    store(&mut child, at, 88).unwrap();
    assert_eq!(
        world.in_use(),
        before + 1,
        "the other one was the last user"
    );
    store(&mut child, at + 4 * PAGE, 1).unwrap();
    store(&mut child, at + PAGE, 2).unwrap();
    child.write(at + 5 * PAGE, &[5]).unwrap();
    check(world.mm(), &mut [&mut child, &mut parent]);

    switch(world.mm().machine());
    assert_eq!(load(&mut parent, at), Ok(77));
    assert_eq!(load(&mut parent, at + PAGE), Ok(11));
    assert_eq!(load(&mut parent, at + 4 * PAGE), Ok(0));
    assert_eq!(load(&mut parent, at + 5 * PAGE), Ok(0));
    child.destroy();
    let before = world.in_use();
    for page in 0..4 {
        store(&mut parent, at + page * PAGE, 3).unwrap();
    }
    assert_eq!(world.in_use(), before, "alone again, nothing is copied");
    check(world.mm(), &mut [&mut parent]);
}

#[test]
fn a_page_has_as_many_references_as_generations() {
    let world = World::new();
    let mut first = world.user();
    let at = first.mmap(&MmapRequest::anonymous(PAGE, RW)).unwrap();
    first.write(at, b"x").unwrap();
    let mut all = std::vec![first];
    for _ in 0..5 {
        let next = all.last_mut().unwrap().fork().unwrap();
        all.push(next);
    }
    let mut users: std::vec::Vec<_> = all.iter_mut().collect();
    check(world.mm(), &mut users);
    while let Some(user) = all.pop() {
        user.destroy();
        let mut users: std::vec::Vec<_> = all.iter_mut().collect();
        check(world.mm(), &mut users);
    }
}

#[test]
fn a_child_has_the_bounds_but_not_the_locks_and_not_what_it_must_not_have() {
    let world = World::new();
    let mut parent = world.user();
    parent.set_brk_start(0x50_0000);
    assert_eq!(parent.brk(0x50_1234), 0x50_1234);
    let at = parent.mmap(&MmapRequest::anonymous(3 * PAGE, RW)).unwrap();
    parent.write(at, &[1; 3 * 4096]).unwrap();
    let area = parent.tree().find(at).map(crate::vma::Area::of).unwrap();
    for (page, flag) in [(0, VmFlags::DONTCOPY), (1, VmFlags::WIPEONFORK)] {
        let part = at + page * PAGE..at + (page + 1) * PAGE;
        let whole = crate::vma::Area {
            start: at + page * PAGE,
            ..area
        };
        parent.isolate(&whole, &part).unwrap();
        parent.set_flags(part.start, area.flags | flag);
    }
    let mut child = parent.fork().unwrap();
    check(world.mm(), &mut [&mut parent, &mut child]);
    assert_eq!(child.brk(0), 0x50_1234);
    let mut byte = [9];
    assert!(child.read(at, &mut byte).is_err());
    child.read(at + PAGE, &mut byte).unwrap();
    assert_eq!(byte, [0]);
    child.read(at + 2 * PAGE, &mut byte).unwrap();
    assert_eq!(byte, [1]);
    assert_eq!(
        child.mm_struct().rss[RssStat::Anon as usize].load(Relaxed),
        1
    );
}

#[test]
fn shared_read_only_stays_read_only_after_fork() {
    let world = World::new();
    let mut parent = world.user();
    let at = parent.mmap(&MmapRequest::anonymous(PAGE, RW)).unwrap();
    store(&mut parent, at, 1).unwrap();
    parent.mprotect(at, PAGE, Prot::READ).unwrap();
    let mut child = parent.fork().unwrap();
    child.mprotect(at, PAGE, RW).unwrap();
    switch(world.mm().machine());
    store(&mut child, at, 2).unwrap();
    switch(world.mm().machine());
    assert_eq!(load(&mut parent, at), Ok(1));
    check(world.mm(), &mut [&mut parent, &mut child]);
}
