//! Corruptions of the memory groups.

use std::mem::offset_of;

use pagelab_abi::{
    lru::LruList, memcg::MemoryGroup, mm::MmState, page::GROUP_SHIFT, task::TaskStruct,
};

use super::assert_finds;
use crate::inspect::{
    decode::FrameSet,
    test_guest::{FLAGS, TestImage},
    test_programs::Programs,
};

const NAME: &str = "memory-groups";

fn image() -> TestImage {
    let image = Programs::new().image();
    assert!(image.audit(NAME).held());
    image
}

/// A field of a group.
fn field(image: &TestImage, group: usize, field: usize) -> u64 {
    let at = offset_of!(MmState, memory_groups) + group * size_of::<MemoryGroup>() + field;
    image.snapshot().state_gpa + at as u64
}

#[test]
fn a_page_with_a_number_that_is_not_charged_is_found() {
    let mut broken = image();
    let mut pages = Vec::new();
    let snapshot = broken.snapshot();
    let mut seen = FrameSet::new(snapshot.pfns());
    snapshot
        .walk_lru(0, LruList::InactiveAnon, &mut seen, |pfn, _| {
            pages.push(pfn)
        })
        .unwrap();
    drop(snapshot);
    broken.change_page(pages[0], FLAGS, |word| word | 5 << GROUP_SHIFT);
    assert_finds(&broken, NAME, &["group 5 is charged 0 pages, and 1 have"]);
    // A charge makes it true again.
    let usage = field(&broken, 5, offset_of!(MemoryGroup, usage));
    broken.change_u32(usage, |_| 1);
    assert!(broken.audit(NAME).held());
}

#[test]
fn a_charge_without_a_page_and_one_above_the_limit_are_found() {
    let mut broken = image();
    let usage = field(&broken, 3, offset_of!(MemoryGroup, usage));
    broken.change_u32(usage, |_| 9);
    assert_finds(&broken, NAME, &["group 3 is charged 9 pages, and 0 have"]);
    for (at, value) in [
        (offset_of!(MemoryGroup, online), 1),
        (offset_of!(MemoryGroup, max), 4),
    ] {
        let at = field(&broken, 3, at);
        broken.change_u32(at, |_| value);
    }
    assert_finds(&broken, NAME, &["group 3 is charged 9", "its limit is 4"]);
}

#[test]
fn a_process_in_a_group_that_does_not_exist_is_found() {
    for number in [7, 16, u32::MAX] {
        let mut broken = image();
        let task = broken.snapshot().tasks().unwrap()[0].gpa;
        let at = task + offset_of!(TaskStruct, memory_group) as u64;
        broken.change_u32(at, |_| number);
        let says = format!("pid 1 (a) is in memory group {number}, which does not");
        assert_finds(&broken, NAME, &[&says]);
    }
}
