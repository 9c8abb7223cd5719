//! Pages go to swap slots through the memory manager, are shared there, and come back: what programs'
//! page tables would hold is a table of the workload's own.

use super::{
    content::{checked, count},
    rng::Rng,
    swap::{alloc, expected, with_words},
};
use crate::{
    memory::Memory,
    root::{progress, swap_io},
    safe_point,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_mm::{
    Pfn,
    swap::{SwapEntry, SwapError},
};

/// Steps.
const STEPS: u32 = 2000;

/// Entries that lead to swap at most.
const ENTRIES: usize = 256;

/// What a page-table entry would say, and the stamp of the page that it leads to.
type Entry = Option<(SwapEntry, u64)>;

/// Takes random steps. False if there is no swap. Kept out of line: its table is not to lie on
/// the stack of whatever else the kernel runs.
#[inline(never)]
pub(super) fn run(mm: &Memory, rng: &mut Rng) -> bool {
    if mm.swap_slots().0 == 0 {
        log::error!("this workload needs a swap device: run it with --swap 16M");
        return false;
    }
    let mut table: [Entry; ENTRIES] = [None; ENTRIES];
    for step in 1..=STEPS {
        let [at, other] = [0; 2].map(|_| rng.below(ENTRIES as u32) as usize);
        match (table[at], rng.below(8)) {
            (None, _) => table[at] = out(mm, u64::from(step) << 32 | 1),
            // A fork.
            (Some((entry, stamp)), 0..3) if table[other].is_none() => {
                match mm.swap_duplicate(entry) {
                    Ok(()) => table[other] = Some((entry, stamp)),
                    Err(error) => unexpected(error),
                }
            }
            // An exit.
            (Some((entry, _)), 3) => {
                free(mm, entry);
                table[at] = None;
            }
            (Some((entry, stamp)), _) => {
                if back(mm, entry, stamp) {
                    table[at] = None;
                }
            }
        }
        let held = table.iter().flatten().count();
        swap_io().held.store(held as u64, Relaxed);
        count(&progress().steps);
        safe_point::pass();
    }
    for (entry, _) in table.into_iter().flatten() {
        free(mm, entry);
    }
    swap_io().held.store(0, Relaxed);
    let (total, now_free) = mm.swap_slots();
    checked(total == now_free && mm.swap_cached() == 0);
    true
}

/// A new page goes to a slot.
fn out(mm: &Memory, stamp: u64) -> Entry {
    let pfn = alloc(mm)?;
    with_words(mm, pfn, |at, index| {
        // SAFETY: a word of a page that is this function's.
        unsafe { at.write_volatile(expected(0, stamp, index)) };
        true
    });
    let entry = match mm.swap_out(pfn) {
        Ok(entry) => {
            // As reclaim does: the entry takes the page's place.
            let counted = mm.swap_duplicate(entry);
            checked(counted.is_ok() && mm.delete_from_swap_cache(pfn));
            Some((entry, stamp))
        }
        Err(SwapError::Io) => {
            count(&swap_io().reported);
            checked(holds(mm, pfn, stamp));
            None
        }
        Err(SwapError::Full) => None,
        Err(error) => {
            unexpected(error);
            None
        }
    };
    mm.put_page(pfn);
    entry
}

/// A fault on an entry: the page comes back and is checked, and the entry no longer leads to swap. False
/// if the device failed, and all is as it was.
fn back(mm: &Memory, entry: SwapEntry, stamp: u64) -> bool {
    match mm.swap_in(entry) {
        Ok(pfn) => {
            checked(holds(mm, pfn, stamp));
            free(mm, entry);
            mm.put_page(pfn);
            true
        }
        Err(SwapError::Io) => {
            count(&swap_io().reported);
            false
        }
        Err(SwapError::NoMemory(_)) => {
            count(&progress().pages_failed);
            false
        }
        Err(error) => {
            unexpected(error);
            false
        }
    }
}

fn holds(mm: &Memory, pfn: Pfn, stamp: u64) -> bool {
    with_words(mm, pfn, |at, index| {
        // SAFETY: a word of a page that the caller has a reference to.
        unsafe { at.read_volatile() == expected(0, stamp, index) }
    })
}

fn free(mm: &Memory, entry: SwapEntry) {
    if let Err(error) = mm.swap_free(entry) {
        unexpected(error);
    }
}

fn unexpected(error: SwapError) {
    log::error!("swap: {error}");
    checked(false);
}
