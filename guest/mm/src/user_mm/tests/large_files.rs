//! Files that are larger than the memory: reclaim writes what is changed, and drops what is clean.

use super::{MmapRequest, PAGE, RW, World, oracle::check};
use crate::testing::TestStore;
use pagelab_abi::{
    mman::MapFlags,
    vmstat::{NodeStat, VmEvent},
};
use std::boxed::Box;

/// Pages of the file: 12 MiB on a machine of 8.
const PAGES: u64 = 3072;

/// What stands in a page after so many rounds.
fn bytes(page: u64, round: u8) -> [u8; 3] {
    [page as u8, (page >> 8) as u8, round]
}

#[test]
fn what_does_not_fit_is_written_and_comes_back() {
    let world = World::of_size(8, 0);
    let mm = world.mm();
    let mut user = world.user();
    let stored: &'static TestStore = Box::leak(Box::new(TestStore::new(PAGES as usize)));
    let id = mm.register_store(stored).unwrap();
    let file = mm.file_with_store(id, 1, 0).unwrap();
    for page in 0..PAGES {
        assert_eq!(mm.file_write(file, page * PAGE, &bytes(page, 0)), Ok(3));
    }
    assert!(mm.event_count(VmEvent::PgstealFile) > 1000);
    assert!(
        stored.take_writes().len() > 1000,
        "reclaim writes what is dirty"
    );
    mm.file_set_size(file, PAGES * PAGE).unwrap();
    let request = MmapRequest::of_file(PAGES * PAGE, RW, MapFlags::SHARED, file, 0);
    let at = user.mmap(&request).unwrap();
    for page in (0..PAGES).step_by(2) {
        let mut found = [0; 3];
        user.read(at + page * PAGE, &mut found).unwrap();
        assert_eq!(found, bytes(page, 0));
        user.write(at + page * PAGE, &bytes(page, 1)).unwrap();
        if page % 512 == 0 {
            check(mm, &mut [&mut user]);
        }
    }
    for page in 0..PAGES {
        let (mut found, mut mapped) = ([0; 3], [0; 3]);
        let expected = bytes(page, u8::from(page.is_multiple_of(2)));
        assert_eq!(mm.file_read(file, page * PAGE, &mut found), Ok(3));
        user.read(at + page * PAGE, &mut mapped).unwrap();
        assert_eq!((found, mapped), (expected, expected), "page {page}");
    }
    assert_eq!(mm.sync_files(), Ok(()));
    assert_eq!(mm.node_stat(NodeStat::FileDirty), 0);
    let in_store = |page: &u64| {
        let expected = bytes(*page, u8::from(page.is_multiple_of(2)));
        stored.get(1, *page).unwrap()[..3] == expected
    };
    assert!((0..PAGES).all(|page| in_store(&page)));
    check(mm, &mut [&mut user]);
    user.munmap(at, PAGES * PAGE).unwrap();
    mm.file_put(file);
}
