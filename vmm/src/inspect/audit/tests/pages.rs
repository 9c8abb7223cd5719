//! Corruptions of blocks and of counters.

use pagelab_abi::{
    memblock::{Region, RegionTable},
    mm::MmState,
    page::{FLAGS_MASK, ORDER_SHIFT, PageFlags, PageblockState},
    root::Root,
};
use std::mem::offset_of;

use super::{assert_finds, block, block_in, busy};
use crate::inspect::{
    audit,
    decode::{Block, BlockState},
    test_guest::{FLAGS, ROOT, TestImage},
};

/// Whether the descriptors inside a block are valid.
fn is_ready(image: &TestImage, block: &Block) -> bool {
    let pageblock = image.snapshot().pageblocks.of(block.pfn).unwrap();
    pageblock.state() == PageblockState::Ready
}

#[test]
fn an_allocated_frame_inside_a_free_block_is_found() {
    let mut image = busy();
    let (_, free) = block(&image, |it| {
        it.state == BlockState::Free && it.order() > 1 && is_ready(&image, it)
    });
    image.change_page(free.pfn + 1, FLAGS, |_| PageFlags::ALLOCATED.bits());
    let words = [
        &*format!("pfn {:#x} lies inside", free.pfn + 1),
        "marked 0x4",
    ];
    assert_finds(&image, "no-overlap", &words);
}

#[test]
fn a_block_in_two_places_is_found() {
    // An allocation that claims to be twice as long reaches into its free buddy.
    let mut image = busy();
    let snapshot = image.snapshot();
    let (_, taken) = block(&image, |it| {
        let buddy = snapshot
            .descriptor(it.pfn + 1)
            .map(|buddy| (buddy.flags(), buddy.order()));
        let is_alone = it.state == BlockState::Allocated && !it.is_slab() && it.order() == 0;
        is_alone && it.pfn % 2 == 0 && buddy == Some((PageFlags::BUDDY, 0))
    });
    drop(snapshot);
    image.change_page(taken.pfn, FLAGS, |word| word | 1 << ORDER_SHIFT);
    let pfn = format!("pfn {:#x} is in an allocation", taken.pfn + 1);
    assert_finds(&image, "no-overlap", &[&pfn, "and in a free list"]);

    // Reserved memory grows into what the page allocator was given.
    let mut image = busy();
    let region = offset_of!(MmState, memory_reserved) + offset_of!(RegionTable, regions);
    let size = image.snapshot().state_gpa + (region + offset_of!(Region, size)) as u64;
    image.change_u32(size, |size| size + 0x5000);
    assert_finds(&image, "no-overlap", &["is in reserved memory", "and in"]);
    assert_finds(&image, "frames-accounted", &["frames are reserved"]);
}

#[test]
fn a_frame_that_is_nowhere_is_found() {
    let mut image = busy();
    let (_, taken) = block_in(&image, BlockState::Allocated);
    image.change_page(taken.pfn, FLAGS, |word| {
        word & !FLAGS_MASK | PageFlags::RESERVED.bits()
    });
    assert_finds(
        &image,
        "no-overlap",
        &[&format!("{:#x}", taken.pfn), "are nowhere"],
    );
}

#[test]
fn a_head_without_a_state_is_found() {
    let mut image = busy();
    let (_, taken) = block_in(&image, BlockState::Allocated);
    image.change_page(taken.pfn, FLAGS, |word| word & !FLAGS_MASK);
    let words = [
        &*format!("pfn {:#x} should start a block", taken.pfn),
        "no flag",
    ];
    assert_finds(&image, "no-overlap", &words);
}

#[test]
fn unmerged_buddies_are_found() {
    let mut image = busy();
    // A free block is cut in two by hand: both halves are heads now.
    let (_, free) = block(&image, |it| {
        it.state == BlockState::Free && (2..9).contains(&it.order()) && is_ready(&image, it)
    });
    let half = free.head.word - (1 << ORDER_SHIFT);
    image.change_page(free.pfn, FLAGS, |_| half);
    image.change_page(free.pfn + free.pages() / 2, FLAGS, |_| half);
    assert_finds(
        &image,
        "buddies-merged",
        &[&format!("pfn {:#x}", free.pfn), "are both free"],
    );
}

#[test]
fn counters_that_disagree_are_found() {
    // A failure that the clock did not see, and a move of pages too few.
    let by_kind = ROOT + offset_of!(Root, clock) as u64;
    let by_kind = by_kind + offset_of!(pagelab_abi::event::EventClock, by_kind) as u64;
    let ticks = |kind: pagelab_abi::event::EventKind| by_kind + 8 * (kind as u64 - 1);
    let mut image = busy();
    image.change_u32(
        ticks(pagelab_abi::event::EventKind::PageAllocFail),
        |count| count + 1,
    );
    assert_finds(
        &image,
        "vmstat-consistent",
        &["pgalloc_fail", "page_alloc_fail"],
    );
    let mut image = busy();
    image.change_u32(ticks(pagelab_abi::event::EventKind::PcpMove), |count| {
        count - 1
    });
    assert_finds(&image, "vmstat-consistent", &["pcp_refill + pcp_drain"]);

    // An allocation that was not counted.
    let mut image = busy();
    let (_, taken) = block_in(&image, BlockState::Allocated);
    image.change_page(taken.pfn, FLAGS, |word| {
        word & !FLAGS_MASK | PageFlags::RESERVED.bits()
    });
    assert_finds(&image, "vmstat-consistent", &["pgalloc_*", "in use"]);

    let mut image = busy();
    let (_, lent) = block_in(&image, BlockState::Offline);
    image.change_page(lent.pfn, FLAGS, |word| {
        word & !FLAGS_MASK | PageFlags::ALLOCATED.bits()
    });
    assert_finds(
        &image,
        "vmstat-consistent",
        &["balloon_inflate", "the balloon has"],
    );
}

#[test]
fn failures_that_do_not_add_up_are_found() {
    let guest = crate::inspect::test_guest::TestGuest::busy(super::CacheFlags::empty());
    let image = guest.image();
    assert!(audit::fault_accounting(&image.snapshot()).held());
    let control = ROOT + offset_of!(Root, control) as u64;
    let progress = ROOT + offset_of!(Root, progress) as u64;
    let page = control + offset_of!(pagelab_abi::control::Control, fail_page_alloc) as u64;
    let injected = page + offset_of!(pagelab_abi::fault::FaultAttr, injected) as u64;
    let field = |offset: usize| progress + offset as u64;
    let mismatches = field(offset_of!(pagelab_abi::workload::Progress, mismatches));
    let failed = field(offset_of!(pagelab_abi::workload::Progress, objects_failed));
    for (gpa, words) in [
        (injected, "fail_page_alloc: injected"),
        (mismatches, "contents that were not as written"),
        (failed, "allocations fail, but only"),
    ] {
        let mut image = guest.image();
        image.change_u32(gpa, |count| count + 100_000);
        let result = audit::fault_accounting(&image.snapshot());
        assert!(
            result.violated() && result.findings[0].contains(words),
            "{result:#?}"
        );
    }
}
