//! The views, of records made by hand and of the real memory manager's structures.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::inspect::{decode::BlockState, test_programs::Programs};

const PAGE: u64 = 4096;

fn rights(text: &str) -> Rights {
    Rights::of_letters(text)
}

fn area(start: u64, end: u64, letters: &str) -> AreaRecord {
    AreaRecord {
        start,
        end,
        rights: rights(letters),
        shared: false,
        file: 0,
    }
}

fn page(va: u64, pfn: u32, letters: &str, accessed: bool) -> PageRecord {
    PageRecord {
        va,
        pfn,
        frames: 1,
        rights: rights(letters),
        accessed,
        dirty: false,
    }
}

fn record(event: u64, pages: Vec<PageRecord>, areas: Vec<AreaRecord>) -> Record {
    let process = ProcessRecord {
        pid: 1,
        comm: "a".into(),
        mm: 7,
        areas,
        pages,
    };
    Record::new(event, vec![process], BTreeMap::new())
}

fn assert_80_columns(text: &str) {
    for line in text.lines() {
        assert!(line.len() <= 80, "{line}");
    }
}

#[test]
fn each_area_has_its_pages_beneath() {
    let programs = Programs::new();
    let image = programs.image();
    let record = Record::take(&image.snapshot()).unwrap();
    assert_eq!(record.processes.len(), 2);
    let spaces = Spaces::of(&record.only(Some(1)));
    let process = &spaces.processes[0];
    assert_eq!(process.areas.len(), 6);
    assert!(process.outside.is_empty());
    // The first was only read, so it has the page of zeros; the others were written.
    let rights = |area: &AreaPages| area.mapped[0].rights.to_string();
    assert_eq!(rights(&process.areas[0]), "r--");
    assert!(process.areas[1..].iter().all(|area| rights(area) == "rw-"));
    let text = spaces.to_string();
    assert!(text.contains("rw-p: 1 of 1 pages\n    "), "{text}");
    assert_80_columns(&text);
    let json = serde_json::to_value(&spaces).unwrap();
    assert_eq!(
        json["processes"][0]["areas"][1]["mapped"][0]["rights"],
        "rw-"
    );
}

#[test]
fn pages_outside_of_areas_are_shown() {
    let pages = vec![page(0x1000, 5, "rw-", true), page(0x5000, 6, "r--", true)];
    let spaces = Spaces::of(&record(1, pages, vec![area(0x1000, 0x3000, "rw-")]));
    let process = &spaces.processes[0];
    assert_eq!(process.areas[0].mapped[0].pages, 1);
    assert_eq!(process.outside[0].start, 0x5000);
    assert!(spaces.to_string().contains("in no area:\n"));
}

#[test]
fn rights_to_write_and_execute_are_found_at_one_place_and_at_two() {
    let pages = vec![
        page(0x1000, 5, "r-x", true),
        page(0x2000, 6, "rwx", true),
        page(0x3000, 7, "rw-", true),
        page(0x4000, 5, "rw-", true),
    ];
    let areas = vec![area(0x1000, 0x2000, "r-x"), area(0x2000, 0x3000, "rwx")];
    let wx = WriteExecute::of(&record(1, pages, areas));
    let process = &wx.processes[0];
    assert_eq!(
        (process.pages, process.writable, process.executable),
        (4, 3, 2)
    );
    assert_eq!(process.areas.len(), 1);
    assert_eq!((process.both.len(), process.both[0].start), (1, 0x2000));
    assert_eq!(wx.aliases.len(), 1);
    let alias = &wx.aliases[0];
    assert_eq!(
        (alias.pfn, alias.writable, alias.executable),
        (5, (1, 0x4000), (1, 0x1000))
    );
    assert_80_columns(&wx.to_string());
}

#[test]
fn changes_are_told_in_rows() {
    let before = record(
        10,
        vec![
            page(0x1000, 5, "rw-", true),
            page(0x2000, 6, "rw-", true),
            page(0x3000, 7, "rw-", true),
            page(0x4000, 8, "rw-", true),
        ],
        vec![area(0x1000, 0x5000, "rw-")],
    );
    let after = record(
        20,
        vec![
            page(0x3000, 17, "rw-", true),
            page(0x4000, 8, "r--", true),
            page(0x7000, 9, "rw-", true),
            page(0x8000, 19, "rw-", true),
        ],
        vec![area(0x3000, 0x5000, "rw-"), area(0x7000, 0x9000, "rw-")],
    );
    let diff = Diff::of(&before, &after);
    let process = &diff.processes[0];
    assert!(!process.is_new && !process.is_gone);
    assert_eq!(process.areas_gone, [area(0x1000, 0x5000, "rw-")]);
    assert_eq!(process.areas_come.len(), 2);
    let changes: Vec<_> = process
        .pages
        .iter()
        .map(|change| (change.kind, change.start, change.pages))
        .collect();
    assert_eq!(
        changes,
        [
            (ChangeKind::Unmapped, 0x1000, 2),
            (ChangeKind::Moved, 0x3000, 1),
            (ChangeKind::Protected, 0x4000, 1),
            (ChangeKind::Mapped, 0x7000, 2),
        ]
    );
    let text = diff.to_string();
    assert!(text.contains("rw- -> r--"), "{text}");
    assert_80_columns(&text);
    assert!(Diff::of(&after, &after).processes.is_empty());
}

#[test]
fn processes_that_come_go_or_exec_are_told() {
    let old = record(1, vec![page(0x1000, 5, "rw-", true)], vec![]);
    let none = Record::new(2, Vec::new(), BTreeMap::new());
    assert!(Diff::of(&old, &none).processes[0].is_gone);
    assert!(Diff::of(&none, &old).processes[0].is_new);
    let mut other = old.clone();
    other.processes[0].mm += 1;
    assert!(Diff::of(&old, &other).processes[0].is_new);
}

#[test]
fn frames_are_counted_by_what_they_were_and_are() {
    use BlockState::{Allocated, Free, Pcp};
    let frames = |runs: &[(u32, Option<BlockState>)]| {
        Record::new(1, Vec::new(), runs.iter().copied().collect())
    };
    let before = frames(&[(0, Some(Free)), (100, Some(Allocated)), (150, None)]);
    let after = frames(&[
        (0, Some(Free)),
        (60, Some(Pcp)),
        (90, Some(Allocated)),
        (150, None),
    ]);
    let changes: Vec<_> = Diff::of(&before, &after)
        .frames
        .into_iter()
        .map(|change| (change.before, change.after, change.frames))
        .collect();
    assert_eq!(
        changes,
        [("free", "per-CPU", 30), ("free", "allocated", 10)]
    );
}

#[test]
fn use_is_what_is_new_and_what_was_written() {
    let areas = vec![area(0x1000, 0x5000, "rw-"), area(0x8000, 0x9000, "rw-")];
    let pages = |accessed: [bool; 4]| {
        let pages = (0..4).zip(accessed);
        pages
            .map(|(at, accessed)| page(0x1000 + at * PAGE, 5 + at as u32, "rw-", accessed))
            .collect::<Vec<_>>()
    };
    let before = record(
        1,
        pages([true, false, false, true])[..3].to_vec(),
        areas.clone(),
    );
    let after = record(9, pages([true, true, false, true]), areas);
    let set = WorkingSet::of(&before, &after, &BTreeSet::from([6, 8, 99]));
    let process = &set.processes[0];
    assert_eq!(process.areas.len(), 1, "what is empty is left out");
    let used = &process.areas[0];
    assert_eq!(
        (used.resident, used.accessed, used.unknown, used.written),
        (4, 2, 1, 2)
    );
    assert_80_columns(&set.to_string());
}

#[test]
fn names_are_those_of_the_command_line() {
    let names = ProcessView::ALL.map(ProcessView::name);
    assert_eq!(names, ["spaces", "wx", "diff", "working-set"]);
}
