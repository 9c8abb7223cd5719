//! Every single failure, of an allocation or of the device, one after the other.

use super::{check, frames, machine, mm, out, page, stamp};
use crate::{
    AllocError, Mm,
    machine::Machine,
    swap::{SwapError, SwapOnError},
    testing::TestMachine,
};
use core::sync::atomic::Ordering::Relaxed;
use std::vec::Vec;

#[test]
fn swap_that_cannot_begin_leaves_nothing() {
    let mut failures = 0;
    loop {
        // Seven clusters and the head.
        let mm = machine(1600);
        let before = frames(&mm);
        let attr = &mm.machine().control().fail_page_alloc;
        attr.nth.store(failures + 1, Relaxed);
        let result = mm.swapon();
        attr.nth.store(0, Relaxed);
        check(&mm);
        if result == Ok(1600) {
            break;
        }
        assert_eq!(result, Err(SwapOnError::NoMemory(AllocError::Injected)));
        assert_eq!(frames(&mm), before);
        assert_eq!(mm.state().swap.load(Relaxed), 0);
        assert_eq!(mm.swapon(), Ok(1600), "it works the second time");
        check(&mm);
        failures += 1;
    }
    assert_eq!(failures, 8);
}

#[test]
fn a_page_that_has_no_frame_to_come_back_to_stays_in_its_slot() {
    let mm = mm(1000);
    let entry = out(&mm, page(&mm, 4)).unwrap();
    let before = frames(&mm);
    let attr = &mm.machine().control().fail_page_alloc;
    attr.nth.store(1, Relaxed);
    let injected = SwapError::NoMemory(AllocError::Injected);
    assert_eq!(mm.swap_in(entry), Err(injected));
    assert_eq!(frames(&mm), before);
    check(&mm);
    let pfn = mm.swap_in(entry).unwrap();
    assert_eq!(stamp(&mm, pfn), Some(4));
}

/// Six pages out, shared, in, and away again. Whether everything succeeded; what failed is as it was.
fn work(mm: &Mm<TestMachine>) -> bool {
    let mut failures = 0;
    let mut entries = Vec::new();
    for value in 1..=6 {
        let pfn = page(mm, value);
        match out(mm, pfn) {
            Ok(entry) => entries.push((value, entry)),
            Err(error) => {
                assert_eq!(error, SwapError::Io);
                assert_eq!(stamp(mm, pfn), Some(value));
                mm.put_page(pfn);
                failures += 1;
            }
        }
        check(mm);
    }
    for &(value, entry) in &entries {
        mm.swap_duplicate(entry).unwrap();
        for _ in 0..2 {
            let pfn = mm.swap_in(entry).or_else(|error| {
                assert!(matches!(error, SwapError::Io | SwapError::NoMemory(_)));
                failures += 1;
                check(mm);
                mm.swap_in(entry)
            });
            let pfn = pfn.unwrap();
            assert_eq!(stamp(mm, pfn), Some(value));
            mm.swap_free(entry).unwrap();
            mm.put_page(pfn);
            check(mm);
        }
    }
    failures == 0
}

#[test]
fn each_failure_of_the_device_costs_no_data() {
    // One failure alone is coped with, more reach the caller.
    for in_a_row in 1..=3 {
        let mut reached = 0;
        for nth in 1.. {
            let mm = mm(1000);
            let before = frames(&mm);
            mm.machine().disk().fail_from(nth, in_a_row);
            reached += u64::from(!work(&mm));
            let failed = mm.machine().disk().failed();
            check(&mm);
            assert_eq!(frames(&mm), before, "failure {nth}");
            let (total, free) = mm.swap_slots();
            assert_eq!(total, free);
            assert!(total >= 999 - failed);
            if failed == 0 {
                assert_eq!(total, 999);
                break;
            }
        }
        assert_eq!(reached > 0, in_a_row > 1, "{in_a_row} in a row");
    }
}

#[test]
fn each_failed_allocation_costs_no_data() {
    for nth in 1.. {
        let mm = mm(1000);
        let before = frames(&mm);
        let attr = &mm.machine().control().fail_page_alloc;
        // The pages of the test itself are not to fail.
        let pages: Vec<_> = (1..=4).map(|value| (value, page(&mm, value))).collect();
        attr.nth.store(nth, Relaxed);
        let entries: Vec<_> = pages
            .iter()
            .map(|&(value, pfn)| (value, out(&mm, pfn).unwrap()))
            .collect();
        let mut failures = 0;
        for (value, entry) in entries {
            let pfn = mm.swap_in(entry).or_else(|error| {
                assert_eq!(error, SwapError::NoMemory(AllocError::Injected));
                failures += 1;
                mm.swap_in(entry)
            });
            let pfn = pfn.unwrap();
            assert_eq!(stamp(&mm, pfn), Some(value));
            mm.swap_free(entry).unwrap();
            mm.put_page(pfn);
            check(&mm);
        }
        assert_eq!(frames(&mm), before);
        if failures == 0 {
            // Going out takes no memory, coming back one page each.
            assert_eq!(nth, 5);
            return;
        }
    }
}
