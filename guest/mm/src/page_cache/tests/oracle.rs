//! The oracle fires on a corruption of what it checks.

use super::{PAGE, mm};
use crate::{FileId, Mm, Pfn, page_cache::FILE_GFP, page_cache::Violation, testing::TestMachine};
use core::sync::atomic::Ordering::Relaxed;
use std::vec::Vec;

/// A file with pages 0, 1 and 70, and the frame of page 1.
fn file(mm: &Mm<TestMachine>) -> (FileId, Pfn) {
    let file = mm.file_new().unwrap();
    for page in [0, 1, 70] {
        mm.file_write(file, page * PAGE as u64, b"x").unwrap();
    }
    let pfn = mm.file_page(file, 1, false, FILE_GFP).unwrap().unwrap();
    (file, pfn)
}

/// What the oracle finds after `break_it`.
fn found(break_it: impl Fn(&Mm<TestMachine>, FileId, Pfn)) -> Vec<Violation> {
    let mm = mm();
    let (file, pfn) = file(&mm);
    let mut found = Vec::new();
    mm.validate_page_cache(&mut |it| found.push(it));
    assert_eq!(found, []);
    break_it(&mm, file, pfn);
    mm.validate_page_cache(&mut |it| found.push(it));
    found
}

fn root(mm: &Mm<TestMachine>, file: FileId) -> u64 {
    mm.space(file).root.load(Relaxed)
}

#[test]
fn each_corruption_is_found() {
    let all = found(|mm, _, pfn| mm.page(pfn).unwrap().private.store(2, Relaxed));
    assert!(
        matches!(all[..], [Violation::BadPage { index: 1, .. }]),
        "{all:?}"
    );

    let all = found(|mm, _, pfn| mm.page(pfn).unwrap().mapping.store(0, Relaxed));
    assert!(
        matches!(all[..], [Violation::BadPage { index: 1, .. }]),
        "{all:?}"
    );

    let all = found(|mm, file, _| mm.space(file).nrpages.store(4, Relaxed));
    assert!(
        matches!(
            all[..],
            [Violation::BadCount {
                what: "nrpages",
                counted: 4,
                found: 3
            }]
        ),
        "{all:?}"
    );

    let all = found(|mm, file, _| {
        mm.node(root(mm, file)).place.fetch_add(1 << 16, Relaxed);
    });
    assert!(matches!(all[0], Violation::BadNode { .. }), "{all:?}");

    let all = found(|mm, file, _| mm.node(root(mm, file)).parent.store(64, Relaxed));
    assert!(matches!(all[0], Violation::BadNode { .. }), "{all:?}");

    let all = found(|mm, file, _| {
        let leaf = mm.node(root(mm, file)).slots[0].load(Relaxed);
        mm.node(leaf).slots[1].store(1 << 40 | 1, Relaxed);
    });
    assert!(
        matches!(all[..], [Violation::BadSlot { index: 1, .. }]),
        "{all:?}"
    );

    let all = found(|mm, file, _| {
        let top = mm.node(root(mm, file));
        top.slots[1].store(0, Relaxed);
        top.place.fetch_sub(1 << 16, Relaxed);
    });
    assert!(
        all.iter().any(|it| matches!(it, Violation::TooHigh { .. })),
        "{all:?}"
    );

    let all = found(|mm, _, _| {
        mm.state.page_cache.nr_files.fetch_add(1, Relaxed);
    });
    assert!(
        matches!(
            all[..],
            [Violation::BadCount {
                what: "nr_files",
                ..
            }]
        ),
        "{all:?}"
    );

    let all = found(|mm, file, _| mm.space(file).prev.store(64, Relaxed));
    assert!(matches!(all[..], [Violation::BadList { .. }]), "{all:?}");
}
