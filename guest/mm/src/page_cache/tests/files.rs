//! Files one at a time.

use super::{PAGE, check, content, frames, mm, objects, references};
use crate::{AllocError, FileId, page_cache::FILE_GFP};
use pagelab_abi::{page_cache::MAX_PAGES, vmstat::NodeStat};

#[test]
fn a_file_lives_as_long_as_somebody_refers_to_it() {
    let mm = mm();
    let before = (objects(&mm), frames(&mm));
    let first = mm.file_new().unwrap();
    let second = mm.file_new().unwrap();
    assert_ne!(mm.file_ino(first), mm.file_ino(second));
    assert_eq!(FileId::from_raw(first.get()), Some(first));
    assert_eq!(mm.file_write(first, 0, &[7; 3 * PAGE]), Ok(3 * PAGE));
    check(&mm);
    mm.file_get(first);
    mm.file_put(first);
    assert_eq!(mm.file_count(first), 1);
    assert_eq!(mm.file_nrpages(first), 3);
    mm.file_put(first);
    check(&mm);
    mm.file_put(second);
    check(&mm);
    assert_eq!((objects(&mm), frames(&mm)), before);
}

#[test]
#[should_panic(expected = "is no file")]
fn a_file_that_is_gone_is_noticed() {
    let mm = mm();
    let file = mm.file_new().unwrap();
    mm.file_put(file);
    mm.file_get(file);
}

#[test]
#[should_panic(expected = "is no file")]
fn a_number_out_of_the_air_is_noticed() {
    let mm = mm();
    mm.file_size(FileId::from_raw(0xdead_beef_f00d_0040).unwrap());
}

#[test]
fn what_is_written_is_read_across_pages() {
    let mm = mm();
    let file = mm.file_new().unwrap();
    let text: std::vec::Vec<u8> = (0..3 * PAGE + 100).map(|i| (i % 251) as u8).collect();
    assert_eq!(mm.file_write(file, 50, &text), Ok(text.len()));
    let all = content(&mm, file);
    assert_eq!(all.len(), text.len() + 50);
    assert!(all[..50].iter().all(|&byte| byte == 0));
    assert_eq!(all[50..], text);
    let mut few = [0; 10];
    assert_eq!(mm.file_read(file, all.len() as u64 - 4, &mut few), Ok(4));
    assert_eq!(few[..4], all[all.len() - 4..]);
    assert_eq!(mm.file_read(file, all.len() as u64, &mut few), Ok(0));
    assert_eq!(mm.file_read(file, u64::MAX, &mut few), Ok(0));
    check(&mm);
}

#[test]
fn holes_read_as_zeros_and_stay_holes() {
    let mm = mm();
    let file = mm.file_new().unwrap();
    mm.file_write(file, 1000 * PAGE as u64, b"end").unwrap();
    assert_eq!(mm.file_nrpages(file), 1);
    let all = content(&mm, file);
    assert!(all[..1000 * PAGE].iter().all(|&byte| byte == 0));
    assert_eq!(mm.file_nrpages(file), 1);
    assert_eq!(mm.file_page(file, 5, false, FILE_GFP), Ok(None));
    check(&mm);
}

#[test]
fn a_page_has_the_references_of_the_cache_and_of_its_users() {
    let mm = mm();
    let file = mm.file_new().unwrap();
    let pfn = mm.file_page(file, 9, true, FILE_GFP).unwrap().unwrap();
    assert_eq!(references(&mm, pfn), 2);
    assert_eq!(mm.file_page(file, 9, true, FILE_GFP), Ok(Some(pfn)));
    assert_eq!(references(&mm, pfn), 3);
    mm.put_page(pfn);
    mm.put_page(pfn);
    check(&mm);
    // Somebody still has the page when the file goes away.
    mm.get_page(pfn);
    mm.write_frame(pfn, 0, b"mine").unwrap();
    mm.file_put(file);
    check(&mm);
    assert_eq!(references(&mm, pfn), 1);
    let mut mine = [0; 4];
    mm.read_frame(pfn, 0, &mut mine).unwrap();
    assert_eq!(&mine, b"mine");
    assert!(mm.put_page(pfn));
    check(&mm);
}

#[test]
fn a_file_has_no_more_pages_than_numbers() {
    let mm = mm();
    let file = mm.file_new().unwrap();
    let last = MAX_PAGES - 1;
    let page = PAGE as u64;
    mm.file_write(file, last * page, b"x").unwrap();
    mm.file_write(file, 0, b"y").unwrap();
    check(&mm);
    let beyond = mm.file_page(file, MAX_PAGES, true, FILE_GFP);
    assert_eq!(beyond, Err(AllocError::BadRequest.into()));
    assert_eq!(mm.file_page(file, u64::MAX, false, FILE_GFP), Ok(None));
    let written = mm.file_write(file, MAX_PAGES * page, b"z");
    assert_eq!(written, Err(AllocError::BadRequest.into()));
    assert_eq!(mm.file_size(file), last * page + 1);
    // A write up to there is short.
    assert_eq!(mm.file_write(file, last * page, &[1; 2 * PAGE]), Ok(PAGE));
    mm.file_set_size(file, 1).unwrap();
    check(&mm);
    assert_eq!(objects(&mm)[1], 1, "one node is enough for one page");
    mm.file_set_size(file, 0).unwrap();
    assert_eq!(objects(&mm)[1], 0);
}

#[test]
fn truncation_zeros_the_rest_of_the_last_page() {
    let mm = mm();
    let file = mm.file_new().unwrap();
    mm.file_write(file, 0, &[9; 2 * PAGE]).unwrap();
    mm.file_set_size(file, 10).unwrap();
    assert_eq!(mm.file_nrpages(file), 1);
    mm.file_set_size(file, 2 * PAGE as u64).unwrap();
    let all = content(&mm, file);
    assert_eq!(all[..10], [9; 10]);
    assert!(all[10..].iter().all(|&byte| byte == 0));
    check(&mm);
}

#[test]
fn holes_are_punched_into_the_middle() {
    let mm = mm();
    let page = PAGE as u64;
    for (start, end) in [
        (0, 4 * page),
        (page, 2 * page),
        (10, 20),
        (10, page),
        (page - 1, page + 1),
        (100, 3 * page + 50),
        (7, 7),
        (3 * page, 9 * page),
    ] {
        let file = mm.file_new().unwrap();
        mm.file_write(file, 0, &[5; 4 * PAGE]).unwrap();
        mm.file_punch_hole(file, start, end).unwrap();
        for (at, byte) in (0..).zip(content(&mm, file)) {
            let expected = if (start..end).contains(&at) { 0 } else { 5 };
            assert_eq!(byte, expected, "{start}-{end} at {at}");
        }
        assert_eq!(mm.file_size(file), 4 * page);
        check(&mm);
        mm.file_put(file);
    }
}

#[test]
fn shared_memory_is_counted_as_such() {
    let mm = mm();
    let file = mm.file_new().unwrap();
    let shared = mm.file_new_shmem().unwrap();
    mm.file_write(file, 0, &[1; 2 * PAGE]).unwrap();
    mm.file_write(shared, 0, &[1; 3 * PAGE]).unwrap();
    assert_eq!(mm.node_stat(NodeStat::FilePages), 5);
    assert_eq!(mm.node_stat(NodeStat::Shmem), 3);
    check(&mm);
    mm.file_put(shared);
    assert_eq!(mm.node_stat(NodeStat::FilePages), 2);
    assert_eq!(mm.node_stat(NodeStat::Shmem), 0);
    check(&mm);
}
