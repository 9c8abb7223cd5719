//! The audits of processes some of whose pages are in swap, on the real memory manager.

use std::mem::offset_of;

use pagelab_abi::{
    PAGE_SIZE,
    memcg::MemoryGroup,
    mm::MmState,
    mm_struct::{MmStruct, RssStat},
    mman::{MADV_PAGEOUT, MADV_WILLNEED},
    page_cache::{AddressSpace, RadixTreeNode, slot_of_swap, swap_of_slot},
    pte::{PTE_ADDRESS, PTE_WRITE},
    vma::{VmFlags, Vma},
};
use pagelab_mm::{
    FileId,
    page_cache::{FILE_GFP, Pageout},
    testing::TestMachine,
    user_mm::UserMm,
};

use super::assert_finds;
use crate::inspect::{
    Outcome, audit,
    test_guest::{REFCOUNT, ROOT, TestImage},
    test_programs::Programs,
};

const PAGE: u64 = PAGE_SIZE;

/// Two processes of which the first has, of its five pages, the first in swap, the second in the swap
/// cache, and the third mapped from there, as a child has it in swap. The child stays until the end.
fn programs() -> (Programs, UserMm<TestMachine>) {
    let mut programs = Programs::new();
    let at = programs.at;
    let user = &mut programs.users[0];
    user.mm().machine().disk().set_pages(100);
    assert_eq!(user.mm().swapon(), Ok(100));
    for page in [0, 2, 4] {
        user.madvise(at + page * PAGE, PAGE, MADV_PAGEOUT).unwrap();
    }
    user.madvise(at + 2 * PAGE, PAGE, MADV_WILLNEED).unwrap();
    let child = user.fork().unwrap();
    user.read(at + 4 * PAGE, &mut [0]).unwrap();
    assert_eq!((user.swapped(), child.swapped()), (2, 3));
    (programs, child)
}

/// Address and value of the entry for a page of the first process.
fn entry(image: &TestImage, programs: &Programs, page: u64) -> (u64, u64) {
    let va = programs.at + page * PAGE;
    let mut table = programs.users[0].pgd();
    for shift in [39, 30, 21] {
        table = image.u64(table + (va >> shift & 511) * 8) & PTE_ADDRESS;
    }
    let at = table + (va >> 12 & 511) * 8;
    (at, image.u64(at))
}

#[test]
fn all_hold_with_pages_in_swap() {
    let (programs, child) = programs();
    let image = programs.image();
    for result in audit::all(&image.memory, ROOT, audit::Moment::Between) {
        assert_eq!(result.outcome, Outcome::Held, "{result:#?}");
    }
    child.destroy();
    let image = programs.image();
    for result in audit::all(&image.memory, ROOT, audit::Moment::Between) {
        assert_eq!(result.outcome, Outcome::Held, "{result:#?}");
    }
}

#[test]
fn a_page_of_the_swap_cache_that_can_be_written_is_found() {
    let (programs, _child) = programs();
    let mut image = programs.image();
    let (at, value) = entry(&image, &programs, 4);
    image.write(at, &(value | PTE_WRITE).to_le_bytes());
    assert_finds(&image, "cow-unshared", &["pid 1 (a)", "in the swap cache"]);
}

#[test]
fn wrong_counts_are_found() {
    let (programs, _child) = programs();
    let mut image = programs.image();
    let (_, value) = entry(&image, &programs, 4);
    let pfn = ((value & PTE_ADDRESS) >> 12) as u32;
    image.change_page(pfn, REFCOUNT, |count| count + 2);
    let words = ["has 4 references: 1 entries", "and 1 of swap"];
    assert_finds(&image, "page-references", &words);
    image.change_page(pfn, REFCOUNT, |_| 1);
    assert_finds(&image, "page-references", &["has 1 references: 1 entries"]);

    let field = offset_of!(MmStruct, rss) + 8 * RssStat::Swap as usize;
    let mut image = programs.image();
    image.change_u32(programs.mm_field(field), |count| count + 1);
    assert_finds(
        &image,
        "rss-counters",
        &["counts 3 swapped pages, and has 2"],
    );

    // An entry that is lost.
    let mut image = programs.image();
    let (at, _) = entry(&image, &programs, 0);
    image.write(at, &[0; 8]);
    assert_finds(
        &image,
        "rss-counters",
        &["counts 2 swapped pages, and has 1"],
    );
    assert_finds(
        &image,
        "swap-entries",
        &["counts 2 entries, but 1 lead to it"],
    );
}

#[test]
fn an_entry_for_swap_in_the_wrong_place_is_found() {
    let (programs, _child) = programs();
    let mut image = programs.image();
    let (at, value) = entry(&image, &programs, 0);
    image.write(at + 8, &value.to_le_bytes());
    let words = ["the page in swap at", "lies in no private area"];
    assert_finds(&image, "user-pages-in-areas", &words);

    let mut image = programs.image();
    let snapshot = image.snapshot();
    let mms = snapshot.user_mms().unwrap();
    let first = mms.iter().find(|mm| mm.gpa == programs.users[0].gpa());
    let (areas, _) = snapshot.areas(first.unwrap());
    let area = areas
        .iter()
        .find(|area| area.contains(programs.at))
        .unwrap();
    let flags = area.gpa + offset_of!(Vma, flags) as u64;
    let shared = image.u64(flags) | VmFlags::SHARED.bits();
    image.write(flags, &shared.to_le_bytes());
    assert_finds(&image, "user-pages-in-areas", &words);
}

#[test]
fn a_slot_that_is_charged_to_nobody_is_found() {
    let (programs, _child) = programs();
    let mut image = programs.image();
    let state = image.snapshot().state_gpa + offset_of!(MmState, memory_groups) as u64;
    let charged = state + 4 * size_of::<MemoryGroup>() as u64;
    let field = charged + offset_of!(MemoryGroup, swap_usage) as u64;
    image.change_u32(field, |_| 2);
    let words = ["group 4 is charged 2 swap slots, and 0 have"];
    assert_finds(&image, "memory-groups", &words);
    image.change_u32(charged, |_| 1);
    image.change_u32(charged + offset_of!(MemoryGroup, swap_max) as u64, |_| 1);
    assert_finds(
        &image,
        "memory-groups",
        &["2 swap slots, and its limit is 1"],
    );
}

/// Shared memory of two pages, of which the second is in swap, mapped nowhere.
fn shared(programs: &Programs) -> FileId {
    let mm = programs.users[0].mm();
    let file = mm.file_new_shmem().unwrap();
    mm.file_write(file, 0, &[1; 2 * PAGE as usize]).unwrap();
    let pfn = mm.file_page(file, 1, false, FILE_GFP).unwrap().unwrap();
    assert_eq!(mm.pageout_file(pfn), Pageout::ToSwap);
    let slot = mm.swap_out(pfn).unwrap();
    assert_eq!(mm.leave_file_to_swap(pfn, slot), Pageout::Dropped);
    mm.put_page(pfn);
    assert_eq!((mm.file_nrpages(file), mm.file_nr_swapped(file)), (1, 1));
    file
}

#[test]
fn shared_memory_in_swap_is_known_and_its_slots_are_counted() {
    let (programs, _child) = programs();
    let file = shared(&programs);
    let mut image = programs.image();
    for result in audit::all(&image.memory, ROOT, audit::Moment::Between) {
        assert_eq!(result.outcome, Outcome::Held, "{result:#?}");
    }
    let files = image.snapshot().cached_files().unwrap();
    let known = files.iter().find(|known| known.gpa == file.get()).unwrap();
    let place = known.root + offset_of!(RadixTreeNode, slots) as u64 + 8;
    let slot = swap_of_slot(image.u64(place)).unwrap();
    // A slot that is another's, and one that there is not.
    image.write(place, &slot_of_swap(slot + 1).to_le_bytes());
    assert_finds(
        &image,
        "swap-entries",
        &["counts 1 entries, but 0 lead to it"],
    );
    image.write(place, &slot_of_swap(1 << 40).to_le_bytes());
    let words = ["page 0x1 leads to slot 1099511627776", "does not exist"];
    assert_finds(&image, "swap-entries", &words);

    let mut image = programs.image();
    let nr_swapped = file.get() + offset_of!(AddressSpace, nr_swapped) as u64;
    image.write(nr_swapped, &7_u64.to_le_bytes());
    assert_finds(&image, "page-cache", &["counts 7 pages in swap, and has 1"]);

    // A file whose pages never go to swap.
    let mut image = programs.image();
    let flags = file.get() + offset_of!(AddressSpace, flags) as u64;
    image.write(flags, &[0; 4]);
    assert_finds(&image, "page-cache", &["where no page of it can be"]);
}
