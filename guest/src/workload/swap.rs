//! Pages go to the swap device and come back: each with its own content, or with an error.

use super::{
    content::{checked, count, word},
    rng::Rng,
};
use crate::{
    drivers::block::{self, DiskError},
    memory::Memory,
    root::{progress, swap_io},
    safe_point,
};
use core::ptr::NonNull;
use pagelab_abi::{PAGE_SIZE, event::EventKind, gfp::Gfp};
use pagelab_mm::{Order, Pfn, machine::Machine};

/// Steps: each writes a page, reads one, or flushes.
const STEPS: u32 = 2000;

/// Slots in use at most, spread over the device.
const SLOTS: u64 = 192;

/// Words of a page.
const WORDS: usize = PAGE_SIZE as usize / 8;

/// From one word that is written to the next: a cache line, eight to a sector.
const STRIDE: usize = 8;

/// Writes and reads slots at random. False if there is no device. Kept out of line: its table is not to lie on
/// the stack of whatever else the kernel runs.
#[inline(never)]
pub(super) fn run(mm: &Memory, rng: &mut Rng) -> bool {
    let pages = block::SWAP.pages();
    if pages == 0 {
        log::error!("this workload needs a swap device: run it with --swap 16M");
        return false;
    }
    let used = pages.min(SLOTS);
    // Stamp of what was written last; 0 for nothing that can be relied upon.
    let mut stamps = [0_u64; SLOTS as usize];
    for step in 1..=STEPS {
        let index = rng.below(used as u32) as usize;
        // The first and the last page of the device are among them.
        let slot = match index as u64 {
            0 => 0,
            index => pages - 1 - (used - 1 - index) * (pages / used),
        };
        match rng.below(64) {
            0 => survived(block::SWAP.flush()),
            1..32 => {
                let stamp = u64::from(step) << 32 | slot | 1 << 63;
                if let Some(written) = write(mm, slot, stamp) {
                    stamps[index] = if written { stamp } else { 0 };
                }
            }
            _ if stamps[index] != 0 => read(mm, slot, stamps[index]),
            _ => {}
        }
        count(&progress().steps);
        safe_point::pass();
    }
    true
}

/// Writes a page of its own to a slot. Whether that succeeded; none if there is no page.
fn write(mm: &Memory, slot: u64, stamp: u64) -> Option<bool> {
    let pfn = alloc(mm)?;
    with_words(mm, pfn, |at, index| {
        // SAFETY: a word of a page that is this function's.
        unsafe { at.write_volatile(expected(slot, stamp, index)) };
        true
    });
    let done = block::SWAP.write(slot, pfn);
    if done.is_ok() {
        mm.machine().event(EventKind::SwapOut, slot, pfn.0.into());
    }
    mm.free_pages(pfn, Order::ZERO);
    survived(done);
    Some(done.is_ok())
}

/// Reads a slot into a page of its own and checks every word that was written.
fn read(mm: &Memory, slot: u64, stamp: u64) {
    let Some(pfn) = alloc(mm) else { return };
    with_words(mm, pfn, |at, _| {
        // SAFETY: as above.
        unsafe { at.write_volatile(!0) };
        true
    });
    let done = block::SWAP.read(slot, pfn);
    if done.is_ok() {
        mm.machine().event(EventKind::SwapIn, slot, pfn.0.into());
        checked(with_words(mm, pfn, |at, index| {
            // SAFETY: as above.
            unsafe { at.read_volatile() == expected(slot, stamp, index) }
        }));
    }
    mm.free_pages(pfn, Order::ZERO);
    survived(done);
}

/// What a word of a page has to be: no two words of a page are the same, and no two pages.
pub(super) fn expected(slot: u64, stamp: u64, index: usize) -> u64 {
    word(slot * WORDS as u64 + index as u64, stamp, index)
}

pub(super) fn alloc(mm: &Memory) -> Option<Pfn> {
    let pfn = mm.alloc_pages(Gfp::HIGHUSER_MOVABLE, Order::ZERO).ok();
    count(match pfn {
        Some(_) => &progress().pages_ok,
        None => &progress().pages_failed,
    });
    pfn
}

/// An error of the device is what this workload is there to see; anything else is not.
fn survived(done: Result<(), DiskError>) {
    match done {
        Ok(()) => {}
        Err(DiskError::Io) => count(&swap_io().reported),
        Err(error) => {
            log::error!("swap: {error}");
            checked(false);
        }
    }
}

/// Whether `act` says so of every word of a frame that is written.
pub(super) fn with_words(mm: &Memory, pfn: Pfn, act: impl Fn(*mut u64, usize) -> bool) -> bool {
    let Some(window) = mm.machine().kmap_local(pfn.0) else {
        // All windows are open: the workload itself leaks them.
        checked(false);
        return false;
    };
    let words: NonNull<u64> = window.cast();
    let good = (0..WORDS)
        .step_by(STRIDE)
        .all(|index| act(words.as_ptr().wrapping_add(index), index));
    // SAFETY: opened above, and not used any more.
    unsafe { mm.machine().kunmap_local(window) };
    if mm.machine().direct_map(pfn.0).is_none() {
        count(&progress().kmaps);
    }
    good
}
