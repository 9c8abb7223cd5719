//! Loads from pages of files map their neighbours.

use super::{
    MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use crate::{
    FileId, page_cache::FileError, testing::TestMachine, testing::TestStore, user_mm::UserMm,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    mm_struct::RssStat,
    mman::{MADV_DONTNEED, MADV_RANDOM, MapFlags, Prot},
    vmstat::NodeStat,
};
use std::{boxed::Box, vec::Vec};

/// A multiple of what a node of the tables maps.
const AT: u64 = 0x4000_0000;

/// A file of so many pages, all in the cache but for those of `holes`; each page has its number in it.
fn file(world: &World, pages: u64, holes: &[u64]) -> FileId {
    let file = world.mm().file_new().unwrap();
    for page in (0..pages).filter(|page| !holes.contains(page)) {
        world
            .mm()
            .file_write(file, page * PAGE, &[page as u8 + 1])
            .unwrap();
    }
    world.mm().file_set_size(file, pages * PAGE).unwrap();
    file
}

/// Maps pages of a file from `first` on at an address.
fn map(user: &mut UserMm<TestMachine>, at: u64, file: FileId, first: u64, pages: u64) {
    map_as(user, at, file, first, pages, MapFlags::SHARED);
}

fn map_as(
    user: &mut UserMm<TestMachine>,
    at: u64,
    file: FileId,
    first: u64,
    pages: u64,
    kind: MapFlags,
) {
    let flags = kind | MapFlags::FIXED;
    let request = MmapRequest {
        addr: at,
        ..MmapRequest::of_file(pages * PAGE, RW, flags, file, first)
    };
    assert_eq!(user.mmap(&request), Ok(at));
}

/// Pages of a range, by their number in it, that are mapped.
fn mapped(user: &UserMm<TestMachine>, at: u64, pages: u64) -> Vec<u64> {
    let is_mapped = |page: &u64| !user.tables().get(at + page * PAGE).is_none();
    (0..pages).filter(is_mapped).collect()
}

fn rss(user: &UserMm<TestMachine>) -> u64 {
    user.mm_struct().rss[RssStat::File as usize].load(Relaxed)
}

#[test]
fn a_load_maps_sixteen_cached_pages_and_allocates_none() {
    let world = World::new();
    let mut user = world.user();
    let file = file(&world, 64, &[18, 40]);
    map(&mut user, AT, file, 0, 64);
    let in_use = world.in_use();
    assert_eq!(load(&mut user, AT + 20 * PAGE), Ok(21));
    let expected: Vec<u64> = (16..32).filter(|page| *page != 18).collect();
    assert_eq!(mapped(&user, AT, 64), expected);
    assert_eq!(user.faults(), 1);
    assert_eq!(rss(&user), 15);
    assert_eq!(world.mm().node_stat(NodeStat::FileMapped), 15);
    // A node of each level, and not a page of the cache.
    assert_eq!(world.in_use() - in_use, 3);
    assert_eq!(world.mm().file_nrpages(file), 62);
    for page in expected {
        assert_eq!(load(&mut user, AT + page * PAGE), Ok(page as u8 + 1));
    }
    assert_eq!(user.faults(), 1);
    check(world.mm(), &mut [&mut user]);
    // A hole gets its page when it is asked for.
    assert_eq!(load(&mut user, AT + 18 * PAGE), Ok(0));
    assert_eq!((user.faults(), world.mm().file_nrpages(file)), (2, 63));
    // A store maps its own page alone.
    store(&mut user, AT + 50 * PAGE, 7).unwrap();
    assert_eq!(mapped(&user, AT + 32 * PAGE, 32), [18]);
    // What is mapped stays as it is.
    assert_eq!(load(&mut user, AT + 51 * PAGE), Ok(52));
    assert_eq!(load(&mut user, AT + 50 * PAGE), Ok(7));
    assert_eq!(
        mapped(&user, AT + 32 * PAGE, 32),
        (16..32).collect::<Vec<_>>()
    );
    check(world.mm(), &mut [&mut user]);
    world.mm().file_put(file);
}

#[test]
fn it_ends_with_the_area_the_file_and_the_node_of_the_tables() {
    let world = World::new();
    let mut user = world.user();
    let file = file(&world, 40, &[]);
    // The area begins in the middle of a window: sixteen pages from there, as Linux has it.
    map(&mut user, AT + 5 * PAGE, file, 3, 20);
    assert_eq!(load(&mut user, AT + 6 * PAGE), Ok(5));
    assert_eq!(mapped(&user, AT, 32), (5..21).collect::<Vec<_>>());
    assert_eq!(load(&mut user, AT + 24 * PAGE), Ok(23));
    assert_eq!(mapped(&user, AT, 32), (5..25).collect::<Vec<_>>());
    // The file's end is before the area's.
    let other = AT + (4 << 20);
    map(&mut user, other, file, 30, 16);
    assert_eq!(load(&mut user, other), Ok(31));
    assert_eq!(mapped(&user, other, 16), (0..10).collect::<Vec<_>>());
    // The window of sixteen pages would go on in the next node.
    let edge = AT + (8 << 20) - 3 * PAGE;
    map(&mut user, edge, file, 0, 16);
    assert_eq!(load(&mut user, edge + PAGE), Ok(2));
    assert_eq!(mapped(&user, edge, 16), [0, 1, 2]);
    check(world.mm(), &mut [&mut user]);
    world.mm().file_put(file);
}

#[test]
fn private_copies_stay_and_locked_areas_lock_what_comes() {
    let world = World::new();
    let mut user = world.user();
    let ram = file(&world, 16, &[]);
    map_as(&mut user, AT, ram, 0, 16, MapFlags::PRIVATE);
    store(&mut user, AT + 3 * PAGE, 99).unwrap();
    assert_eq!(load(&mut user, AT), Ok(1));
    assert_eq!(mapped(&user, AT, 16).len(), 16);
    assert_eq!((load(&mut user, AT + 3 * PAGE), rss(&user)), (Ok(99), 15));
    // Each of the others is copied when it is stored to.
    store(&mut user, AT + 4 * PAGE, 98).unwrap();
    let mut byte = [0];
    world.mm().file_read(ram, 4 * PAGE, &mut byte).unwrap();
    assert_eq!((byte, rss(&user)), ([5], 14));
    check(world.mm(), &mut [&mut user]);
    let stored: &'static TestStore = Box::leak(Box::new(TestStore::new(16)));
    let id = world.mm().register_store(stored).unwrap();
    let disk = world.mm().file_with_store(id, 1, 16 * PAGE).unwrap();
    for page in 0..16 {
        stored.set(1, page, &[page as u8; 10]);
        let page = world
            .mm()
            .file_page(disk, page, true, Gfp::HIGHUSER)
            .unwrap();
        world.mm().put_page(page.unwrap());
    }
    let there = AT + (2 << 20);
    map(&mut user, there, disk, 0, 16);
    user.mlock(there, 2 * PAGE, 0).unwrap();
    user.madvise(there + 2 * PAGE, 14 * PAGE, MADV_DONTNEED)
        .unwrap();
    assert_eq!(load(&mut user, there + 9 * PAGE), Ok(9));
    check(world.mm(), &mut [&mut user]);
    // A store to a page that was mapped by a load from another one makes it dirty.
    let dirty = || world.mm().node_stat(NodeStat::FileDirty);
    assert_eq!(dirty(), 0);
    store(&mut user, there + 12 * PAGE, 1).unwrap();
    assert_eq!(dirty(), 1);
    world.mm().sync_files().unwrap();
    assert_eq!(stored.get(1, 12).unwrap()[0], 1);
    user.munmap(there, 16 * PAGE).unwrap();
    check(world.mm(), &mut [&mut user]);
    world.mm().file_put(ram);
    world.mm().file_put(disk);
}

#[test]
fn two_programs_and_a_page_that_cannot_be_read() {
    let world = World::new();
    let (mut a, mut b) = (world.user(), world.user());
    let stored: &'static TestStore = Box::leak(Box::new(TestStore::new(16)));
    let id = world.mm().register_store(stored).unwrap();
    let file = world.mm().file_with_store(id, 1, 16 * PAGE).unwrap();
    map(&mut a, AT, file, 0, 16);
    map(&mut b, AT, file, 0, 16);
    // So that nothing is read but what is asked for.
    for user in [&mut a, &mut b] {
        user.madvise(AT, 16 * PAGE, MADV_RANDOM).unwrap();
    }
    for page in [1, 2, 5] {
        load(&mut a, AT + page * PAGE).unwrap();
    }
    switch(world.mm().machine());
    stored.fail_from(1, 1, FileError::Io);
    let bus = super::FaultSignal::BusAdrErr(AT);
    assert_eq!(load(&mut b, AT), Err(bus));
    // The others are there all the same.
    let there = mapped(&b, AT, 16);
    assert!([1, 2, 5].iter().all(|page| there.contains(page)) && !there.contains(&0));
    assert_eq!(load(&mut b, AT), Ok(0));
    check(world.mm(), &mut [&mut b, &mut a]);
    world.mm().truncate(file, 2 * PAGE).unwrap();
    assert_eq!(mapped(&b, AT, 16), [0, 1]);
    check(world.mm(), &mut [&mut b, &mut a]);
    let read_only = MmapRequest::of_file(2 * PAGE, Prot::READ, MapFlags::SHARED, file, 0);
    let at = b.mmap(&read_only).unwrap();
    load(&mut b, at).unwrap();
    check(world.mm(), &mut [&mut b, &mut a]);
    world.mm().file_put(file);
}
