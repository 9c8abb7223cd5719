//! Shared memory that goes to swap, and all calls that meet it there.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use crate::{
    page_cache::{FileError, FileId},
    testing::TestMachine,
    user_mm::UserMm,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    lru::LruList,
    mm_struct::RssStat,
    mman::{MADV_PAGEOUT, MADV_REMOVE, MADV_WILLNEED, MapFlags},
    vmstat::{NodeStat, VmEvent},
};

const AT: u64 = 0x40_0000;
const PAGES: u64 = 4;

/// A program that maps a file of shared memory with content in all pages, the file's reference being
/// the caller's.
fn filled(world: &World) -> (UserMm<TestMachine>, FileId) {
    let mm = world.mm();
    let file = mm.file_new_shmem().unwrap();
    for page in 0..PAGES {
        let bytes = [1 + page as u8; PAGE as usize];
        mm.file_write(file, page * PAGE, &bytes).unwrap();
    }
    let mut user = world.user();
    switch(mm.machine());
    let request = MmapRequest::of_file(PAGES * PAGE, RW, MapFlags::SHARED, file, 0);
    user.mmap(&request.fixed(AT)).unwrap();
    content(&mut user);
    (user, file)
}

fn content(user: &mut UserMm<TestMachine>) {
    for page in 0..PAGES {
        let at = AT + page * PAGE + 7;
        assert_eq!(load(user, at), Ok(1 + page as u8), "{page}");
    }
}

/// Everything that must hold.
fn sound(world: &World, users: &mut [&mut UserMm<TestMachine>]) {
    check(world.mm(), users);
    let report = &mut |violation| panic!("{violation}");
    world.mm().validate_page_cache(report);
}

fn page_out(world: &World, user: &mut UserMm<TestMachine>, file: FileId) {
    user.madvise(AT, PAGES * PAGE, MADV_PAGEOUT).unwrap();
    let mm = world.mm();
    assert_eq!(
        (mm.file_nrpages(file), mm.file_nr_swapped(file)),
        (0, PAGES)
    );
    assert_eq!((shmem_rss(user), user.swapped()), (0, 0));
    assert_eq!(mm.node_stat(NodeStat::Shmem), 0);
    sound(world, &mut [user]);
}

fn shmem_rss(user: &UserMm<TestMachine>) -> u64 {
    user.mm_struct().rss[RssStat::Shmem as usize].load(Relaxed)
}

fn free(world: &World) -> u64 {
    world.mm().swap_slots().1
}

#[test]
fn pages_go_out_and_come_back_for_all_who_map_them() {
    let world = World::with_swap(100);
    let mm = world.mm();
    let (mut user, file) = filled(&world);
    assert_eq!(mm.lru_pages(LruList::InactiveAnon), PAGES);
    store(&mut user, AT + 3, 9).unwrap();
    page_out(&world, &mut user, file);
    assert_eq!(free(&world), 99 - PAGES);
    let mut child = user.fork().unwrap();
    switch(mm.machine());
    // The page comes back for both, and its slot is free.
    assert_eq!(load(&mut child, AT + 3), Ok(9));
    assert_eq!((free(&world), child.major_faults()), (100 - PAGES, 1));
    assert_eq!(mm.event_count(VmEvent::Pgmajfault), 1);
    sound(&world, &mut [&mut child, &mut user]);
    store(&mut child, AT + 3, 10).unwrap();
    switch(mm.machine());
    assert_eq!(load(&mut user, AT + 3), Ok(10));
    assert_eq!(user.major_faults(), 0);
    content(&mut user);
    assert_eq!((shmem_rss(&user), mm.file_nr_swapped(file)), (PAGES, 0));
    assert_eq!(free(&world), 99);
    sound(&world, &mut [&mut user, &mut child]);
    child.destroy();
    user.destroy();
    mm.file_put(file);
}

#[test]
fn the_file_is_read_and_written_where_its_pages_are_in_swap() {
    let world = World::with_swap(100);
    let mm = world.mm();
    let (mut user, file) = filled(&world);
    page_out(&world, &mut user, file);
    let mut bytes = [0; 2];
    assert_eq!(mm.file_read(file, PAGE - 1, &mut bytes), Ok(2));
    assert_eq!(bytes, [1, 2]);
    // A part of a page leaves the rest of it.
    mm.file_write(file, 2 * PAGE, &[50]).unwrap();
    assert_eq!(load(&mut user, AT + 2 * PAGE), Ok(50));
    assert_eq!(load(&mut user, AT + 2 * PAGE + 1), Ok(3));
    assert_eq!((mm.file_nrpages(file), mm.file_nr_swapped(file)), (3, 1));
    sound(&world, &mut [&mut user]);
    user.destroy();
    mm.file_put(file);
    assert_eq!(free(&world), 99);
}

#[test]
fn a_shorter_file_a_hole_and_the_end_of_a_file_free_slots() {
    let world = World::with_swap(100);
    let mm = world.mm();
    let (mut user, file) = filled(&world);
    page_out(&world, &mut user, file);
    // The rest of the last page that stays becomes zeros, so it has to come in.
    mm.truncate(file, 2 * PAGE + 10).unwrap();
    assert_eq!((mm.file_nr_swapped(file), free(&world)), (2, 97));
    assert_eq!(load(&mut user, AT + 2 * PAGE + 9), Ok(3));
    assert_eq!(load(&mut user, AT + 2 * PAGE + 10), Ok(0));
    let behind = AT + 3 * PAGE;
    assert_eq!(load(&mut user, behind), Err(FaultSignal::BusAdrErr(behind)));
    sound(&world, &mut [&mut user]);
    user.madvise(AT + PAGE, PAGE, MADV_REMOVE).unwrap();
    assert_eq!((mm.file_nr_swapped(file), free(&world)), (1, 98));
    assert_eq!(load(&mut user, AT + PAGE), Ok(0));
    sound(&world, &mut [&mut user]);
    user.destroy();
    mm.file_put(file);
    assert_eq!(free(&world), 99);
}

#[test]
fn a_device_that_fails_loses_nothing() {
    let world = World::with_swap(100);
    let mm = world.mm();
    let disk = mm.machine().disk();
    let (mut user, file) = filled(&world);
    // A page that cannot be written stays.
    disk.fail_from(1, 3);
    user.madvise(AT, PAGE, MADV_PAGEOUT).unwrap();
    assert_eq!(
        (mm.file_nrpages(file), mm.file_nr_swapped(file)),
        (PAGES, 0)
    );
    sound(&world, &mut [&mut user]);
    content(&mut user);
    page_out(&world, &mut user, file);
    disk.fail_from(1, 2);
    assert_eq!(load(&mut user, AT), Err(FaultSignal::BusAdrErr(AT)));
    disk.fail_from(1, 2);
    assert_eq!(mm.file_read(file, 0, &mut [0]), Err(FileError::Io));
    disk.fail_from(1, 2);
    assert_eq!(mm.truncate(file, 10), Err(FileError::Io));
    assert_eq!(mm.file_nr_swapped(file), PAGES);
    sound(&world, &mut [&mut user]);
    content(&mut user);
    user.destroy();
    mm.file_put(file);
}

#[test]
fn without_memory_a_page_stays_in_swap() {
    let world = World::with_swap(100);
    let mm = world.mm();
    let (mut user, file) = filled(&world);
    page_out(&world, &mut user, file);
    let nth = &crate::machine::Machine::control(mm.machine())
        .fail_page_alloc
        .nth;
    nth.store(1, Relaxed);
    assert_eq!(load(&mut user, AT), Err(FaultSignal::Oom));
    assert_eq!(
        (mm.file_nr_swapped(file), free(&world)),
        (PAGES, 99 - PAGES)
    );
    sound(&world, &mut [&mut user]);
    content(&mut user);
    user.destroy();
    mm.file_put(file);
}

#[test]
fn mincore_and_locks_know_shared_pages_in_swap() {
    let world = World::with_swap(100);
    let (mut user, file) = filled(&world);
    page_out(&world, &mut user, file);
    let vec = 0x80_0000;
    user.mmap(&MmapRequest::anonymous(PAGE, RW).fixed(vec))
        .unwrap();
    load(&mut user, AT + PAGE).unwrap();
    user.mincore(AT, PAGES * PAGE, vec).unwrap();
    let mut bytes = [9; PAGES as usize];
    user.read(vec, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 1, 0, 0]);
    // Locked, they come in and stay.
    user.mlock(AT, PAGES * PAGE, 0).unwrap();
    assert_eq!(world.mm().lru_pages(LruList::Unevictable), PAGES);
    sound(&world, &mut [&mut user]);
    user.munlock(AT, PAGES * PAGE).unwrap();
    assert_eq!(world.mm().lru_pages(LruList::Unevictable), 0);
    page_out(&world, &mut user, file);
    user.madvise(AT, PAGES * PAGE, MADV_WILLNEED).unwrap();
    content(&mut user);
    user.destroy();
    world.mm().file_put(file);
}

#[test]
fn more_shared_memory_than_there_is_ram() {
    let world = World::of_size(16, 10_000);
    let mm = world.mm();
    let pages = 6000u64;
    let mut user = world.user();
    switch(mm.machine());
    let request = MmapRequest {
        flags: MapFlags::SHARED | MapFlags::ANONYMOUS,
        ..MmapRequest::anonymous(pages * PAGE, RW)
    };
    user.mmap(&request.fixed(AT)).unwrap();
    for page in 0..pages {
        let bytes = (page * 0x9e37_79b9).to_le_bytes();
        user.write(AT + page * PAGE, &bytes).unwrap();
    }
    let mut child = user.fork().unwrap();
    for page in (0..pages).rev() {
        let mut bytes = [0; 8];
        child.read(AT + page * PAGE, &mut bytes).unwrap();
        assert_eq!(u64::from_le_bytes(bytes), page * 0x9e37_79b9, "{page}");
    }
    assert!(mm.event_count(VmEvent::Pswpout) > pages / 4);
    assert!(mm.event_count(VmEvent::Pswpin) > pages / 4);
    sound(&world, &mut [&mut user, &mut child]);
    child.destroy();
    user.destroy();
}
