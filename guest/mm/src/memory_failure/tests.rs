//! Frames of every kind break: each leaves service once, and none comes back.

use crate::{
    Mm, Order, Pfn,
    testing::{TestMachine, boot, violations},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    event::EventKind,
    gfp::Gfp,
    memory_failure::{MfResult, MfType},
    page::{PageFlags, flags_of},
    slab::CacheFlags,
};
use proptest::prelude::*;
use std::{collections::BTreeSet, vec::Vec};

const MIB: u64 = 1 << 20;

fn order(number: u32) -> Order {
    Order::new(number).unwrap()
}

/// Takes all memory that can be had, page by page.
fn all_pages(mm: &Mm<TestMachine>) -> BTreeSet<u32> {
    let gfp = Gfp::HIGHUSER_MOVABLE | Gfp::NOWARN;
    std::iter::from_fn(|| mm.alloc_pages(gfp, Order::ZERO).ok())
        .map(|pfn| pfn.0)
        .collect()
}

#[test]
fn a_free_frame_leaves_the_largest_block_and_the_rest_stays_free() {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    let free = mm.free_pages_total();
    // The middle of a block of order 10 in which nothing was touched.
    let pfn = Pfn((0x2800..0x3000)
        .find(|pfn| mm.block_of(Pfn(*pfn)).unwrap().order == order(10))
        .unwrap()
        + 0x155);
    let failure = mm.memory_failure(pfn);
    assert_eq!(
        (failure.kind, failure.result),
        (MfType::Buddy, MfResult::Recovered)
    );
    assert_eq!(violations(&mm), []);
    assert_eq!(mm.free_pages_total(), free - 1);
    assert_eq!(mm.hwpoison_pages(), 1);
    assert_eq!(mm.block_of(pfn).unwrap().flags, PageFlags::HWPOISON);
    let events = mm.machine().take_events();
    let what = MfType::Buddy as u64 | (MfResult::Recovered as u64) << 8;
    assert_eq!(
        events.last(),
        Some(&(EventKind::MemoryFailure, pfn.0.into(), what))
    );
    let taken = all_pages(&mm);
    assert!(!taken.contains(&pfn.0));
    for pfn in taken {
        mm.free_pages(Pfn(pfn), Order::ZERO);
    }
    mm.drain_all_pages();
    assert_eq!(violations(&mm), []);
    assert_eq!(mm.free_pages_total(), free - 1);
}

#[test]
fn a_frame_in_a_per_cpu_list_leaves_it() {
    let mm = boot(32 * MIB, ZoneConfig::CLASSIC);
    let pfn = mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap();
    mm.free_pages(pfn, Order::ZERO);
    assert_eq!(mm.block_of(pfn).unwrap().flags, PageFlags::PCP);
    assert_eq!(mm.memory_failure(pfn).result, MfResult::Recovered);
    assert_eq!(violations(&mm), []);
    assert!(!all_pages(&mm).contains(&pfn.0));
}

#[test]
fn what_is_the_kernels_own_cannot_be_given_up() {
    let mm = boot(32 * MIB, ZoneConfig::CLASSIC);
    mm.slab_init(CacheFlags::empty()).unwrap();
    let own = mm.alloc_pages(Gfp::KERNEL, order(2)).unwrap();
    let large = mm.slab().kmalloc(64 << 10, Gfp::KERNEL).unwrap();
    let small = mm.slab().kmalloc(64, Gfp::KERNEL).unwrap();
    let frame = |object: core::ptr::NonNull<u8>| mm.virt_to_pfn(object.as_ptr() as usize).unwrap();
    for (pfn, kind) in [
        (own.add(3), MfType::KernelHighOrder),
        (frame(large).add(1), MfType::Slab),
        (frame(small), MfType::Slab),
        (Pfn(0), MfType::Kernel),
    ] {
        let failure = mm.memory_failure(pfn);
        assert_eq!(
            (failure.kind, failure.result),
            (kind, MfResult::Failed),
            "{pfn}"
        );
    }
    let outside = mm.memory_failure(Pfn(1 << 30));
    assert_eq!(
        (outside.kind, outside.result),
        (MfType::Unknown, MfResult::Ignored)
    );
    let state = &mm.state().memory_failure;
    assert_eq!(state.total.load(Relaxed), 5);
    assert_eq!(state.results[MfResult::Failed as usize].load(Relaxed), 4);
    assert_eq!(state.failures[1].kind.load(Relaxed), MfType::Slab as u32);
    assert_eq!(violations(&mm), []);
}

#[test]
fn a_frame_that_the_host_has_goes_when_it_comes_back() {
    let mm = boot(256 * MIB, ZoneConfig::CLASSIC);
    let (block, size) = mm.balloon_inflate(order(9)).unwrap();
    let broken = [block.add(3), block.add(200)];
    for pfn in broken {
        let failure = mm.memory_failure(pfn);
        assert_eq!(
            (failure.kind, failure.result),
            (MfType::Offline, MfResult::Delayed)
        );
    }
    assert_eq!(mm.memory_failure(broken[0]).kind, MfType::AlreadyPoisoned);
    assert_eq!(mm.hwpoison_pages(), 0);
    mm.balloon_deflate(block, size);
    assert_eq!(mm.hwpoison_pages(), 2);
    assert_eq!(violations(&mm), []);
    let mut reported = [(Pfn(0), Order::ZERO); 4];
    let count = mm.report_isolate(order(9), &mut reported);
    assert!(count > 0);
    let pfn = reported[0].0.add(77);
    assert_eq!(mm.memory_failure(pfn).result, MfResult::Delayed);
    mm.report_putback(&reported[..count], true);
    assert_eq!(mm.hwpoison_pages(), 3);
    assert_eq!(violations(&mm), []);
    let taken = all_pages(&mm);
    assert!(
        broken
            .iter()
            .chain([&pfn])
            .all(|pfn| !taken.contains(&pfn.0))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Blocks come and go while frames break; whatever a frame was, it never comes back.
    #[test]
    fn a_broken_frame_is_never_seen_again(
        steps in prop::collection::vec((0u32..6, 0u32..6, 0u32..8192), 1..60)
    ) {
        let mm = boot(32 * MIB, ZoneConfig::CLASSIC);
        let mut held: Vec<(Pfn, Order)> = Vec::new();
        let mut broken = BTreeSet::new();
        for (what, number, pick) in steps {
            match what {
                0 | 1 => {
                    let size = order(number);
                    if let Ok(pfn) = mm.alloc_pages(Gfp::HIGHUSER_MOVABLE | Gfp::NOWARN, size) {
                        prop_assert!((pfn.0..pfn.0 + size.pages()).all(|it| !broken.contains(&it)));
                        held.push((pfn, size));
                    }
                }
                2 if !held.is_empty() => {
                    let (pfn, size) = held.swap_remove(pick as usize % held.len());
                    mm.free_pages(pfn, size);
                }
                _ => {
                    let pfn = Pfn(pick);
                    let before = mm.block_of(pfn).map(|block| block.flags);
                    let failure = mm.memory_failure(pfn);
                    let free = before.is_some_and(|flags| {
                        flags.intersects(PageFlags::BUDDY | PageFlags::PCP)
                    });
                    prop_assert_eq!(failure.result == MfResult::Recovered, free, "{:?}", before);
                    if free {
                        prop_assert!(broken.insert(pfn.0));
                    }
                }
            }
            prop_assert_eq!(violations(&mm), []);
            prop_assert_eq!(mm.hwpoison_pages(), broken.len() as u64);
        }
        for &pfn in &broken {
            let word = mm.page(Pfn(pfn)).unwrap().flags.load(Relaxed);
            prop_assert_eq!(flags_of(word), PageFlags::HWPOISON);
        }
    }
}
