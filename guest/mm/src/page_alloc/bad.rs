//! Frees that no correct kernel does: each is a bug that would damage memory later, so it ends in
//! a panic that names pfn, order and state.

use crate::{
    Order, Pfn,
    memmap::{MemMap, is_head},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::page::{PageFlags, PageblockState, flags_of, order_of};

/// The flags word of a block that may be freed.
///
/// # Panics
/// If it may not.
pub(super) fn check_free(map: &MemMap, pfn: Pfn, order: Order) -> u32 {
    let word = match map.word(pfn.0) {
        Some(word) if is_head(word) => word,
        _ => not_a_head(map, pfn, "free"),
    };
    let flags = flags_of(word);
    let is = order_of(word);
    if flags.contains(PageFlags::BUDDY) {
        panic!("double free: pfn {pfn}, order {order}: free in the buddy lists, order {is}");
    }
    if flags.contains(PageFlags::PCP) {
        panic!("double free: pfn {pfn}, order {order}: free in a per-CPU list, order {is}");
    }
    if flags.contains(PageFlags::ISOLATED) {
        panic!("double free: pfn {pfn}, order {order}: free and being reported, order {is}");
    }
    if flags.contains(PageFlags::RESERVED) {
        panic!("bad free: pfn {pfn}, order {order}: reserved, the page allocator never had it");
    }
    if flags.contains(PageFlags::OFFLINE) {
        panic!("bad free: pfn {pfn}, order {order}: in the balloon, order {is}");
    }
    if flags.contains(PageFlags::SLAB) {
        panic!("bad free: pfn {pfn}, order {order}: a slab, order {is}; free its objects");
    }
    if flags.contains(PageFlags::LARGE_KMALLOC) {
        panic!("bad free: pfn {pfn}, order {order}: kmalloc memory, order {is}; use kfree");
    }
    if flags.contains(PageFlags::LRU) {
        panic!("bad free: pfn {pfn}, order {order}: in a list of reclaim: {flags:?}");
    }
    if is != order.get() {
        panic!("wrong order: free of pfn {pfn} with order {order}: allocated with order {is}");
    }
    if flags == PageFlags::HWPOISON {
        panic!("bad free: pfn {pfn}, order {order}: out of service, its memory is broken");
    }
    let known = flags - PageFlags::HWPOISON;
    if known != PageFlags::ALLOCATED && flags != PageFlags::ALLOCATED | PageFlags::HEAD {
        panic!("bad free: pfn {pfn}, order {order}: bad page state {word:#x}");
    }
    let refcount = map.page(pfn.0).refcount.load(Relaxed);
    if refcount != 1 {
        panic!("bad free: pfn {pfn}, order {order}: {refcount} references, must be 1");
    }
    word
}

/// Panics because a frame is not the head of an allocated block.
#[cold]
pub(super) fn not_allocated(map: &MemMap, pfn: Pfn) -> ! {
    match map.word(pfn.0) {
        Some(word) if is_head(word) => {
            let (flags, order) = (flags_of(word), order_of(word));
            panic!("reference to pfn {pfn}, order {order}, which is not allocated: {flags:?}");
        }
        _ => not_a_head(map, pfn, "reference"),
    }
}

/// Panics because a frame is inside a block, or not in one.
#[cold]
fn not_a_head(map: &MemMap, pfn: Pfn, what: &str) -> ! {
    if map.get(pfn.0).is_none() {
        panic!(
            "foreign {what}: pfn {pfn} is outside RAM, which ends at pfn {:#x}",
            map.end_pfn()
        );
    }
    match map.state(pfn.0) {
        PageblockState::Hole => panic!("foreign {what}: pfn {pfn} is not RAM"),
        PageblockState::Reserved => panic!("bad {what}: pfn {pfn} is in a reserved pageblock"),
        PageblockState::Ready | PageblockState::Untouched => {}
    }
    match map.block_of(pfn.0) {
        Some((head, word)) => {
            let (flags, order) = (flags_of(word), order_of(word));
            panic!(
                "foreign {what}: pfn {pfn} is inside the block at pfn {head:#x}, order {order}: \
                 {flags:?}"
            );
        }
        None => panic!("foreign {what}: pfn {pfn} is in no block"),
    }
}
