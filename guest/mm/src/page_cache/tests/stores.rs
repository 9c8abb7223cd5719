//! Files with a store behind them.

use super::{PAGE, check, content, frames, mm, objects, references};
use crate::{
    FileId, Mm,
    page_cache::{FILE_GFP, FileError, Pageout},
    testing::{TestMachine, TestStore},
};
use core::sync::atomic::AtomicU32;
use pagelab_abi::{
    errno::Errno,
    page_cache::{TAG_DIRTY, TAG_ERROR},
    vmstat::{NodeStat, VmEvent},
};
use proptest::prelude::*;
use std::{boxed::Box, vec, vec::Vec};

/// A memory manager for one test, and a store with room for so many pages.
pub(super) struct World {
    owned: (*mut Mm<TestMachine>, *mut TestStore),
    pub(super) mm: &'static Mm<TestMachine>,
    pub(super) store: &'static TestStore,
    id: crate::page_cache::StoreId,
}

impl World {
    pub(super) fn new(room: usize) -> Self {
        let owned = (
            Box::into_raw(Box::new(mm())),
            Box::into_raw(Box::new(TestStore::new(room))),
        );
        // SAFETY: both live until this value is dropped, after all that a test makes of them.
        let (mm, store) = unsafe { (&*owned.0, &*owned.1) };
        let id = mm.register_store(store).unwrap();
        Self {
            owned,
            mm,
            store,
            id,
        }
    }

    pub(super) fn file(&self, host: u64, size: u64) -> FileId {
        self.mm.file_with_store(self.id, host, size).unwrap()
    }

    fn dirty(&self) -> i64 {
        self.mm.node_stat(NodeStat::FileDirty)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: made by `new`; nobody uses them any more.
        unsafe {
            drop(Box::from_raw(self.owned.0));
            drop(Box::from_raw(self.owned.1));
        }
    }
}

fn of_page(mm: &Mm<TestMachine>, file: FileId, index: u64, tag: usize) -> bool {
    mm.tree(file).has_tag(index, tag)
}

#[test]
fn pages_are_read_once_and_written_when_asked() {
    let world = World::new(100);
    let mm = world.mm;
    world.store.set(7, 0, &[1; PAGE]);
    world.store.set(7, 2, &[3; PAGE]);
    let file = world.file(7, 3 * PAGE as u64);
    let all = content(mm, file);
    assert_eq!((all[0], all[PAGE], all[2 * PAGE]), (1, 0, 3));
    assert_eq!(world.store.take_reads(), [(7, 0), (7, 1), (7, 2)]);
    content(mm, file);
    assert!(world.store.take_reads().is_empty());
    assert_eq!(mm.event_count(VmEvent::Pgpgin), 12);
    mm.file_write(file, PAGE as u64 + 5, b"new").unwrap();
    assert_eq!((world.dirty(), mm.file_nr_dirty(file)), (1, 1));
    assert!(of_page(mm, file, 1, TAG_DIRTY));
    mm.file_write(file, PAGE as u64, b"x").unwrap();
    assert_eq!(world.dirty(), 1, "dirty once");
    check(mm);
    assert!(world.store.take_writes().is_empty());
    assert_eq!(mm.sync_files(), Ok(()));
    assert_eq!(world.store.take_writes(), [(7, 1)]);
    assert_eq!(world.store.get(7, 1).unwrap()[5..8], *b"new");
    assert_eq!(world.dirty(), 0);
    let counts = [NodeStat::Dirtied, NodeStat::Written].map(|stat| mm.node_stat(stat));
    assert_eq!(counts, [1, 1]);
    assert_eq!(mm.event_count(VmEvent::Pgpgout), 4);
    assert_eq!(mm.sync_files(), Ok(()));
    assert!(world.store.take_writes().is_empty());
    check(mm);
}

#[test]
fn a_whole_page_is_written_without_reading_it() {
    let world = World::new(100);
    let file = world.file(1, 0);
    world
        .mm
        .file_write(file, 0, &vec![5; 2 * PAGE + 1])
        .unwrap();
    assert_eq!(world.store.take_reads(), [(1, 2)]);
    assert_eq!(world.mm.sync_files(), Ok(()));
    assert_eq!(world.store.get(1, 2).unwrap()[..2], [5, 0]);
    check(world.mm);
}

#[test]
fn a_page_that_cannot_be_read_is_not_in_the_cache() {
    let world = World::new(100);
    let mm = world.mm;
    world.store.set(1, 0, &[1; PAGE]);
    world.store.set(1, 1, &[2; PAGE]);
    let file = world.file(1, 2 * PAGE as u64);
    let before = (objects(mm), frames(mm));
    world.store.fail_from(1, 1, FileError::Io);
    let mut bytes = [0; 2];
    assert_eq!(mm.file_read(file, 0, &mut bytes), Err(FileError::Io));
    assert_eq!((objects(mm), frames(mm)), before);
    assert_eq!(mm.file_nrpages(file), 0);
    // What could be read before the failure is read.
    world.store.fail_from(2, 1, FileError::Io);
    let mut bytes = vec![0; 2 * PAGE];
    assert_eq!(mm.file_read(file, 0, &mut bytes), Ok(PAGE));
    assert_eq!(mm.file_read(file, 0, &mut bytes), Ok(2 * PAGE));
    assert_eq!(bytes[2 * PAGE - 1], 2);
    world.store.fail_from(1, 1, FileError::Corrupt);
    let page = mm.file_page(file, 5, true, FILE_GFP);
    assert_eq!(page, Err(FileError::Corrupt));
    check(mm);
}

#[test]
fn a_write_error_reaches_each_description_once_and_loses_no_other_page() {
    let world = World::new(100);
    let mm = world.mm;
    let file = world.file(1, 0);
    let first = AtomicU32::new(mm.file_sample_wb_err(file));
    let second = AtomicU32::new(mm.file_sample_wb_err(file));
    mm.file_write(file, 0, &vec![9; 4 * PAGE]).unwrap();
    world.store.fail_from(2, 1, FileError::Io);
    assert_eq!(mm.filemap_write(file, 0..u64::MAX), Err(FileError::Io));
    assert_eq!(world.store.take_writes(), [(1, 0), (1, 1), (1, 2), (1, 3)]);
    assert!(world.store.get(1, 1).is_none());
    for index in [0, 2, 3] {
        assert_eq!(world.store.get(1, index).unwrap(), [9; PAGE]);
    }
    check(mm);
    let eio = Err(Errno::EIO.get());
    assert_eq!(mm.file_check_wb_err(file, &first), eio);
    assert_eq!(mm.file_check_wb_err(file, &first), Ok(()));
    assert_eq!(mm.file_check_wb_err(file, &second), eio);
    let late = AtomicU32::new(mm.file_sample_wb_err(file));
    assert_eq!(mm.file_check_wb_err(file, &late), Ok(()));
    // As in Linux the page stays, clean, and is not tried again by itself.
    assert!(of_page(mm, file, 1, TAG_ERROR) && !of_page(mm, file, 1, TAG_DIRTY));
    assert_eq!(content(mm, file), vec![9; 4 * PAGE]);
    assert_eq!(mm.filemap_write(file, 0..u64::MAX), Ok(()));
    assert!(world.store.take_writes().is_empty());
    mm.file_write(file, PAGE as u64, b"again").unwrap();
    assert!(!of_page(mm, file, 1, TAG_ERROR));
    assert_eq!(mm.filemap_write(file, 0..u64::MAX), Ok(()));
    assert_eq!(world.store.get(1, 1).unwrap()[..6], *b"again\x09");
    check(mm);
}

#[test]
fn for_want_of_memory_a_page_stays_dirty() {
    let world = World::new(100);
    let mm = world.mm;
    let file = world.file(1, 0);
    mm.file_write(file, 0, b"kept").unwrap();
    let no_memory = FileError::Memory(crate::AllocError::NoMemory);
    world.store.fail_from(1, 1, no_memory);
    assert_eq!(mm.sync_files(), Err(no_memory));
    assert_eq!(world.dirty(), 1);
    let since = AtomicU32::new(0);
    assert_eq!(mm.file_check_wb_err(file, &since), Ok(()));
    check(mm);
    assert_eq!(mm.sync_files(), Ok(()));
    assert_eq!(world.store.get(1, 0).unwrap()[..4], *b"kept");
}

#[test]
fn a_full_store_is_noticed_by_who_writes() {
    let world = World::new(2);
    let mm = world.mm;
    let file = world.file(1, 0);
    let bytes = vec![4; 3 * PAGE];
    assert_eq!(mm.file_write(file, 0, &bytes), Ok(2 * PAGE));
    let more = mm.file_write(file, 2 * PAGE as u64, b"x");
    assert_eq!(more, Err(FileError::NoSpace));
    let whole = mm.file_write(file, 2 * PAGE as u64, &bytes[..PAGE]);
    assert_eq!(whole, Err(FileError::NoSpace));
    assert_eq!(mm.file_nrpages(file), 2, "none behind the end");
    assert_eq!(mm.file_size(file), 2 * PAGE as u64);
    check(mm);
    assert_eq!(mm.sync_files(), Ok(()));
    assert_eq!(content(mm, file), vec![4; 2 * PAGE]);
    mm.file_set_size(file, 0).unwrap();
    assert_eq!(mm.file_write(file, 2 * PAGE as u64, b"x"), Ok(1));
    check(mm);
}

#[test]
fn a_shorter_file_has_zeros_behind_its_end_in_the_store_as_well() {
    let world = World::new(100);
    let mm = world.mm;
    world.store.set(1, 0, &[6; PAGE]);
    world.store.set(1, 1, &[7; PAGE]);
    let file = world.file(1, 2 * PAGE as u64);
    mm.file_write(file, PAGE as u64, b"lost").unwrap();
    // The last page has to be read for that.
    world.store.fail_from(1, 1, FileError::Io);
    assert_eq!(mm.file_set_size(file, 10), Err(FileError::Io));
    assert_eq!(mm.file_size(file), 2 * PAGE as u64);
    mm.file_set_size(file, 10).unwrap();
    assert_eq!((world.store.used(), world.dirty()), (1, 1));
    mm.file_set_size(file, 100).unwrap();
    assert_eq!(content(mm, file)[8..12], [6, 6, 0, 0]);
    assert_eq!(mm.sync_files(), Ok(()));
    let page = world.store.get(1, 0).unwrap();
    assert_eq!((page[9], page[10], page[PAGE - 1]), (6, 0, 0));
    assert_eq!(
        mm.file_punch_hole(file, 0, PAGE as u64),
        Err(FileError::Unsupported)
    );
    check(mm);
    mm.file_write(file, 0, b"gone with the file").unwrap();
    mm.file_put(file);
    assert_eq!(world.dirty(), 0);
    check(mm);
}

#[test]
fn reclaim_gets_clean_pages_at_once_and_dirty_ones_after_writing_them() {
    let world = World::new(100);
    let mm = world.mm;
    let before = frames(mm);
    let file = world.file(1, 0);
    mm.file_write(file, 0, &vec![8; 3 * PAGE]).unwrap();
    let page = |index| mm.file_page(file, index, false, FILE_GFP).unwrap().unwrap();
    let pages = [0, 1, 2].map(page);
    // A page that somebody else uses stays.
    mm.get_page(pages[0]);
    assert_eq!(mm.pageout_file(pages[0]), Pageout::Keep);
    mm.put_page(pages[0]);
    assert_eq!(mm.pageout_file(pages[0]), Pageout::Dropped);
    assert!(mm.put_page(pages[0]));
    assert_eq!(world.store.take_writes(), [(1, 0)]);
    check(mm);
    world.store.fail_from(1, 1, FileError::Io);
    assert_eq!(mm.pageout_file(pages[1]), Pageout::Failed(FileError::Io));
    assert_eq!(references(mm, pages[1]), 2);
    assert!(mm.page_has_store(pages[1]));
    check(mm);
    assert_eq!(mm.sync_files(), Ok(()));
    world.store.take_writes();
    assert_eq!(mm.pageout_file(pages[2]), Pageout::Dropped);
    assert!(world.store.take_writes().is_empty(), "it was clean");
    mm.put_page(pages[1]);
    mm.put_page(pages[2]);
    assert_eq!(content(mm, file)[2 * PAGE], 8);
    check(mm);
    // Of a file without a store the page is all there is.
    let ram = mm.file_new().unwrap();
    mm.file_write(ram, 0, b"x").unwrap();
    let only = mm.file_page(ram, 0, false, FILE_GFP).unwrap().unwrap();
    assert_eq!(mm.pageout_file(only), Pageout::Keep);
    assert!(!mm.set_page_dirty(only) && !mm.page_has_store(only));
    mm.put_page(only);
    mm.file_put(ram);
    mm.file_put(file);
    assert_eq!(frames(mm), before);
}

#[test]
fn too_many_dirty_pages_are_written_behind_the_program_s_back() {
    let world = World::new(10_000);
    let mm = world.mm;
    let file = world.file(1, 0);
    let mut most = 0;
    for page in 0..2000u64 {
        mm.file_write(file, page * PAGE as u64, &[page as u8; PAGE])
            .unwrap();
        mm.balance_dirty_pages();
        most = most.max(world.dirty());
    }
    // 16 MiB: a tenth of at most 4096 pages.
    assert!((200..=410).contains(&most), "{most}");
    check(mm);
    assert_eq!(mm.sync_files(), Ok(()));
    for page in 0..2000 {
        assert_eq!(world.store.get(1, page).unwrap()[17], page as u8);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, usize, u8),
    Read(u64),
    SetSize(u64),
    Sync,
    Reclaim(u64),
    Fail(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let position = || prop_oneof![4 => 0..8 * PAGE as u64, 1 => 62 * PAGE as u64..70 * PAGE as u64];
    prop_oneof![
        4 => (position(), 1..2 * PAGE, any::<u8>()).prop_map(|(at, len, byte)| Step::Write(at, len, byte)),
        2 => position().prop_map(Step::Read),
        1 => position().prop_map(Step::SetSize),
        1 => Just(Step::Sync),
        3 => (0..70u64).prop_map(Step::Reclaim),
        1 => (1..6u64).prop_map(Step::Fail),
    ]
}

/// Does a step to a file and to its content as it should be. Whatever fails, fails as a whole or
/// short; the content that was written is never lost, but by a failed write of a page that was then
/// dropped: such pages are kept here by a reference.
fn apply(world: &World, file: FileId, model: &mut Vec<u8>, step: &Step) {
    let mm = world.mm;
    match *step {
        Step::Write(at, len, byte) => {
            let done = mm.file_write(file, at, &vec![byte; len]).unwrap_or(0);
            let end = at as usize + done;
            if done > 0 {
                model.resize(model.len().max(end), 0);
                model[at as usize..end].fill(byte);
            }
        }
        Step::Read(at) => {
            let mut bytes = [0; 300];
            if let Ok(read) = mm.file_read(file, at, &mut bytes) {
                let rest = model.get(at as usize..).unwrap_or(&[]);
                assert!(read <= rest.len().min(300));
                assert_eq!(bytes[..read], rest[..read]);
            }
        }
        Step::SetSize(size) => {
            if mm.file_set_size(file, size).is_ok() {
                model.resize(size as usize, 0);
            }
        }
        // A write that fails marks its page, and the page is written anew below.
        Step::Sync => drop(mm.sync_files()),
        Step::Reclaim(index) => {
            if let Ok(Some(pfn)) = mm.file_page(file, index, false, FILE_GFP) {
                if !of_page(mm, file, index, TAG_ERROR) {
                    let _ = mm.pageout_file(pfn);
                }
                mm.put_page(pfn);
            }
        }
        Step::Fail(nth) => world.store.fail_from(nth, 1, FileError::Io),
    }
    assert_eq!(mm.file_size(file), model.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_is_lost_whatever_fails(steps in prop::collection::vec(step(), 1..60)) {
        let world = World::new(1000);
        let before = frames(world.mm);
        let file = world.file(3, 0);
        let mut model = Vec::new();
        for step in &steps {
            apply(&world, file, &mut model, step);
            check(world.mm);
        }
        world.store.fail_from(0, 0, FileError::Io);
        prop_assert_eq!(content(world.mm, file), model.clone());
        // Pages whose write failed are not written again by themselves.
        for index in 0..80 {
            if of_page(world.mm, file, index, TAG_ERROR) {
                let pfn = world.mm.file_page(file, index, false, FILE_GFP).unwrap().unwrap();
                prop_assert!(world.mm.set_page_dirty(pfn));
                world.mm.put_page(pfn);
            }
        }
        prop_assert_eq!(world.mm.sync_files(), Ok(()));
        prop_assert_eq!(world.dirty(), 0);
        for (index, part) in model.chunks(PAGE).enumerate() {
            let mut part = part.to_vec();
            part.resize(PAGE, 0);
            let stored = world.store.get(3, index as u64).unwrap_or(vec![0; PAGE]);
            prop_assert_eq!(stored, part, "page {}", index);
        }
        world.mm.file_put(file);
        check(world.mm);
        prop_assert_eq!(frames(world.mm), before);
        prop_assert_eq!(world.mm.node_stat(NodeStat::Writeback), 0);
    }
}
