//! Mappings of files, and shared memory without a name.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use crate::{page_cache::FileId, testing::TestMachine, user_mm::UserMm};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    errno::Errno,
    mm_struct::RssStat,
    mman::{MADV_DONTNEED, MADV_REMOVE, MADV_WIPEONFORK, MapFlags, Prot},
};

/// A file of three pages and a bit, each byte of which says in which page it is.
fn file(world: &World) -> FileId {
    let file = world.mm().file_new().unwrap();
    for page in 0..4 {
        let bytes = std::vec![page as u8 + 1; if page == 3 { 10 } else { 4096 }];
        world.mm().file_write(file, page * PAGE, &bytes).unwrap();
    }
    file
}

fn map(
    user: &mut UserMm<TestMachine>,
    file: FileId,
    kind: MapFlags,
    prot: Prot,
) -> Result<u64, Errno> {
    user.mmap(&MmapRequest::of_file(6 * PAGE, prot, kind, file, 0))
}

fn byte_of_file(world: &World, file: FileId, at: u64) -> u8 {
    let mut byte = [0];
    assert_eq!(world.mm().file_read(file, at, &mut byte), Ok(1));
    byte[0]
}

#[test]
fn private_pages_are_the_file_s_until_they_are_stored_to() {
    let world = World::new();
    let mut user = world.user();
    let file = file(&world);
    let at = map(&mut user, file, MapFlags::PRIVATE, RW).unwrap();
    assert_eq!(load(&mut user, at + PAGE), Ok(2));
    world.mm().file_write(file, PAGE, b"x").unwrap();
    assert_eq!(load(&mut user, at + PAGE), Ok(b'x'));
    store(&mut user, at + PAGE, b'y').unwrap();
    // Without a load before it.
    store(&mut user, at + 2 * PAGE, b'z').unwrap();
    assert_eq!(load(&mut user, at + 2 * PAGE + 1), Ok(3));
    assert_eq!(byte_of_file(&world, file, PAGE), b'x');
    assert_eq!(byte_of_file(&world, file, 2 * PAGE), 3);
    assert_eq!(load(&mut user, at + 3 * PAGE + 9), Ok(4));
    assert_eq!(load(&mut user, at + 3 * PAGE + 10), Ok(0), "behind the end");
    let rss = |kind: RssStat| user.mm_struct().rss[kind as usize].load(Relaxed);
    // The first and the last one; the load of the last one found the first in the cache.
    assert_eq!((rss(RssStat::File), rss(RssStat::Anon)), (2, 2));
    let beyond = at + 4 * PAGE;
    assert_eq!(load(&mut user, beyond), Err(FaultSignal::BusAdrErr(beyond)));
    assert_eq!(FaultSignal::BusAdrErr(beyond).signo(), 7);
    check(world.mm(), &mut [&mut user]);
    user.madvise(at, 6 * PAGE, MADV_DONTNEED).unwrap();
    assert_eq!(load(&mut user, at + PAGE), Ok(b'x'), "the copy is gone");
    check(world.mm(), &mut [&mut user]);
    // The mapping has a reference of its own.
    world.mm().file_put(file);
    assert_eq!(load(&mut user, at), Ok(1));
    user.munmap(at + PAGE, PAGE).unwrap();
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn shared_pages_are_the_file_s() {
    let world = World::new();
    let (mut a, mut b) = (world.user(), world.user());
    let file = file(&world);
    let at_a = map(&mut a, file, MapFlags::SHARED, RW).unwrap();
    let at_b = map(&mut b, file, MapFlags::SHARED, Prot::READ).unwrap();
    assert_eq!(load(&mut a, at_a), Ok(1));
    store(&mut a, at_a, 77).unwrap();
    assert_eq!(byte_of_file(&world, file, 0), 77);
    switch(world.mm().machine());
    assert_eq!(load(&mut b, at_b), Ok(77));
    assert_eq!(store(&mut b, at_b, 1), Err(FaultSignal::AccErr(at_b)));
    check(world.mm(), &mut [&mut b, &mut a]);
    assert_eq!(
        a.msync(at_a, 6 * PAGE, pagelab_abi::mman::MsyncFlags::SYNC),
        Ok(())
    );
    // Shorter, while both map it.
    world.mm().truncate(file, PAGE).unwrap();
    let gone = at_b + PAGE;
    assert_eq!(load(&mut b, gone), Err(FaultSignal::BusAdrErr(gone)));
    check(world.mm(), &mut [&mut b, &mut a]);
    // And a hole, through a mapping.
    world.mm().truncate(file, 2 * PAGE).unwrap();
    switch(world.mm().machine());
    store(&mut a, at_a + PAGE, 5).unwrap();
    let nrpages = world.mm().file_nrpages(file);
    a.madvise(at_a, PAGE, MADV_REMOVE).unwrap();
    assert_eq!(world.mm().file_nrpages(file), nrpages - 1);
    assert_eq!(load(&mut a, at_a), Ok(0));
    assert_eq!(load(&mut a, at_a + PAGE), Ok(5));
    assert_eq!(b.madvise(at_b, PAGE, MADV_REMOVE), Err(Errno::EACCES));
    check(world.mm(), &mut [&mut a, &mut b]);
    world.mm().file_put(file);
}

#[test]
fn shared_anonymous_memory_is_one_for_parent_and_child() {
    let world = World::new();
    let mut parent = world.user();
    let request = MmapRequest {
        flags: MapFlags::SHARED | MapFlags::ANONYMOUS,
        ..MmapRequest::anonymous(4 * PAGE, RW)
    };
    let at = parent.mmap(&request).unwrap();
    store(&mut parent, at, 1).unwrap();
    let mut child = parent.fork().unwrap();
    switch(world.mm().machine());
    assert_eq!(load(&mut child, at), Ok(1));
    store(&mut child, at + PAGE, 2).unwrap();
    check(world.mm(), &mut [&mut child, &mut parent]);
    switch(world.mm().machine());
    assert_eq!(load(&mut parent, at + PAGE), Ok(2));
    let rss = parent.mm_struct().rss[RssStat::Shmem as usize].load(Relaxed);
    assert_eq!(rss, 2);
    // Its size is what it was made with.
    let flags = pagelab_abi::mman::MremapFlags::MAYMOVE;
    let at = parent.mremap(at, 4 * PAGE, 6 * PAGE, flags, 0).unwrap();
    assert_eq!(load(&mut parent, at + PAGE), Ok(2));
    let beyond = at + 4 * PAGE;
    assert_eq!(
        store(&mut parent, beyond, 1),
        Err(FaultSignal::BusAdrErr(beyond))
    );
    assert_eq!(
        parent.madvise(at, PAGE, MADV_WIPEONFORK),
        Err(Errno::EINVAL)
    );
    check(world.mm(), &mut [&mut parent, &mut child]);
}

#[test]
fn the_descriptor_s_rights_bound_the_mapping_s() {
    let world = World::new();
    let mut user = world.user();
    let file = file(&world);
    let mut request = MmapRequest::of_file(PAGE, RW, MapFlags::SHARED, file, 0);
    let mut ask = |may_read, may_write, prot, kind| {
        let mapping = request.file.as_mut().unwrap();
        (mapping.may_read, mapping.may_write) = (may_read, may_write);
        (request.prot, request.flags) = (prot, kind);
        user.mmap(&request)
    };
    assert_eq!(ask(true, false, RW, MapFlags::SHARED), Err(Errno::EACCES));
    assert_eq!(ask(false, true, RW, MapFlags::SHARED), Err(Errno::EACCES));
    assert_eq!(ask(false, true, RW, MapFlags::PRIVATE), Err(Errno::EACCES));
    let grows = MapFlags::PRIVATE | MapFlags::GROWSDOWN;
    assert_eq!(ask(true, true, RW, grows), Err(Errno::EINVAL));
    ask(true, false, RW, MapFlags::PRIVATE).unwrap();
    let at = ask(true, false, Prot::READ, MapFlags::SHARED).unwrap();
    assert_eq!(load(&mut user, at), Ok(1));
    assert_eq!(user.mprotect(at, PAGE, RW), Err(Errno::EACCES));
    assert_eq!(user.mprotect(at, PAGE, Prot::READ | Prot::EXEC), Ok(()));
    request = MmapRequest::of_file(PAGE, RW, MapFlags::SHARED, file, u64::MAX);
    assert_eq!(user.mmap(&request), Err(Errno::EOVERFLOW));
    request.flags = MapFlags::from_bits_retain(3 | 1 << 30);
    request.file.as_mut().unwrap().pgoff = 0;
    assert_eq!(user.mmap(&request), Err(Errno::EOPNOTSUPP));
    check(world.mm(), &mut [&mut user]);
    world.mm().file_put(file);
}

#[test]
fn parts_of_one_file_join_and_count_one_reference_each() {
    let world = World::new();
    let mut user = world.user();
    let file = file(&world);
    let base = 0x40_0000;
    for page in [0, 2, 1] {
        let request = MmapRequest::of_file(PAGE, Prot::READ, MapFlags::PRIVATE, file, page);
        user.mmap(&request.fixed(base + page * PAGE)).unwrap();
    }
    assert_eq!(user.tree().len(), 1);
    assert_eq!(world.mm().file_count(file), 2);
    user.mprotect(base + PAGE, PAGE, RW).unwrap();
    assert_eq!(world.mm().file_count(file), 4);
    let child = user.fork().unwrap();
    assert_eq!(world.mm().file_count(file), 7);
    child.destroy();
    user.munmap(base + PAGE, PAGE).unwrap();
    assert_eq!(world.mm().file_count(file), 3);
    user.destroy();
    assert_eq!(world.mm().file_count(file), 1);
    world.mm().file_put(file);
}
