//! The audits of processes with large entries, on the real memory manager.

use std::mem::offset_of;

use pagelab_abi::{
    PAGE_SIZE,
    mm_struct::{MmStruct, RssStat},
    mman::{MADV_HUGEPAGE, Prot},
    pte::{PTE_ADDRESS, PTE_LARGE, PTE_WRITE},
};
use pagelab_mm::user_mm::MmapRequest;

use super::assert_finds;
use crate::inspect::{
    Outcome, audit,
    proc::{TaskView, task_text},
    test_guest::{FLAGS, REFCOUNT, ROOT, TestImage},
    test_programs::Programs,
};

/// Where both processes have 2 MiB in one entry.
const AT: u64 = 0x4000_0000;

/// Bytes of these.
const LEN: u64 = 2 << 20;

fn programs() -> Programs {
    let mut programs = Programs::new();
    for user in &mut programs.users {
        let request = MmapRequest::anonymous(LEN, Prot::READ | Prot::WRITE).fixed(AT);
        user.mmap(&request).unwrap();
        user.madvise(AT, LEN, MADV_HUGEPAGE).unwrap();
        user.write(AT, &[1]).unwrap();
    }
    programs
}

/// Address and value of the large entry of a process.
fn entry(image: &TestImage, programs: &Programs, process: usize) -> (u64, u64) {
    let mut table = programs.users[process].pgd();
    for shift in [39, 30] {
        table = image.u64(table + (AT >> shift & 511) * 8) & PTE_ADDRESS;
    }
    let at = table + (AT >> 21 & 511) * 8;
    assert!(image.u64(at) & PTE_LARGE != 0);
    (at, image.u64(at))
}

#[test]
fn all_hold_with_large_entries() {
    let mut programs = programs();
    let image = programs.image();
    let hold = |image: &TestImage| {
        for result in audit::all(&image.memory, ROOT, audit::Moment::Between) {
            assert_eq!(result.outcome, Outcome::Held, "{result:#?}");
        }
    };
    hold(&image);
    let smaps = task_text(&image.snapshot(), TaskView::Smaps, Some(1)).unwrap();
    assert!(smaps.contains("AnonHugePages:      2048 kB\n"), "{smaps}");
    let pagemap = task_text(&image.snapshot(), TaskView::Pagemap, Some(1)).unwrap();
    let large = pagemap.lines().filter(|line| line.ends_with(" 2M"));
    assert_eq!(large.count(), 512);
    // Shared, and split in one of the two.
    let mut child = programs.users[0].fork().unwrap();
    hold(&programs.image());
    child.write(AT + 7 * PAGE_SIZE, &[2]).unwrap();
    hold(&programs.image());
    child.destroy();
    hold(&programs.image());
}

#[test]
fn what_is_wrong_in_the_midst_of_one_is_found() {
    let programs = programs();
    let whole = programs.image();
    let (at, value) = entry(&whole, &programs, 0);
    let middle = ((value & PTE_ADDRESS) >> 12) as u32 + 300;
    let mut image = whole.copy();
    image.change_page(middle, REFCOUNT, |count| count + 2);
    let words = [&*format!("frame {middle:#x} has 3 references"), "1 entries"];
    assert_finds(&image, "page-references", &words);

    // The other process's, writable for both.
    let mut image = whole.copy();
    let (_, other) = entry(&whole, &programs, 1);
    image.write(at, &(other | PTE_WRITE).to_le_bytes());
    assert_finds(&image, "cow-unshared", &["held by 2 entries"]);
    assert_finds(&image, "page-references", &["has 1 references: 2 entries"]);

    let mut image = whole.copy();
    image.change_page(middle, FLAGS, |word| word | 1 << 3);
    let words = [&*format!("frame {middle:#x}"), "is a slab"];
    assert_finds(&image, "user-kernel-apart", &words);
}

#[test]
fn wrong_counts_are_found() {
    let programs = programs();
    let whole = programs.image();
    let (at, _) = entry(&whole, &programs, 0);
    for (field, words) in [
        (
            offset_of!(MmStruct, rss) + 8 * RssStat::Anon as usize,
            "anonymous",
        ),
        (offset_of!(MmStruct, pgtables), "page tables"),
    ] {
        let mut image = whole.copy();
        image.change_u32(programs.mm_field(field), |count| count - 1);
        assert_finds(&image, "rss-counters", &["pid 1 (a)", words]);
    }
    let mut image = whole.copy();
    image.write(at, &[0; 8]);
    assert_finds(&image, "rss-counters", &["counts 2 large entries", "are 1"]);
}
