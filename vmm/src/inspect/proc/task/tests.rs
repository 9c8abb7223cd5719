//! The files of /proc/PID, from the real memory manager's structures.

use super::{TaskView, task_text};
use crate::inspect::test_programs::Programs;
use pagelab_abi::mman::MADV_PAGEOUT;

fn text(programs: &Programs, view: TaskView, pid: Option<u32>) -> String {
    task_text(&programs.image().snapshot(), view, pid).unwrap()
}

#[test]
fn maps_has_linux_s_columns() {
    let programs = Programs::new();
    let maps = text(&programs, TaskView::Maps, Some(1));
    let at = programs.at;
    let lines: Vec<&str> = maps.lines().collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(
        lines[1],
        format!("{at:08x}-{:08x} rw-p 00000000 00:00 0 ", at + 4096)
    );
    let all = text(&programs, TaskView::Maps, None);
    assert!(all.starts_with("pid 1 (a)\n") && all.contains("\npid 2 (a)\n"));
    let none = text(&programs, TaskView::Maps, Some(9));
    assert!(none.contains("no process 9"), "{none}");
}

#[test]
fn smaps_counts_what_is_there() {
    let programs = Programs::new();
    let smaps = text(&programs, TaskView::Smaps, Some(1));
    let second: Vec<&str> = smaps.split_inclusive('\n').skip(25).take(25).collect();
    let second = second.concat();
    for line in [
        "Size:                  4 kB\n",
        "Rss:                   4 kB\n",
        "Pss:                   4 kB\n",
        "Anonymous:             4 kB\n",
        "THPeligible:           0\n",
        "VmFlags: rd wr mr mw me ",
    ] {
        assert!(second.contains(line), "{line:?} not in {second}");
    }
    // The area that was only read has the page of zeros, which counts for nobody.
    assert!(
        smaps
            .split_inclusive('\n')
            .nth(4)
            .unwrap()
            .starts_with("Rss:                   0 kB")
    );
}

#[test]
fn pagemap_and_rmap_name_frames() {
    let programs = Programs::new();
    let pagemap = text(&programs, TaskView::Pagemap, Some(1));
    let line = pagemap.lines().nth(1).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[0], format!("{:016x}", programs.at));
    assert!(words[1].starts_with("81"), "present and exclusive: {line}");
    assert_eq!(
        u64::from_str_radix(words[1], 16).unwrap() & 0xffff_ffff,
        u64::from_str_radix(words[3], 16).unwrap()
    );
    let rmap = text(&programs, TaskView::Rmap, Some(1));
    let own = format!("{:0>8} refs 1: pid 1 (a) {:#x}", words[3], programs.at);
    assert!(rmap.lines().any(|line| line == own), "{own} not in {rmap}");
}

#[test]
fn pages_in_swap_are_shown_with_their_slots() {
    let mut programs = Programs::new();
    let at = programs.at;
    let user = &mut programs.users[0];
    user.mm().machine().disk().set_pages(100);
    assert_eq!(user.mm().swapon(), Ok(100));
    user.madvise(at, 4096, MADV_PAGEOUT).unwrap();
    user.madvise(at + 2 * 4096, 4096, MADV_PAGEOUT).unwrap();
    let child = user.fork().unwrap();
    user.read(at + 2 * 4096, &mut [0]).unwrap();
    let smaps = text(&programs, TaskView::Smaps, Some(1));
    let areas: Vec<&str> = smaps.split("THPeligible").collect();
    for line in [
        "Rss:                   0 kB\n",
        "Swap:                  4 kB\n",
        "SwapPss:               2 kB\n",
    ] {
        assert!(areas[1].contains(line), "{line:?} not in {}", areas[1]);
    }
    assert!(
        areas[2].contains("Swap:                  0 kB\n"),
        "{smaps}"
    );
    let pagemap = text(&programs, TaskView::Pagemap, Some(1));
    let line = format!("{at:016x} 4000000000000020 swap 0 slot 1");
    assert!(pagemap.lines().any(|it| it == line), "{pagemap}");
    let rmap = text(&programs, TaskView::Rmap, Some(1));
    let place = format!("refs 2: pid 1 (a) {:#x}, swap slot 0x2", at + 2 * 4096);
    assert!(rmap.contains(&place), "{place} not in {rmap}");
    child.destroy();
}
