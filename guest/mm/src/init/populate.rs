//! Handing free RAM to the zones.
//!
//! Each free range is cut into the largest aligned blocks, and each block costs one descriptor and
//! two links. Only pageblocks at the edge of reserved memory are described frame by frame.

use super::metadata::whole_pages;
use crate::{
    buddy::{End, LockedZone},
    memblock::Memblock,
    memmap::MemMap,
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    memblock::Region,
    mm::MmState,
    page::{
        MAX_ORDER, MigrateType, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, PageFlags, PageblockState, pack,
    },
};

/// Makes all RAM that is not reserved free.
pub(super) fn add_memory(memblock: &Memblock, state: &MmState, map: &MemMap, config: &ZoneConfig) {
    mark_holes(memblock, map);
    let mut bottom = 0;
    for index in 0..state.nr_zones as usize {
        let top = config.end(index);
        let zone = LockedZone::new(&state.zones[index], index as u32, map, || {});
        let mut managed = 0;
        for_each_free_range(memblock, bottom, top, |start, end| {
            add_range(&zone, start, end);
            managed += end - start;
        });
        zone.zone.managed.store(managed, Relaxed);
        zone.zone.free_pages.store(managed, Relaxed);
        bottom = top;
    }
}

/// Tells holes from pageblocks with RAM, which are all taken to be reserved before.
fn mark_holes(memblock: &Memblock, map: &MemMap) {
    let mut hole = map.start_pfn();
    for region in memblock.memory().as_slice() {
        if let Some((start, end)) = whole_pages(region, 0, u64::MAX) {
            map.set_states(hole, start & !(PAGEBLOCK_PAGES - 1), PageblockState::Hole);
            hole = end.next_multiple_of(PAGEBLOCK_PAGES);
        }
    }
    map.set_states(hole, map.end_pfn(), PageblockState::Hole);
}

/// Calls `add` with each range of whole frames between two addresses that is RAM and not reserved.
fn for_each_free_range(memblock: &Memblock, bottom: u64, top: u64, mut add: impl FnMut(u32, u32)) {
    let mut free = |base: u64, end: u64| {
        if base < end {
            let region = Region {
                base,
                size: end - base,
            };
            if let Some((start, end)) = whole_pages(&region, bottom, top) {
                add(start, end);
            }
        }
    };
    for memory in memblock.memory().as_slice() {
        let mut base = memory.base;
        for taken in memblock.reserved().as_slice() {
            if taken.end() <= base || taken.base >= memory.end() {
                continue;
            }
            free(base, taken.base);
            base = taken.end();
        }
        free(base, memory.end());
    }
}

/// Makes the frames of a range free.
fn add_range(zone: &LockedZone<'_>, start: u32, end: u32) {
    let map = zone.map;
    let mut pfn = start;
    while pfn < end {
        let order = pfn.trailing_zeros().min((end - pfn).ilog2()).min(MAX_ORDER);
        if order == MAX_ORDER {
            // Nearly all of memory: kept as short as possible.
            let next = end & !((1 << MAX_ORDER) - 1);
            map.set_states(pfn, next, PageblockState::Untouched);
            zone.push_largest(pfn, next);
            pfn = next;
            continue;
        }
        if order == PAGEBLOCK_ORDER {
            map.set_state(pfn, PageblockState::Untouched);
        } else {
            if map.state(pfn) != PageblockState::Ready {
                let reserved = pack(PageFlags::RESERVED, 0, zone.index, MigrateType::Unmovable);
                map.make_ready(pfn, reserved, true);
            }
            // The frames behind the head were marked reserved; they are inside a block now.
            for inside in map.range(pfn + 1, pfn + (1 << order)) {
                inside.flags.store(0, Relaxed);
            }
        }
        zone.push(pfn, order, MigrateType::Movable, End::Tail);
        pfn += 1 << order;
    }
}
