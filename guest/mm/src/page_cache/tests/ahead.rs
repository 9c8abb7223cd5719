//! Pages that come before they are asked for.

use super::{PAGE, check, frames, stores::World};
use crate::{
    FileId,
    page_cache::{FileError, RA_PAGES, Reader},
};
use core::ops::Range;
use pagelab_abi::{page_cache::FileRa, vmstat::VmEvent};
use std::vec::Vec;

/// Pages of the file of most tests.
const PAGES: u64 = 200;

/// A file whose pages have their numbers in them.
fn file(world: &World, pages: u64) -> FileId {
    for page in 0..pages {
        world.store.set(1, page, &[page as u8; 8]);
    }
    world.file(1, pages * PAGE as u64)
}

const fn reader(ra: &FileRa) -> Reader<'_> {
    Reader {
        ra,
        ra_pages: RA_PAGES,
        random: false,
        noreuse: false,
    }
}

/// Reads whole pages in one call, checks what they say, and returns which ones the store had to give.
fn read(world: &World, reader: &Reader<'_>, file: FileId, pages: Range<u64>) -> Vec<u64> {
    let mut bytes = std::vec![0; (pages.end - pages.start) as usize * PAGE];
    let (at, len) = (pages.start * PAGE as u64, bytes.len());
    let done = world
        .mm
        .file_read_by(reader, file, at, &mut bytes, len as u64);
    assert_eq!(done, Ok(len));
    for (page, bytes) in pages.zip(bytes.chunks(PAGE)) {
        assert_eq!(bytes[..8], [page as u8; 8], "page {page}");
    }
    check(world.mm);
    world
        .store
        .take_reads()
        .into_iter()
        .map(|(_, page)| page)
        .collect()
}

fn list(pages: Range<u64>) -> Vec<u64> {
    pages.collect()
}

#[test]
fn windows_of_a_sequential_reader_double_and_come_before_it() {
    let world = World::new(0);
    let file = file(&world, PAGES);
    let ra = FileRa::new();
    let reader = reader(&ra);
    let mut asked = Vec::new();
    for page in 0..100 {
        let read = read(&world, &reader, file, page..page + 1);
        if !read.is_empty() {
            asked.push((page, read[0]..read[read.len() - 1] + 1));
            assert_eq!(read, list(asked.last().unwrap().1.clone()));
        }
    }
    // At the second page of four the next eight, and then each time the reader comes to a window.
    assert_eq!(
        asked,
        [
            (0, 0..4),
            (1, 4..12),
            (4, 12..28),
            (12, 28..60),
            (28, 60..92),
            (60, 92..124),
            (92, 124..156)
        ]
    );
    assert_eq!(world.mm.event_count(VmEvent::Pgpgin), 156 * 4);
    // To the end, and not behind it.
    let rest = read(&world, &reader, file, 100..PAGES);
    assert_eq!(rest, list(156..PAGES));
    assert_eq!(read(&world, &reader, file, 0..PAGES), []);
    world.mm.file_put(file);
}

#[test]
fn small_reads_here_and_there_read_what_they_ask_for() {
    let world = World::new(0);
    let file = file(&world, PAGES);
    let ra = FileRa::new();
    let reader = reader(&ra);
    for page in [150, 20, 90, 33] {
        assert_eq!(read(&world, &reader, file, page..page + 1), [page]);
    }
    // Two pages one after the other are a beginning.
    assert_eq!(read(&world, &reader, file, 34..35), list(34..38));
    // Large reads are.
    assert_eq!(
        read(&world, &reader, file, 100..140),
        list(100..150)
            .into_iter()
            .chain(151..196)
            .collect::<Vec<_>>()
    );
    world.mm.file_put(file);
}

#[test]
fn two_who_take_turns_on_one_descriptor_are_found_out() {
    let world = World::new(0);
    let file = file(&world, PAGES);
    let ra = FileRa::new();
    let reader = reader(&ra);
    let mut requests = 0;
    for step in 0..40 {
        for start in [10, 110] {
            let page = start + step;
            requests += u32::from(!read(&world, &reader, file, page..page + 1).is_empty());
        }
    }
    assert!(requests < 30, "{requests} requests for 80 pages");
    world.mm.file_put(file);
}

#[test]
fn advice_changes_the_window() {
    let world = World::new(0);
    let file = file(&world, PAGES);
    let ra = FileRa::new();
    let random = Reader {
        random: true,
        ..reader(&ra)
    };
    for page in 0..3 {
        assert_eq!(read(&world, &random, file, page..page + 1), [page]);
    }
    assert_eq!(read(&world, &random, file, 10..13), list(10..13));
    let none = Reader {
        ra_pages: 0,
        ..reader(&ra)
    };
    assert_eq!(read(&world, &none, file, 3..5), [3, 4]);
    let twice = Reader {
        ra_pages: 2 * RA_PAGES,
        ..reader(&ra)
    };
    assert_eq!(read(&world, &twice, file, 20..90), list(20..PAGES));
    world.mm.file_put(file);
}

#[test]
fn what_a_program_will_need_is_read() {
    let world = World::new(0);
    let file = self::file(&world, PAGES);
    world.mm.file_willneed(file, 160, 10);
    world.mm.file_willneed(file, 165, 10);
    world.mm.file_willneed(file, PAGES - 3, u64::MAX);
    let willneed: Vec<u64> = world
        .store
        .take_reads()
        .into_iter()
        .map(|(_, page)| page)
        .collect();
    assert_eq!(willneed, [list(160..175), list(PAGES - 3..PAGES)].concat());
    world.mm.file_willneed(file, PAGES + 5, 7);
    assert_eq!(world.store.take_reads(), []);
    let ram = world.mm.file_new().unwrap();
    world.mm.file_set_size(ram, 10 * PAGE as u64).unwrap();
    world.mm.file_willneed(ram, 0, 10);
    assert_eq!(world.mm.file_nrpages(ram), 0);
    world.mm.file_put(ram);
    world.mm.file_put(file);
    check(world.mm);
}

#[test]
fn failures_are_silent_unless_the_page_is_asked_for() {
    let world = World::new(0);
    let before = frames(world.mm);
    let file = file(&world, PAGES);
    let ra = FileRa::new();
    let reader = reader(&ra);
    // The third of four pages: the two before it stay.
    world.store.fail_from(3, 1, FileError::Io);
    assert_eq!(read(&world, &reader, file, 0..1), [0, 1, 2]);
    assert_eq!(world.mm.file_nrpages(file), 2);
    // When it is asked for it can be read.
    assert_eq!(read(&world, &reader, file, 1..3)[0], 4, "the next window");
    // It is asked for, in vain ahead and in vain alone.
    let mut byte = [0];
    world.store.fail_from(1, 2, FileError::Io);
    let at = 60 * PAGE as u64;
    let done = world.mm.file_read_by(&reader, file, at, &mut byte, 1);
    assert_eq!(done, Err(FileError::Io));
    assert_eq!(
        world.mm.file_read_by(&reader, file, at, &mut byte, 1),
        Ok(1)
    );
    assert_eq!(byte, [60]);
    check(world.mm);
    world.mm.file_put(file);
    world.mm.slab().shrink_all(u64::MAX);
    assert_eq!(frames(world.mm), before);
}

#[test]
fn a_page_that_is_read_twice_is_active() {
    let world = World::new(0);
    let file = file(&world, 8);
    let (ra, other) = (FileRa::new(), FileRa::new());
    let active = || world.mm.event_count(VmEvent::Pgactivate);
    // A page read in small pieces is read once.
    let mut bytes = [0; 512];
    for at in (0..PAGE as u64).step_by(512) {
        assert_eq!(
            world
                .mm
                .file_read_by(&reader(&ra), file, at, &mut bytes, 512),
            Ok(512)
        );
    }
    assert_eq!(active(), 0);
    read(
        &world,
        &Reader {
            noreuse: true,
            ..reader(&other)
        },
        file,
        0..8,
    );
    assert_eq!(active(), 0);
    read(&world, &reader(&other), file, 0..8);
    assert_eq!(active(), 1);
    read(&world, &reader(&ra), file, 1..8);
    assert_eq!(active(), 8);
    check(world.mm);
    world.mm.file_put(file);
}
