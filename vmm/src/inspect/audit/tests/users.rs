//! The audits of processes and of the page cache, on the real memory manager.

use std::mem::offset_of;

use pagelab_abi::{
    PAGE_SIZE,
    mm::MmState,
    mm_struct::{MmStruct, RssStat},
    page_cache::{AddressSpace, RadixTreeNode},
    pte::{PTE_ADDRESS, PTE_NX, PTE_WRITE},
    task::{TaskState, TaskStruct},
    vma::{Vma, VmaRoot},
    vmstat::NodeStat,
};

use super::{assert_finds, violated};

use crate::inspect::{
    Outcome, audit,
    decode::Area,
    test_guest::{MAPPING, REFCOUNT, ROOT, TestImage},
    test_programs::{Programs, TASKS, UNTOUCHED},
};

const PAGE: u64 = PAGE_SIZE;

/// The address of the last-level entry for an address of the first process.
pub(super) fn entry(image: &TestImage, programs: &Programs, va: u64) -> u64 {
    let mut table = programs.users[0].pgd();
    for shift in [39, 30, 21] {
        table = image.u64(table + (va >> shift & 511) * 8) & PTE_ADDRESS;
    }
    table + (va >> 12 & 511) * 8
}

fn change(image: &mut TestImage, gpa: u64, change: impl FnOnce(u64) -> u64) {
    let value = change(image.u64(gpa));
    image.write(gpa, &value.to_le_bytes());
}

/// The areas of the first process.
fn areas(image: &TestImage, programs: &Programs) -> Vec<Area> {
    let snapshot = image.snapshot();
    let mms = snapshot.user_mms().unwrap();
    let own = |mm: &&crate::inspect::decode::UserMm| mm.gpa == programs.users[0].gpa();
    let mm = mms.iter().find(own).unwrap();
    let (areas, fault) = snapshot.areas(mm);
    assert_eq!(fault, None);
    areas
}

#[test]
fn all_hold_on_the_real_memory_manager() {
    let mut programs = Programs::new();
    let image = programs.image();
    let results = audit::all(&image.memory, ROOT, audit::Moment::Between);
    assert!(results.iter().any(|result| result.name == "vma-trees"));
    for result in results {
        assert_eq!(result.outcome, Outcome::Held, "{result:#?}");
    }
    let left = audit::nothing_left(&image.snapshot());
    assert_eq!(
        (left.outcome, left.total),
        (Outcome::Violated, 5),
        "{left:#?}"
    );
    programs.give_back();
    let image = programs.image();
    let results = audit::all(&image.memory, ROOT, audit::Moment::Between);
    // What has no subject is not shown as passed.
    assert!(results.iter().all(|result| result.name != "vma-trees"));
    assert!(audit::nothing_left(&image.snapshot()).held());
}

#[test]
fn a_page_wider_than_its_area_or_in_none_is_found() {
    let programs = Programs::new();
    let at = programs.at;
    let entry = |image: &TestImage| entry(image, &programs, at);
    let mut image = programs.image();
    let place = entry(&image);
    change(&mut image, place, |value| value & !PTE_NX);
    assert_finds(
        &image,
        "user-pages-in-areas",
        &["pid 1 (a)", "can be executed"],
    );

    let mut image = programs.image();
    let first = areas(&image, &programs)
        .iter()
        .find(|area| area.contains(at))
        .unwrap()
        .gpa;
    let flags = first + offset_of!(Vma, flags) as u64;
    change(&mut image, flags, |flags| flags & !2);
    assert_finds(&image, "user-pages-in-areas", &["can be written"]);
    change(&mut image, flags, |flags| flags & !3);
    assert_finds(&image, "user-pages-in-areas", &["can be read"]);

    let mut image = programs.image();
    let value = image.u64(place);
    image.write(place + 8, &value.to_le_bytes());
    assert_finds(&image, "user-pages-in-areas", &["lies in no area"]);

    let mut image = programs.image();
    change(&mut image, programs.users[0].pgd() + (at >> 39) * 8, |_| {
        1 << 40 | 7
    });
    assert_finds(&image, "user-pages-in-areas", &["leads nowhere"]);
}

#[test]
fn a_writable_page_that_is_shared_is_found() {
    let programs = Programs::new();
    let mut image = programs.image();
    let first = entry(&image, &programs, programs.at);
    let value = image.u64(first);
    image.write(first + 16, &value.to_le_bytes());
    assert_finds(&image, "cow-unshared", &["held by 2 entries"]);
    assert_finds(&image, "page-references", &["has 1 references: 2 entries"]);
    assert_finds(&image, "page-references", &["no entry holds it"]);

    // The page that was only read: the page of zeros.
    let mut image = programs.image();
    let untouched = programs.at - UNTOUCHED;
    let zeros = entry(&image, &programs, untouched);
    change(&mut image, zeros, |value| value | PTE_WRITE);
    assert_finds(&image, "cow-unshared", &["the page of zeros"]);
}

#[test]
fn a_way_to_the_kernel_is_found() {
    let programs = Programs::new();
    let with_frame = |gpa: u64| {
        let mut image = programs.image();
        let first = entry(&image, &programs, programs.at);
        change(&mut image, first, |value| {
            value & !PTE_ADDRESS | gpa & PTE_ADDRESS
        });
        image
    };
    let name = "user-kernel-apart";
    assert_finds(&with_frame(programs.users[0].gpa()), name, &["is a slab"]);
    assert_finds(
        &with_frame(programs.users[0].pgd()),
        name,
        &["is a page table"],
    );
    assert_finds(&with_frame(0x5000), name, &["not allocated"]);
    let mut image = programs.image();
    let first = entry(&image, &programs, programs.at);
    let pfn = (image.u64(first) & PTE_ADDRESS) >> 12;
    image.change_page(pfn as u32, MAPPING, |_| 0x1000);
    assert_finds(&image, name, &["neither anonymous"]);

    let mut image = programs.image();
    change(&mut image, programs.users[0].pgd() + 8 * 300, |_| 0x1003);
    assert_finds(&image, name, &["entry 300", "0x1003"]);
}

#[test]
fn wrong_counts_are_found() {
    let programs = Programs::new();
    let mut image = programs.image();
    let first = entry(&image, &programs, programs.at);
    let pfn = (image.u64(first) & PTE_ADDRESS) >> 12;
    image.change_page(pfn as u32, REFCOUNT, |count| count + 1);
    assert_finds(&image, "page-references", &["has 2 references: 1 entries"]);
    // The kernel may have that one while it works on the frame, but no more.
    let within = |image: &TestImage| {
        let audits = audit::all(&image.memory, ROOT, audit::Moment::Anywhere);
        let audit = audits
            .into_iter()
            .find(|audit| audit.name == "page-references");
        audit.unwrap().outcome
    };
    assert_eq!(within(&image), Outcome::Held);
    image.change_page(pfn as u32, REFCOUNT, |count| count + 1);
    assert_eq!(within(&image), Outcome::Violated);

    let rss = offset_of!(MmStruct, rss) + 8 * RssStat::Anon as usize;
    for (field, word) in [
        (rss, "anonymous"),
        (offset_of!(MmStruct, total_vm), "in areas"),
        (offset_of!(MmStruct, locked_vm), "locked"),
        (offset_of!(MmStruct, pgtables), "page tables"),
    ] {
        let mut image = programs.image();
        change(&mut image, programs.mm_field(field), |count| count + 1);
        assert_finds(&image, "rss-counters", &["pid 1 (a)", word]);
    }
}

#[test]
fn broken_trees_are_found() {
    let programs = Programs::new();
    let whole = programs.image();
    let areas = areas(&whole, &programs);
    assert!(areas.len() >= 5);
    let root = whole.u64(programs.mm_field(offset_of!(MmStruct, vmas) + offset_of!(VmaRoot, root)));
    let middle = &areas[2];
    for (gpa, field, value, words) in [
        (
            middle.gpa,
            offset_of!(Vma, end),
            areas[3].start + PAGE,
            "overlaps",
        ),
        (
            middle.gpa,
            offset_of!(Vma, start),
            middle.start + 1,
            "not page-aligned",
        ),
        (middle.gpa, offset_of!(Vma, prev), 0, "link back"),
        (
            middle.gpa,
            offset_of!(Vma, next),
            1 << 40,
            "cannot be followed",
        ),
        (
            middle.gpa,
            offset_of!(Vma, next),
            areas[0].gpa,
            "does not end",
        ),
        (middle.gpa, offset_of!(Vma, subtree_gap), 5, "largest gap"),
        (root, offset_of!(Vma, parent), 0, "red root"),
        (
            root,
            offset_of!(Vma, parent),
            middle.gpa | 1,
            "another parent",
        ),
        (root, offset_of!(Vma, left), 0, "tree and list"),
        (root, offset_of!(Vma, left), root, "another parent"),
        (root, offset_of!(Vma, right), 1 << 40, "link of the tree"),
        (
            programs.mm_field(offset_of!(MmStruct, vmas)),
            offset_of!(VmaRoot, count),
            77,
            "77 areas are counted",
        ),
    ] {
        let mut image = whole.copy();
        change(&mut image, gpa + field as u64, |_| value);
        assert_finds(&image, "vma-trees", &["pid 1 (a)", words]);
    }
}

#[test]
fn broken_files_are_found() {
    let programs = Programs::new();
    let whole = programs.image();
    let file = whole.snapshot().cached_files().unwrap().remove(0);
    let (index, pfn) = whole.snapshot().cached_pages(&file).pages[0];
    let slots = file.root + offset_of!(RadixTreeNode, slots) as u64;
    let leaf = whole.u64(slots + (index >> 6) * 8);
    let tag = 1 << (index % 64);
    for (gpa, field, value, words) in [
        (
            file.gpa,
            offset_of!(AddressSpace, nrpages),
            9,
            "counts 9 pages, and has 3",
        ),
        (
            file.gpa,
            offset_of!(AddressSpace, size),
            PAGE,
            "behind its 4096 bytes",
        ),
        (
            file.gpa,
            offset_of!(AddressSpace, root),
            1 << 40,
            "cannot be read",
        ),
        (
            file.root,
            offset_of!(RadixTreeNode, parent),
            8,
            "does not name its parent",
        ),
        (
            file.root,
            offset_of!(RadixTreeNode, shift),
            5,
            "impossible shift",
        ),
        (
            file.root,
            offset_of!(RadixTreeNode, slots),
            file.root,
            "should have",
        ),
        (
            leaf,
            offset_of!(RadixTreeNode, tags),
            tag,
            "do not agree on whether it is dirty",
        ),
        (
            leaf,
            offset_of!(RadixTreeNode, tags),
            tag,
            "has dirty pages and no store",
        ),
        (
            leaf,
            offset_of!(RadixTreeNode, tags),
            tag,
            "counts 0 dirty pages, and has 1",
        ),
        (
            file.root,
            offset_of!(RadixTreeNode, tags),
            1 << 9,
            "has other tags in slot 9",
        ),
        (
            file.gpa,
            offset_of!(AddressSpace, nr_dirty),
            2,
            "counts 2 dirty pages, and has 0",
        ),
        (
            whole.snapshot().state_gpa,
            offset_of!(MmState, node_stat) + 8 * NodeStat::FilePages as usize,
            77,
            "nr_file_pages is 77, but the files have 3 such pages",
        ),
    ] {
        let mut image = whole.copy();
        change(&mut image, gpa + field as u64, |_| value);
        assert_finds(&image, "page-cache", &[words]);
    }
    let mut image = whole.copy();
    image.change_page(pfn, MAPPING, |gpa| gpa + 8);
    assert_finds(&image, "page-cache", &["its descriptor names"]);
}

#[test]
fn processes_that_cannot_be_are_found() {
    let programs = Programs::new();
    let whole = programs.image();
    let second = TASKS[1];
    for (field, value, words) in [
        (offset_of!(TaskStruct, pid), 1, "taken"),
        (offset_of!(TaskStruct, ppid), 77, "the parent 77"),
        (
            offset_of!(TaskStruct, state),
            TaskState::Zombie as u32,
            "has ended",
        ),
        (offset_of!(TaskStruct, state), 99, "in no state"),
        (offset_of!(TaskStruct, mm), 0x1234, "no address space"),
    ] {
        let mut image = whole.copy();
        image.change_u32(second + field as u64, |_| value);
        assert_finds(&image, "processes", &[words]);
    }
    let mut image = whole.copy();
    change(
        &mut image,
        second + offset_of!(TaskStruct, next) as u64,
        |_| TASKS[0],
    );
    assert_finds(&image, "decode", &["list of processes"]);
    assert_eq!(image.audit("processes").outcome, Outcome::Skipped);
    let mut image = whole.copy();
    change(
        &mut image,
        programs.mm_field(offset_of!(MmStruct, magic)),
        |_| 0,
    );
    violated(&image, "decode");
}
