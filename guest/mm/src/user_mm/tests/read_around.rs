//! Faults on mapped files read around them, and ahead of who goes through them.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store},
    oracle::check,
};
use crate::{
    FileId,
    page_cache::FileError,
    testing::{TestMachine, TestStore},
    user_mm::UserMm,
};
use pagelab_abi::{
    mman::{MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MapFlags},
    vmstat::VmEvent,
};
use std::{boxed::Box, vec::Vec};

const PAGES: u64 = 160;

/// A file that is mapped.
struct Mapped {
    stored: &'static TestStore,
    file: FileId,
    at: u64,
}

fn map(world: &World, user: &mut UserMm<TestMachine>) -> Mapped {
    let stored: &'static TestStore = Box::leak(Box::new(TestStore::new(0)));
    for page in 0..PAGES {
        stored.set(1, page, &[page as u8; 3]);
    }
    let id = world.mm().register_store(stored).unwrap();
    let file = world.mm().file_with_store(id, 1, PAGES * PAGE).unwrap();
    let request = MmapRequest::of_file(PAGES * PAGE, RW, MapFlags::SHARED, file, 0);
    let at = user.mmap(&request).unwrap();
    Mapped { stored, file, at }
}

impl Mapped {
    /// Loads from a page, and tells which pages the store had to give for that.
    fn load(&self, user: &mut UserMm<TestMachine>, page: u64) -> Vec<u64> {
        assert_eq!(load(user, self.at + page * PAGE), Ok(page as u8));
        self.reads()
    }

    fn reads(&self) -> Vec<u64> {
        self.stored
            .take_reads()
            .into_iter()
            .map(|(_, page)| page)
            .collect()
    }
}

fn list(pages: core::ops::Range<u64>) -> Vec<u64> {
    pages.collect()
}

#[test]
fn a_fault_reads_around_it_and_one_at_the_marker_ahead() {
    let world = World::new();
    let mut user = world.user();
    let mapped = map(&world, &mut user);
    assert_eq!(mapped.load(&mut user, 60), list(44..76));
    assert_eq!((user.major_faults(), user.faults()), (1, 0));
    assert_eq!(world.mm().event_count(VmEvent::Pgmajfault), 1);
    for page in 61..68 {
        assert_eq!(mapped.load(&mut user, page), [], "page {page}");
    }
    // The marker: a quarter of the window is left.
    assert_eq!(mapped.load(&mut user, 68), list(76..108));
    for page in 69..76 {
        assert_eq!(mapped.load(&mut user, page), []);
    }
    assert_eq!(mapped.load(&mut user, 76), list(108..140));
    assert_eq!(user.major_faults(), 1, "all the others were there");
    assert!(user.faults() < 16, "{} faults for 17 pages", user.faults());
    // Near the ends.
    assert_eq!(mapped.load(&mut user, 2), list(0..32));
    assert_eq!(mapped.load(&mut user, PAGES - 1), list(PAGES - 17..PAGES));
    check(world.mm(), &mut [&mut user]);
    world.mm().file_put(mapped.file);
}

#[test]
fn advice_says_how_an_area_is_read() {
    let world = World::new();
    let mut user = world.user();
    let mapped = map(&world, &mut user);
    let all = PAGES * PAGE;
    user.madvise(mapped.at, all, MADV_RANDOM).unwrap();
    assert_eq!(mapped.load(&mut user, 60), [60]);
    assert_eq!(mapped.load(&mut user, 61), [61]);
    user.madvise(mapped.at, all, MADV_SEQUENTIAL).unwrap();
    let read = mapped.load(&mut user, 100);
    assert_eq!(read, list(100..132), "nothing before it");
    user.madvise(mapped.at, all, MADV_NORMAL).unwrap();
    assert_eq!(mapped.load(&mut user, 20), list(4..36));
    user.madvise(mapped.at + 140 * PAGE, 7 * PAGE, MADV_WILLNEED)
        .unwrap();
    assert_eq!(mapped.reads(), list(140..147));
    let faults = user.major_faults();
    assert_eq!(mapped.load(&mut user, 143), []);
    assert_eq!(user.major_faults(), faults);
    check(world.mm(), &mut [&mut user]);
    world.mm().file_put(mapped.file);
}

#[test]
fn a_mapping_that_is_read_here_and_there_gives_up_reading_around() {
    let world = World::new();
    let mut user = world.user();
    let mapped = map(&world, &mut user);
    // Whatever comes is dropped at once, so that each fault misses.
    for round in 0..101 {
        let page = (round * 37) % PAGES;
        let read = mapped.load(&mut user, page);
        assert_eq!(read.len() > 1, round < 100, "round {round}");
        user.munmap(mapped.at, PAGES * PAGE).unwrap();
        world.mm().file_set_size(mapped.file, 0).unwrap();
        world.mm().file_set_size(mapped.file, PAGES * PAGE).unwrap();
        for page in 0..PAGES {
            mapped.stored.set(1, page, &[page as u8; 3]);
        }
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        let request = MmapRequest {
            addr: mapped.at,
            ..MmapRequest::of_file(PAGES * PAGE, RW, flags, mapped.file, 0)
        };
        user.mmap(&request).unwrap();
    }
    check(world.mm(), &mut [&mut user]);
    world.mm().file_put(mapped.file);
}

#[test]
fn a_store_to_a_new_page_reads_around_as_well_and_errors_belong_to_their_page() {
    let world = World::new();
    let mut user = world.user();
    let mapped = map(&world, &mut user);
    // The seventeenth request is the page itself, which then fails again alone.
    mapped.stored.fail_from(17, 2, FileError::Io);
    let addr = mapped.at + 50 * PAGE + 3;
    assert_eq!(load(&mut user, addr), Err(FaultSignal::BusAdrErr(addr)));
    assert_eq!(mapped.reads(), [list(34..51), list(50..51)].concat());
    store(&mut user, addr, 9).unwrap();
    assert_eq!(
        mapped.reads(),
        [list(50..66)].concat(),
        "now it can be read"
    );
    assert_eq!(mapped.load(&mut user, 49), []);
    check(world.mm(), &mut [&mut user]);
    world.mm().file_put(mapped.file);
}
