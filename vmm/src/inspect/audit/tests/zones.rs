//! Corruptions of zones and of per-CPU state.

use std::mem::offset_of;

use pagelab_abi::{
    mm::MmState,
    page::{FLAGS_MASK, PageFlags},
    percpu::PerCpuPages,
    zone::Zone,
};

use super::{assert_finds, block, block_in, busy, violated};
use crate::inspect::{
    decode::{BlockState, pcp_lists},
    test_guest::{FLAGS, NEXT, PREV, REFCOUNT, TestGuest, TestImage},
};

/// Address of a field of a zone.
fn zone_field(image: &TestImage, zone: usize, field: usize) -> u64 {
    let zones = offset_of!(MmState, zones) + zone * size_of::<Zone>();
    image.snapshot().state_gpa + (zones + field) as u64
}

#[test]
fn a_wrong_count_of_free_frames_is_found() {
    let mut image = busy();
    let gpa = zone_field(&image, 1, offset_of!(Zone, free_pages));
    image.change_u32(gpa, |count| count + 1);
    assert_finds(&image, "zone-free-count", &["zone Normal", "nr_free_pages"]);
}

#[test]
fn frames_that_no_state_accounts_for_are_found() {
    let mut image = busy();
    let gpa = zone_field(&image, 0, offset_of!(Zone, managed));
    image.change_u32(gpa, |managed| managed - 1);
    assert_finds(&image, "frames-accounted", &["zone DMA", "managed"]);

    let mut image = busy();
    let gpa = zone_field(&image, 2, offset_of!(Zone, balloon_pages));
    image.change_u32(gpa, |pages| pages + 3);
    assert_finds(&image, "frames-accounted", &["zone HighMem", "balloon"]);

    // A free block of order 0 that is reserved all of a sudden.
    let mut image = busy();
    let (_, free) = block(&image, |it| it.state == BlockState::Free && it.order() == 0);
    image.change_page(free.pfn, FLAGS, |word| {
        word & !FLAGS_MASK | PageFlags::RESERVED.bits()
    });
    assert_finds(
        &image,
        "frames-accounted",
        &["free", "allocated", "but managed is"],
    );
}

#[test]
fn watermarks_out_of_order_or_of_another_size_are_found() {
    let mut image = busy();
    let gpa = zone_field(&image, 1, offset_of!(Zone, watermark));
    image.change_u32(gpa, |_| 1_000_000);
    assert_finds(&image, "watermarks", &["zone Normal", "do not ascend"]);

    let mut image = busy();
    let gpa = zone_field(&image, 0, offset_of!(Zone, lowmem_reserve)) + 4;
    image.change_u32(gpa, |reserve| reserve + 1);
    assert_finds(
        &image,
        "watermarks",
        &["zone DMA", "from requests for zone Normal"],
    );
}

#[test]
fn a_locked_zone_is_found() {
    let mut image = busy();
    let gpa = zone_field(&image, 2, offset_of!(Zone, lock));
    image.change_u32(gpa, |_| 1);
    assert_finds(&image, "free-list-links", &["zone HighMem is locked"]);
}

#[test]
fn broken_links_are_found() {
    for (field, value, words) in [
        (NEXT, 0x7fff_fff0, "which the zone does not have"),
        (PREV, 7, "links back to pfn 0x7"),
    ] {
        let mut image = busy();
        let (_, free) = block_in(&image, BlockState::Free);
        image.change_page(free.pfn, field, |_| value);
        assert_finds(
            &image,
            "free-list-links",
            &[&format!("pfn {:#x}", free.pfn), words],
        );
    }
}

#[test]
fn a_loop_in_a_list_ends() {
    let mut image = busy();
    let (_, free) = block_in(&image, BlockState::Free);
    image.change_page(free.pfn, NEXT, |_| free.pfn);
    assert_finds(&image, "free-list-links", &["links back to"]);
}

#[test]
fn a_member_of_another_order_is_found() {
    let mut image = busy();
    let (_, free) = block(&image, |it| it.state == BlockState::Free && it.order() > 1);
    image.change_page(free.pfn, FLAGS, |word| {
        word - (1 << pagelab_abi::page::ORDER_SHIFT)
    });
    let pfn = format!("pfn {:#x} is in it", free.pfn);
    assert_finds(&image, "free-list-links", &[&pfn, "BUDDY", "order"]);
}

#[test]
fn wrong_per_cpu_lists_are_found() {
    let (image, member, cpu, zone) = with_pcp_member();
    let pfn = format!("{member:#x}");

    let mut broken = TestImage {
        memory: copy(&image),
    };
    broken.change_page(member, NEXT, |_| member);
    assert_finds(&broken, "pcp-lists", &[&pfn, "already"]);

    let mut broken = TestImage {
        memory: copy(&image),
    };
    broken.change_page(member, FLAGS, |word| word ^ PageFlags::PCP.bits());
    assert_finds(&broken, "pcp-lists", &[&pfn, "its descriptor says"]);

    let mut broken = TestImage {
        memory: copy(&image),
    };
    broken.change_page(member, NEXT, |_| 0xdead_beef);
    assert_finds(&broken, "pcp-lists", &["0xdeadbeef"]);

    let mut broken = TestImage {
        memory: copy(&image),
    };
    let gpa = pcp_gpa(&image, cpu, zone) + offset_of!(PerCpuPages, count) as u64;
    broken.change_u32(gpa, |count| count + 2);
    assert_finds(&broken, "pcp-lists", &[&format!("CPU {cpu}"), "counts"]);
}

/// A busy guest, a frame on one of its per-CPU lists, and where that is.
fn with_pcp_member() -> (TestImage, u32, usize, usize) {
    let image = busy();
    let snapshot = image.snapshot();
    let found = snapshot.cpus.iter().find_map(|cpu| {
        snapshot.zones.iter().find_map(|zone| {
            let mut heads = pcp_lists().map(|(order, migrate)| {
                let list = pagelab_abi::percpu::pcp_list(order, migrate as u32);
                cpu.pcp[zone.index].lists[list]
            });
            let head = heads.find(|head| *head != pagelab_abi::page::NONE)?;
            Some((head, cpu.number, zone.index))
        })
    });
    let (member, cpu, zone) = found.unwrap();
    drop(snapshot);
    (image, member, cpu, zone)
}

fn pcp_gpa(image: &TestImage, cpu: usize, zone: usize) -> u64 {
    let snapshot = image.snapshot();
    let state = snapshot.state_gpa;
    let percpu = image.u64(state + offset_of!(MmState, percpu) as u64);
    let stride = image.u32(state + offset_of!(MmState, percpu_stride) as u64);
    percpu + cpu as u64 * u64::from(stride) + (zone * size_of::<PerCpuPages>()) as u64
}

fn copy(image: &TestImage) -> crate::inspect::image::SegmentedMemory<Vec<u8>> {
    image.copy().memory
}

#[test]
fn a_pageblock_that_is_not_what_it_says_is_found() {
    let table = |image: &TestImage| {
        image.u64(image.snapshot().state_gpa + offset_of!(MmState, pageblocks) as u64)
    };
    // A hole where there is RAM; a byte without a meaning; a reserve that nobody counts.
    for (byte, words) in [
        (0x30, "is a hole, but"),
        (0x87, "meaningless byte"),
        (0x03, "HighAtomic"),
    ] {
        let mut image = busy();
        let gpa = table(&image) + 3;
        image.write(gpa, &[byte]);
        let result = violated(&image, "pageblock-types");
        assert!(
            result.findings.iter().any(|it| it.contains(words)),
            "{words}: {result:#?}"
        );
    }
}

#[test]
fn a_free_block_of_another_type_than_its_pageblock_is_found() {
    let mut image = busy();
    let (_, free) = block_in(&image, BlockState::Free);
    image.change_page(free.pfn, FLAGS, |word| {
        word ^ 1 << pagelab_abi::page::MIGRATE_SHIFT
    });
    assert_finds(&image, "pageblock-types", &["is free with migrate type"]);
}

#[test]
fn wrong_references_are_found() {
    for (state, value) in [
        (BlockState::Free, 1),
        (BlockState::Pcp, 2),
        (BlockState::Allocated, 0),
        (BlockState::Offline, 0),
        (BlockState::Isolated, 1),
    ] {
        let mut image = match state {
            BlockState::Isolated => TestGuest::reporting().image(),
            _ => busy(),
        };
        let (_, found) = block_in(&image, state);
        image.change_page(found.pfn, REFCOUNT, |_| value);
        let words = [
            &*format!("{:#x}", found.pfn),
            &format!("{value} references"),
        ];
        assert_finds(&image, "refcounts", &words);
    }
}
