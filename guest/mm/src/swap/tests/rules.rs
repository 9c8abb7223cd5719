//! What holds of each call.

use super::{check, fill, frames, machine, mm, out, page, references, stamp};
use crate::swap::{SwapEntry, SwapError, SwapOnError};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{event::EventKind, swap::SLOT_MAX};
use std::vec::Vec;

#[test]
fn a_page_goes_out_and_comes_back() {
    let mm = mm(1000);
    let before = frames(&mm);
    let pfn = page(&mm, 7);
    mm.machine().take_events();
    let entry = out(&mm, pfn).unwrap();
    let slot = entry.slot();
    let swapped = (EventKind::SwapOut, slot, u64::from(pfn.0));
    assert!(mm.machine().take_events().contains(&swapped));
    assert_eq!(frames(&mm), before, "the frame is free");
    assert_eq!(mm.swap_slots(), (999, 998));
    check(&mm);
    let back = mm.swap_in(entry).unwrap();
    let swapped = (EventKind::SwapIn, slot, u64::from(back.0));
    assert!(mm.machine().take_events().contains(&swapped));
    assert_eq!(stamp(&mm, back), Some(7));
    assert_eq!(references(&mm, back), 2);
    assert_eq!(mm.swap_cache_entry(back), Some(entry));
    check(&mm);
    mm.swap_free(entry).unwrap();
    // The page is the program's own again.
    assert_eq!(references(&mm, back), 1);
    assert_eq!(mm.swap_cache_entry(back), None);
    assert_eq!(mm.swap_slots(), (999, 999));
    check(&mm);
    mm.put_page(back);
    assert_eq!(frames(&mm), before);
}

#[test]
fn a_shared_slot_keeps_its_page_for_the_others() {
    let mm = mm(1000);
    let before = frames(&mm);
    let entry = out(&mm, page(&mm, 9)).unwrap();
    // Two forks.
    mm.swap_duplicate(entry).unwrap();
    mm.swap_duplicate(entry).unwrap();
    assert_eq!(mm.swap_count(entry), 3);
    let first = mm.swap_in(entry).unwrap();
    mm.swap_free(entry).unwrap();
    let reads = mm.machine().disk().requests();
    let second = mm.swap_in(entry).unwrap();
    mm.swap_free(entry).unwrap();
    assert_eq!((first, mm.machine().disk().requests()), (second, reads));
    assert_eq!(references(&mm, first), 3, "two programs and the cache");
    check(&mm);
    // The third exits.
    mm.swap_free(entry).unwrap();
    assert_eq!(references(&mm, first), 2);
    check(&mm);
    mm.put_page(first);
    assert_eq!(stamp(&mm, second), Some(9));
    mm.put_page(second);
    assert_eq!(frames(&mm), before);
}

#[test]
fn a_clean_page_of_the_cache_can_go_without_being_written() {
    let mm = mm(1000);
    let entry = out(&mm, page(&mm, 3)).unwrap();
    let pfn = mm.swap_in(entry).unwrap();
    assert_eq!(mm.swap_out(pfn), Err(SwapError::Cached));
    assert!(mm.delete_from_swap_cache(pfn));
    assert!(!mm.delete_from_swap_cache(pfn));
    mm.put_page(pfn);
    check(&mm);
    let again = mm.swap_in(entry).unwrap();
    assert_eq!(stamp(&mm, again), Some(3));
    mm.swap_free(entry).unwrap();
    mm.put_page(again);
    check(&mm);
}

#[test]
fn what_goes_out_together_lies_together() {
    let mm = mm(2000);
    let slots: Vec<u64> = (0..600)
        .map(|value| out(&mm, page(&mm, value)).unwrap().slot())
        .collect();
    // The first cluster has 255 slots, as slot 0 is none.
    assert_eq!(slots, (1..=600).collect::<Vec<u64>>());
    // A hole is filled only when no cluster is left that is all free.
    mm.swap_free(entry_of(5)).unwrap();
    let next: Vec<u64> = (0..1400)
        .map_while(|value| out(&mm, page(&mm, value)).ok())
        .map(SwapEntry::slot)
        .collect();
    assert_eq!(next[..1399], (601..2000).collect::<Vec<u64>>());
    assert_eq!(next[1399], 5);
    let pfn = page(&mm, 0);
    assert_eq!(out(&mm, pfn), Err(SwapError::Full));
    assert_eq!(references(&mm, pfn), 1);
    assert_eq!(mm.swap_slots(), (1999, 0));
    check(&mm);
}

fn entry_of(slot: u64) -> SwapEntry {
    SwapEntry::of_pte(pagelab_abi::swap::swap_pte(0, slot)).unwrap()
}

#[test]
fn entries_that_lead_nowhere_are_refused() {
    let mm = mm(1000);
    let used = out(&mm, page(&mm, 1)).unwrap();
    mm.swap_free(used).unwrap();
    for slot in [0, used.slot(), 999, 1000, 1 << 39] {
        let entry = entry_of(slot);
        assert_eq!(mm.swap_in(entry), Err(SwapError::BadEntry), "{slot}");
        assert_eq!(mm.swap_duplicate(entry), Err(SwapError::BadEntry));
        assert_eq!(mm.swap_free(entry), Err(SwapError::BadEntry));
        assert_eq!(mm.lookup_swap_cache(entry), None);
        assert_eq!(mm.swap_count(entry), 0);
    }
    let other_device = pagelab_abi::swap::swap_pte(1, 5);
    assert_eq!(SwapEntry::of_pte(other_device), None);
    check(&mm);
    // A slot that no entry leads to, while its page is in the cache.
    let pfn = page(&mm, 1);
    let entry = mm.swap_out(pfn).unwrap();
    assert_eq!(mm.swap_free(entry), Err(SwapError::BadEntry));
    assert!(mm.delete_from_swap_cache(pfn));
    check(&mm);
}

#[test]
fn a_slot_counts_as_far_as_it_can() {
    let mm = mm(1000);
    let entry = out(&mm, page(&mm, 1)).unwrap();
    let slot = mm.swap.get().unwrap().get(entry.slot()).unwrap();
    slot.map.store(SLOT_MAX, Relaxed);
    assert_eq!(mm.swap_duplicate(entry), Err(SwapError::Overflow));
    assert_eq!(mm.swap_count(entry), SLOT_MAX);
}

#[test]
fn a_slot_that_cannot_be_written_is_not_used_again() {
    let mm = mm(4);
    let pfn = page(&mm, 5);
    mm.machine().disk().fail_from(1, 1);
    let entry = mm.swap_out(pfn).unwrap();
    assert_eq!(entry.slot(), 2, "slot 1 is bad");
    assert_eq!(mm.swap_slots(), (2, 1));
    check(&mm);
    assert!(mm.delete_from_swap_cache(pfn));
    // The other two fail as well: the page stays, and the device is full of bad slots.
    mm.machine().disk().fail_from(1, 9);
    assert_eq!(mm.swap_out(pfn), Err(SwapError::Full));
    assert_eq!((stamp(&mm, pfn), references(&mm, pfn)), (Some(5), 1));
    assert_eq!(mm.swap_cache_entry(pfn), None);
    assert_eq!(mm.swap_slots(), (0, 0));
    check(&mm);
}

#[test]
fn a_device_that_fails_again_and_again_is_left_alone_for_now() {
    let mm = mm(1000);
    let pfn = page(&mm, 5);
    mm.machine().disk().fail_from(1, 1000);
    assert_eq!(mm.swap_out(pfn), Err(SwapError::Io));
    assert_eq!(mm.machine().disk().requests(), 3);
    assert_eq!(mm.swap_slots(), (996, 996));
    assert_eq!((stamp(&mm, pfn), references(&mm, pfn)), (Some(5), 1));
    check(&mm);
}

#[test]
fn a_read_that_fails_is_tried_again_and_never_gives_wrong_data() {
    let mm = mm(1000);
    let before = frames(&mm);
    let entry = out(&mm, page(&mm, 8)).unwrap();
    mm.machine().disk().fail_from(1, 2);
    assert_eq!(mm.swap_in(entry), Err(SwapError::Io));
    assert_eq!(frames(&mm), before);
    check(&mm);
    mm.machine().disk().fail_from(1, 1);
    let pfn = mm.swap_in(entry).unwrap();
    assert_eq!(stamp(&mm, pfn), Some(8));
    mm.swap_free(entry).unwrap();
    mm.put_page(pfn);
    assert_eq!(frames(&mm), before);
}

#[test]
fn without_a_device_there_is_no_swap() {
    for pages in [0, 1] {
        let mm = machine(pages);
        assert_eq!(mm.swapon(), Err(SwapOnError::NoDevice));
        let pfn = page(&mm, 1);
        assert_eq!(mm.swap_out(pfn), Err(SwapError::NoSwap));
        assert_eq!(mm.swap_in(entry_of(1)), Err(SwapError::NoSwap));
        assert_eq!(mm.swap_free(entry_of(1)), Err(SwapError::NoSwap));
        assert_eq!(mm.swap_slots(), (0, 0));
        check(&mm);
    }
    let mm = mm(2);
    assert_eq!(mm.swapon(), Err(SwapOnError::Busy));
    let entry = out(&mm, page(&mm, 1)).unwrap();
    assert_eq!(entry.slot(), 1);
    assert_eq!(out(&mm, page(&mm, 2)), Err(SwapError::Full));
}

#[test]
fn a_device_that_is_too_large_for_memory_is_used_in_part() {
    let mm = machine(1 << 30);
    let before = frames(&mm);
    // A 32nd of 16 MiB, each page of it for 256 slots.
    assert_eq!(mm.swapon(), Ok(128 * 256));
    assert_eq!(frames(&mm), before + 129);
    check(&mm);
}

#[test]
fn private_words_of_other_pages_are_not_taken_for_slots() {
    let mm = mm(1000);
    let cached = page(&mm, 1);
    let entry = mm.swap_out(cached).unwrap();
    let other = page(&mm, 2);
    mm.page(other)
        .unwrap()
        .private
        .store(entry.slot() as u32, Relaxed);
    assert_eq!(mm.swap_cache_entry(other), None);
    assert!(!mm.delete_from_swap_cache(other));
    assert_eq!(mm.swap_cache_entry(cached), Some(entry));
    assert_eq!(mm.lookup_swap_cache(entry), Some(cached));
    mm.put_page(cached);
    fill(&mm, other, 3);
    check(&mm);
}

#[test]
fn a_page_keeps_its_index_in_the_cache_and_on_the_device() {
    let mm = mm(1000);
    let pfn = page(&mm, 1);
    mm.page(pfn).unwrap().private.store(0x1234_5678, Relaxed);
    assert_eq!(mm.page_index(pfn), Some(0x1234_5678));
    let entry = mm.swap_out(pfn).unwrap();
    assert_eq!(mm.page_index(pfn), Some(0x1234_5678));
    mm.swap_duplicate(entry).unwrap();
    assert!(mm.delete_from_swap_cache(pfn));
    assert_eq!(mm.page_index(pfn), Some(0x1234_5678));
    mm.put_page(pfn);
    let back = mm.swap_in(entry).unwrap();
    assert_eq!(mm.page_index(back), Some(0x1234_5678));
    mm.swap_free(entry).unwrap();
    let private = &mm.page(back).unwrap().private;
    assert_eq!(private.load(Relaxed), 0x1234_5678);
    mm.put_page(back);
    check(&mm);
}
