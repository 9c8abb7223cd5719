//! The kernel's own page tables, made once at boot:
//!
//! ```text
//! DIRECT_MAP    RAM below the HIGHMEM limit, 2 MiB pages (4 KiB at its edges)   rw-
//!               of which the kernel's code and constants                        r--
//! STACK_BASE    kernel stacks, an unmapped guard below each                     rw-
//! IOREMAP_BASE  device registers, not cached                                    rw-
//! KMAP_BASE     windows, empty until used                                       rw-
//! KERNEL_BASE   the kernel: code r-x, constants r--, variables                  rw-
//! ```
//!
//! Everything else is unmapped; the map of the first GiB that the entry code used is gone.

pub(crate) mod mapper;
pub(crate) mod stack;

use super::layout::{self, EARLY_END, PAGE_SIZE};
use core::ops::Range;
use mapper::{Mapper, NoFrames};
use pagelab_abi::platform::{DIRECT_MAP, IOREMAP_BASE, KERNEL_BASE, KMAP_BASE};
use stack::Stack;
use x86_64::structures::paging::PageTableFlags as Flags;

/// Kernel pages are global, and are marked as used from the start, so that the CPU has nothing to
/// write.
const KERNEL: Flags = Flags::PRESENT
    .union(Flags::GLOBAL)
    .union(Flags::ACCESSED)
    .union(Flags::DIRTY);
const READ_ONLY: Flags = KERNEL.union(Flags::NO_EXECUTE);
const READ_WRITE: Flags = READ_ONLY.union(Flags::WRITABLE);
const EXECUTE: Flags = KERNEL;
const DEVICE: Flags = READ_WRITE
    .union(Flags::NO_CACHE)
    .union(Flags::WRITE_THROUGH);

/// Gives page frames before the memory manager is there: a count of frames to the physical address
/// of the first, zeroed, and below [`EARLY_END`].
pub(crate) type BootFrames<'a> = &'a mut dyn FnMut(u64) -> Option<u64>;

/// What the tables depend on.
pub(crate) struct Plan<'a> {
    /// RAM: page-aligned, ascending, not overlapping.
    pub(crate) ram: &'a mut dyn Iterator<Item = Range<u64>>,
    /// The direct map ends here at the latest.
    pub(crate) direct_map_end: u64,
    /// Register windows of devices, physical.
    pub(crate) devices: &'a mut dyn Iterator<Item = Range<u64>>,
}

/// The tables.
pub(crate) struct Tables {
    /// For CR3.
    pub(crate) root: u64,
    /// Physical address of the last-level table behind [`KMAP_BASE`].
    pub(crate) kmap_table: u64,
}

/// Makes the kernel's page tables.
pub(crate) fn build(plan: Plan<'_>, frames: BootFrames<'_>) -> Result<Tables, NoFrames> {
    for stack in Stack::ALL {
        let at = frames(stack.pages()).ok_or(NoFrames)?;
        stack.set_physical(at);
    }
    let mut mapper = Mapper::new(frames)?;
    for (range, flags) in [
        (layout::text(), EXECUTE),
        (layout::rodata(), READ_ONLY),
        (layout::data(), READ_WRITE),
    ] {
        mapper.map(KERNEL_BASE + range.start, range, flags)?;
    }
    for ram in plan.ram {
        direct_map(&mut mapper, ram.start..ram.end.min(plan.direct_map_end))?;
    }
    for stack in Stack::ALL {
        let physical = stack.physical();
        mapper.map(stack.range().start, physical, READ_WRITE)?;
    }
    let mut window = IOREMAP_BASE;
    for device in plan.devices {
        let pages = device.start & !(PAGE_SIZE - 1)..device.end.next_multiple_of(PAGE_SIZE);
        let size = pages.end - pages.start;
        mapper.map(window, pages, DEVICE)?;
        window += size + PAGE_SIZE;
    }
    let kmap_table = mapper.last_level(KMAP_BASE)?;
    Ok(Tables {
        root: mapper.root(),
        kmap_table,
    })
}

/// Virtual addresses of the device windows that [`build`] was given, in the same order.
pub(crate) fn device_windows(
    devices: impl Iterator<Item = Range<u64>>,
) -> impl Iterator<Item = u64> {
    devices.scan(IOREMAP_BASE, |window, device| {
        let base = device.start & !(PAGE_SIZE - 1);
        let at = *window + (device.start - base);
        *window += device.end.next_multiple_of(PAGE_SIZE) - base + PAGE_SIZE;
        Some(at)
    })
}

/// Maps RAM; where the kernel's code and constants are in it, read-only.
fn direct_map(mapper: &mut Mapper<'_>, ram: Range<u64>) -> Result<(), NoFrames> {
    let protected = layout::text().start..layout::rodata().end;
    let mut map = |start: u64, end: u64, flags| {
        let part = ram.start.max(start)..ram.end.min(end);
        if part.start >= part.end {
            return Ok(());
        }
        mapper.map(DIRECT_MAP + part.start, part, flags)
    };
    map(0, protected.start, READ_WRITE)?;
    map(protected.start, protected.end, READ_ONLY)?;
    map(protected.end, u64::MAX, READ_WRITE)
}

/// Where the CPU finds boot frames while [`build`] runs.
fn early(physical: u64) -> u64 {
    debug_assert!(physical < EARLY_END);
    KERNEL_BASE + physical
}
