//! Mappings of files that have a store: what is stored through them makes pages dirty, once each time
//! they have been written.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use crate::{
    page_cache::{FILE_GFP, FileError, FileId, Pageout},
    testing::{TestMachine, TestStore},
    user_mm::UserMm,
};
use pagelab_abi::{
    errno::Errno,
    mman::{MADV_REMOVE, MapFlags, MsyncFlags, Prot},
    vmstat::NodeStat,
};
use std::boxed::Box;

/// A file of four pages in a store with room for six.
fn file(world: &World) -> (FileId, &'static TestStore) {
    let stored: &'static TestStore = Box::leak(Box::new(TestStore::new(6)));
    let id = world.mm().register_store(stored).unwrap();
    for page in 0..3 {
        stored.set(1, page, &[page as u8 + 1; PAGE as usize]);
    }
    let file = world.mm().file_with_store(id, 1, 4 * PAGE).unwrap();
    (file, stored)
}

fn map(user: &mut UserMm<TestMachine>, file: FileId, kind: MapFlags, prot: Prot) -> u64 {
    let request = MmapRequest::of_file(6 * PAGE, prot, kind, file, 0);
    user.mmap(&request).unwrap()
}

fn dirty(world: &World) -> i64 {
    world.mm().node_stat(NodeStat::FileDirty)
}

fn check_all(world: &World, users: &mut [&mut UserMm<TestMachine>]) {
    check(world.mm(), users);
    let mut found = std::vec::Vec::new();
    world.mm().validate_page_cache(&mut |it| found.push(it));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_first_store_after_each_writing_makes_a_page_dirty() {
    let world = World::new();
    let (mut a, mut b) = (world.user(), world.user());
    let (file, stored) = file(&world);
    let at_a = map(&mut a, file, MapFlags::SHARED, RW);
    let at_b = map(&mut b, file, MapFlags::SHARED, RW);
    assert_eq!(load(&mut a, at_a), Ok(1));
    assert_eq!(dirty(&world), 0, "reading makes nothing dirty");
    store(&mut a, at_a, 10).unwrap();
    assert_eq!(dirty(&world), 1);
    store(&mut a, at_a + PAGE, 20).unwrap();
    assert_eq!(dirty(&world), 2, "without reading it before");
    switch(world.mm().machine());
    store(&mut b, at_b + 1, 11).unwrap();
    assert_eq!(dirty(&world), 2);
    check_all(&world, &mut [&mut b, &mut a]);
    assert_eq!(b.msync(at_b, PAGE, MsyncFlags::SYNC), Ok(()));
    assert_eq!(stored.take_writes(), [(1, 0)]);
    assert_eq!(stored.get(1, 0).unwrap()[..3], [10, 11, 1]);
    assert_eq!(dirty(&world), 1);
    // Both entries have lost the right to store.
    store(&mut b, at_b, 12).unwrap();
    assert_eq!(dirty(&world), 2);
    world.mm().sync_files().unwrap();
    assert_eq!(dirty(&world), 0);
    switch(world.mm().machine());
    assert_eq!(load(&mut a, at_a), Ok(12));
    store(&mut a, at_a, 13).unwrap();
    assert_eq!(dirty(&world), 1);
    // Nor do other rights give it back.
    world.mm().sync_files().unwrap();
    a.mprotect(at_a, PAGE, Prot::READ).unwrap();
    a.mprotect(at_a, PAGE, RW).unwrap();
    store(&mut a, at_a, 14).unwrap();
    assert_eq!(dirty(&world), 1);
    check_all(&world, &mut [&mut a, &mut b]);
    world.mm().sync_files().unwrap();
    assert_eq!(stored.get(1, 0).unwrap()[..3], [14, 11, 1]);
    // What the kernel stores for a program counts as well.
    a.write(at_a + 2 * PAGE, b"kernel").unwrap();
    assert_eq!(dirty(&world), 1);
    a.destroy();
    assert_eq!(dirty(&world), 1, "it outlives the mapping");
    world.mm().sync_files().unwrap();
    assert_eq!(stored.get(1, 2).unwrap()[..6], *b"kernel");
    check_all(&world, &mut [&mut b]);
    world.mm().file_put(file);
}

#[test]
fn private_copies_make_nothing_dirty() {
    let world = World::new();
    let mut user = world.user();
    let (file, stored) = file(&world);
    let at = map(&mut user, file, MapFlags::PRIVATE, RW);
    store(&mut user, at, 9).unwrap();
    assert_eq!(load(&mut user, at + PAGE), Ok(2));
    store(&mut user, at + PAGE, 9).unwrap();
    assert_eq!(dirty(&world), 0);
    assert_eq!(user.msync(at, 4 * PAGE, MsyncFlags::SYNC), Ok(()));
    assert!(stored.take_writes().is_empty());
    check_all(&world, &mut [&mut user]);
    world.mm().file_put(file);
}

#[test]
fn a_page_that_the_store_does_not_give_is_a_sigbus() {
    let world = World::new();
    let mut user = world.user();
    let (file, stored) = file(&world);
    let at = map(&mut user, file, MapFlags::SHARED, RW);
    let bus = FaultSignal::BusAdrErr;
    // In vain with its neighbours, and in vain alone.
    stored.fail_from(1, 2, FileError::Io);
    assert_eq!(load(&mut user, at + 5), Err(bus(at + 5)));
    assert_eq!(
        load(&mut user, at + 5),
        Ok(1),
        "the second time it can be read"
    );
    // Room for six: three pages that there are, and three more.
    let other = world
        .mm()
        .file_with_store(world.mm().register_store(stored).unwrap(), 2, 4 * PAGE);
    let other = other.unwrap();
    let there = map(&mut user, other, MapFlags::SHARED, RW);
    for page in 0..3 {
        store(&mut user, there + page * PAGE, 1).unwrap();
    }
    let full = there + 3 * PAGE;
    assert_eq!(load(&mut user, full), Ok(0), "a hole can be read");
    assert_eq!(store(&mut user, full + 7, 1), Err(bus(full + 7)));
    assert_eq!(store(&mut user, at + 3 * PAGE, 1), Err(bus(at + 3 * PAGE)));
    assert_eq!(load(&mut user, full), Ok(0));
    check_all(&world, &mut [&mut user]);
    world.mm().file_put(file);
    world.mm().file_put(other);
}

#[test]
fn errors_of_writing_reach_msync() {
    let world = World::new();
    let mut user = world.user();
    let (file, stored) = file(&world);
    let at = map(&mut user, file, MapFlags::SHARED, RW);
    for page in 0..3 {
        store(&mut user, at + page * PAGE, 7).unwrap();
    }
    stored.fail_from(2, 1, FileError::Io);
    let sync = |user: &mut UserMm<TestMachine>| user.msync(at, 4 * PAGE, MsyncFlags::SYNC);
    assert_eq!(sync(&mut user), Err(Errno::EIO));
    assert_eq!(sync(&mut user), Ok(()));
    assert_eq!(stored.get(1, 2).unwrap()[0], 7);
    assert_eq!(load(&mut user, at + PAGE), Ok(7), "it is still there");
    let removed = user.madvise(at, PAGE, MADV_REMOVE);
    assert_eq!(removed, Err(Errno::EOPNOTSUPP));
    check_all(&world, &mut [&mut user]);
    world.mm().file_put(file);
}

#[test]
fn truncation_takes_dirty_pages_out_of_mappings() {
    let world = World::new();
    let mut user = world.user();
    let (file, stored) = file(&world);
    let at = map(&mut user, file, MapFlags::SHARED, RW);
    for page in 0..4 {
        store(&mut user, at + page * PAGE, 7).unwrap();
    }
    assert_eq!(dirty(&world), 4);
    world.mm().truncate(file, PAGE + 1).unwrap();
    assert_eq!((dirty(&world), stored.used()), (2, 2));
    let gone = at + 2 * PAGE;
    assert_eq!(store(&mut user, gone, 1), Err(FaultSignal::BusAdrErr(gone)));
    // What is stored behind the file's end within its last page does not get into the store.
    store(&mut user, at + PAGE + 9, 99).unwrap();
    world.mm().sync_files().unwrap();
    assert_eq!(
        stored.get(1, 1).unwrap()[..10],
        [7, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    check_all(&world, &mut [&mut user]);
    // Reclaim lets alone what is mapped.
    let pfn = world
        .mm()
        .file_page(file, 0, false, FILE_GFP)
        .unwrap()
        .unwrap();
    assert_eq!(world.mm().pageout_file(pfn), Pageout::Keep);
    world.mm().put_page(pfn);
    world.mm().file_put(file);
}
