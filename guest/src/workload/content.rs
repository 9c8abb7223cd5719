//! What the workload writes into memory, so that it notices if somebody else did: a few words for
//! each page or object, derived from the place and from a stamp that only the owner knows.

use crate::{memory::Memory, root::progress};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::PAGE_SIZE;
use pagelab_mm::{Order, Pfn, machine::Machine};

/// Words of a page that are written: the first and the last.
const WORDS: [usize; 2] = [0, 511];

/// Pages of a block that are written at most; the last one is always among them.
const PAGES: u32 = 2;

/// Adds one to a counter of the workload's account.
#[inline]
pub(super) fn count(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

/// Notes the outcome of a check.
pub(super) fn checked(good: bool) {
    count(&progress().checks);
    if !good {
        count(&progress().mismatches);
    }
}

/// What to do with a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    /// Write the pattern.
    Write,
    /// Compare with the pattern.
    Check,
    /// Compare with zero.
    CheckZero,
}

pub(super) fn word(place: u64, stamp: u64, index: usize) -> u64 {
    (place ^ stamp).rotate_left(index as u32) ^ stamp
}

/// Writes or checks some pages of a block, through a kmap window where there is no other way.
pub(super) fn touch_pages(mm: &Memory, pfn: Pfn, order: Order, stamp: u64, touch: Touch) {
    let pages = order.pages();
    for i in 0..pages.min(PAGES) {
        let page = pfn.add(if i == PAGES - 1 { pages - 1 } else { i });
        let direct = mm.machine().direct_map(page.0);
        let Some(window) = direct.or_else(|| mm.machine().kmap_local(page.0)) else {
            // All windows are open: the workload itself leaks them.
            checked(false);
            continue;
        };
        let good = touch_words(window, &WORDS, page.0.into(), stamp, touch);
        if direct.is_none() {
            count(&progress().kmaps);
            // SAFETY: opened above, and not used any more.
            unsafe { mm.machine().kunmap_local(window) };
        }
        if touch != Touch::Write {
            checked(good);
        }
    }
}

/// Writes or checks the first and the last word of an object of at least 8 bytes.
pub(super) fn touch_object(object: NonNull<u8>, size: usize, stamp: u64, touch: Touch) {
    let last = size / 8 - 1;
    let good = touch_words(object, &[0, last], object.as_ptr() as u64, stamp, touch);
    if touch != Touch::Write {
        checked(good);
    }
}

fn touch_words(base: NonNull<u8>, words: &[usize], place: u64, stamp: u64, touch: Touch) -> bool {
    debug_assert!(words.iter().all(|index| *index < PAGE_SIZE as usize * 1024));
    let mut good = true;
    for &index in words {
        let at = base.cast::<u64>().as_ptr().wrapping_add(index);
        let expected = word(place, stamp, index);
        // SAFETY: the caller owns the page or object, which has this word, and it is aligned.
        unsafe {
            match touch {
                Touch::Write => at.write_volatile(expected),
                Touch::Check => good &= at.read_volatile() == expected,
                Touch::CheckZero => good &= at.read_volatile() == 0,
            }
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flipped_bit_or_another_place_or_stamp_is_noticed() {
        let mut page = [0_u64; 512];
        let base = NonNull::from(&mut page).cast();
        let touch = |place, stamp, touch| touch_words(base, &WORDS, place, stamp, touch);
        assert!(touch(5, 9, Touch::CheckZero));
        assert!(touch(5, 9, Touch::Write));
        assert!(touch(5, 9, Touch::Check));
        assert!(!touch(5, 9, Touch::CheckZero));
        assert!(!touch(6, 9, Touch::Check));
        assert!(!touch(5, 8, Touch::Check));
        // SAFETY: the last word of `page`.
        unsafe { *base.cast::<u64>().as_ptr().add(511) ^= 1 << 40 };
        assert!(!touch(5, 9, Touch::Check));
    }
}
