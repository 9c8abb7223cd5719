//! Memory for the page allocator's structures.

use super::{Config, InitError, pfn};
use crate::{machine::Machine, memblock::Memblock, memmap::MemMap, zone::ZoneConfig};
use core::{
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SIZE, VERSION,
    memblock::{Region, RegionTable},
    mm::MmState,
    page::{
        MAX_ORDER, MigrateType, NONE, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, Page, PageblockState,
        pageblock_byte,
    },
    percpu::{MAX_CPUS, PerCpu},
    zone::{MAX_ZONES, Zone},
};

/// The structures, in place.
pub(super) struct Metadata {
    pub(super) state: &'static MmState,
    pub(super) state_address: u64,
    pub(super) map: MemMap,
    pub(super) percpu: &'static [PerCpu; MAX_CPUS],
}

/// Highest address of RAM that a pfn and a count of pages can name with room to spare.
const MAX_ADDRESS: u64 = 1 << 43;

/// How much swap is preferred to pages of files at first, of 200 (Linux: `vm_swappiness`).
const SWAPPINESS: u32 = 60;

/// Slots of swap that are read at once at most, as a power of two (Linux: `page_cluster`).
const PAGE_CLUSTER: u32 = 3;

/// Bytes from the root structure to the per-CPU area, and from there to the pageblock table.
const PERCPU_OFFSET: u64 = size_of::<MmState>() as u64;
const PAGEBLOCKS_OFFSET: u64 = PERCPU_OFFSET + size_of::<[PerCpu; MAX_CPUS]>() as u64;

/// Takes memory for the structures and fills in all but the zones' counts and lists.
pub(super) fn allocate<M: Machine>(
    machine: &M,
    memblock: &mut Memblock,
    config: &Config,
) -> Result<Metadata, InitError> {
    let (first, last) = match memblock.memory().as_slice() {
        [] => return Err(InitError::NoMemory),
        [first, .., last] => (first.base, last.end()),
        [only] => (only.base, only.end()),
    };
    if last > MAX_ADDRESS {
        return Err(InitError::TooMuchMemory(last));
    }
    let align = 1u32 << MAX_ORDER;
    let start_pfn = pfn(first) & !(align - 1);
    let end_pfn = pfn(last.next_multiple_of(PAGE_SIZE)).next_multiple_of(align);
    let pages = (end_pfn - start_pfn) as usize;
    let pageblocks = pages >> PAGEBLOCK_ORDER;

    let limit = config.direct_map_end;
    let mem_map = memblock.alloc((pages * size_of::<Page>()) as u64, PAGE_SIZE, limit)?;
    let size = (PAGEBLOCKS_OFFSET + pageblocks as u64).next_multiple_of(PAGE_SIZE);
    let base = memblock.alloc(size, PAGE_SIZE, limit)?;

    let mapped = |address| {
        machine
            .direct_map(pfn(address))
            .ok_or(InitError::NotMapped(address))
    };
    let map_pointer = mapped(mem_map)?.cast::<Page>();
    let pointer = mapped(base)?;
    let reserved = pageblock_byte(PageblockState::Reserved, MigrateType::Movable);
    // SAFETY: `base` is page-aligned, the memory is RAM in the direct map, the boot allocator gave
    // it to nobody else and never takes it back, and the offsets are inside it and aligned for
    // their types. All three types are valid for any bytes, and RAM holds some bytes always.
    let (state, percpu, pageblocks, pages) = unsafe {
        pointer
            .add(PAGEBLOCKS_OFFSET as usize)
            .write_bytes(reserved, pageblocks);
        (
            zeroed::<MmState>(pointer),
            zeroed::<[PerCpu; MAX_CPUS]>(pointer.add(PERCPU_OFFSET as usize)),
            slice::from_raw_parts(
                pointer
                    .add(PAGEBLOCKS_OFFSET as usize)
                    .cast::<AtomicU8>()
                    .as_ptr(),
                pageblocks,
            ),
            slice::from_raw_parts(map_pointer.as_ptr(), pages),
        )
    };
    for cpu in percpu.iter() {
        for list in cpu.pcp.iter().flat_map(|pcp| &pcp.lists) {
            list.store(NONE, Relaxed);
        }
    }
    for ends in state.lruvecs.iter().flat_map(|lruvec| &lruvec.lists) {
        ends.head.store(NONE, Relaxed);
        ends.tail.store(NONE, Relaxed);
    }
    state.swappiness.store(SWAPPINESS, Relaxed);
    state.page_cluster.store(PAGE_CLUSTER, Relaxed);
    state.version = VERSION;
    state.model = config.zones.model() as u32;
    state.nr_cpus = config.cpus;
    state.start_pfn = start_pfn;
    state.end_pfn = end_pfn;
    state.mem_map = mem_map;
    state.page_stride = size_of::<Page>() as u32;
    state.pageblock_order = PAGEBLOCK_ORDER;
    state.pageblocks = base + PAGEBLOCKS_OFFSET;
    state.percpu = base + PERCPU_OFFSET;
    state.percpu_stride = size_of::<PerCpu>() as u32;
    state.zone_stride = size_of::<Zone>() as u32;
    state.memmap_pages = pages.len() as u64 * size_of::<Page>() as u64 / PAGE_SIZE;
    copy_table(&mut state.memory, memblock.memory());
    copy_table(&mut state.memory_reserved, memblock.reserved());
    init_zones(state, &config.zones);
    Ok(Metadata {
        map: MemMap::new(pages, pageblocks, start_pfn),
        state,
        state_address: base,
        percpu,
    })
}

/// A structure of zeros in raw memory.
///
/// # Safety
/// The memory is big enough and aligned for `T`, nobody else refers to it as long as the program
/// runs, and `T` may be all zeros.
unsafe fn zeroed<T>(pointer: NonNull<u8>) -> &'static mut T {
    // SAFETY: see above.
    unsafe {
        pointer.write_bytes(0, size_of::<T>());
        pointer.cast::<T>().as_mut()
    }
}

/// Copies the regions in use.
fn copy_table(to: &mut RegionTable, from: &RegionTable) {
    let regions: &[Region] = from.as_slice();
    to.regions[..regions.len()].copy_from_slice(regions);
    to.count = regions.len() as u64;
}

/// Places the zones and finds out how much RAM is in each.
fn init_zones(state: &mut MmState, config: &ZoneConfig) {
    let kinds = config.model().zones();
    debug_assert!(kinds.len() <= MAX_ZONES);
    state.nr_zones = kinds.len() as u32;
    let memory = state.memory;
    let mut bottom = 0;
    for (index, (zone, &kind)) in state.zones.iter_mut().zip(kinds).enumerate() {
        zone.kind = kind as u32;
        let top = config.end(index);
        let (mut first, mut end, mut present) = (u64::MAX, 0, 0);
        for region in memory.as_slice() {
            let region_pages = whole_pages(region, bottom, top);
            if let Some((from, to)) = region_pages {
                first = first.min(from.into());
                end = to;
                present += to - from;
            }
        }
        if present > 0 {
            zone.start_pfn = first as u32;
            zone.spanned = end - first as u32;
            zone.present = present;
        }
        state.present_pages += u64::from(present);
        for list in zone
            .free_area
            .iter_mut()
            .flat_map(|area| &mut area.free_list)
        {
            *list.head.get_mut() = NONE;
            *list.tail.get_mut() = NONE;
        }
        bottom = top;
    }
}

/// The whole frames of a region that are between two addresses: first, and the one after the last.
pub(super) fn whole_pages(region: &Region, bottom: u64, top: u64) -> Option<(u32, u32)> {
    let end = region.end().min(top) & !(PAGE_SIZE - 1);
    let base = region.base.max(bottom);
    if base >= end {
        return None;
    }
    let base = base.next_multiple_of(PAGE_SIZE);
    (base < end).then(|| (pfn(base), pfn(end)))
}

const _: () = assert!(PERCPU_OFFSET.is_multiple_of(align_of::<PerCpu>() as u64));
const _: () = assert!(PAGEBLOCK_PAGES <= 1 << MAX_ORDER);
