//! Robust futexes: the list that a process says it holds, and that its end lets go of (Linux
//! kernel/futex/core.c: `exit_robust_list`; Documentation/locking/robust-futex-ABI.rst).

use super::{Slot, Tasks};
use crate::syscall;
use linux_raw_sys::general::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};

/// Most entries that are looked at (Linux: `ROBUST_LIST_LIMIT`).
const LIMIT: usize = 2048;

/// Bit of an entry's address: it is a futex with priority inheritance, which nobody can make here.
const IS_PI: u64 = 1;

impl Tasks {
    /// Marks the futexes that a task holds as left by somebody who died, and wakes one who waits for each.
    /// Must be called while it still has its memory.
    pub(crate) fn release_robust_futexes(&mut self, slot: Slot) {
        let head = core::mem::take(&mut self.get_mut(slot).robust_list);
        if head == 0 {
            return;
        }
        // The list's first entry, what is between an entry and its word, and the entry that is on its way in
        // or out.
        let Some([first, offset, pending]) = self.load_words(slot, head) else {
            return;
        };
        let (mut at, mut left) = (first, LIMIT);
        while at & !IS_PI != head && left > 0 {
            let next = self.load_words::<1>(slot, at & !IS_PI);
            if at != pending && !self.let_go(slot, at, offset) {
                return;
            }
            let Some([next]) = next else { return };
            (at, left) = (next, left - 1);
        }
        if pending != 0 {
            self.let_go(slot, pending, offset);
        }
    }

    fn load_words<const N: usize>(&mut self, slot: Slot, at: u64) -> Option<[u64; N]> {
        let space = self.get_mut(slot).space.as_mut()?;
        syscall::user::load::<[u64; N]>(space, at).ok()
    }

    /// Lets go of the futex of an entry. False if that ends the walk: nothing there can be read.
    fn let_go(&mut self, slot: Slot, entry: u64, offset: u64) -> bool {
        let address = (entry & !IS_PI).wrapping_add(offset);
        let pid = self.get(slot).pid().0;
        let Some(space) = self.get_mut(slot).space.as_mut() else {
            return false;
        };
        let Ok(word) = syscall::user::load::<u32>(space, address) else {
            return false;
        };
        if word & FUTEX_TID_MASK != pid || entry & IS_PI != 0 {
            return true;
        }
        let left = word & FUTEX_WAITERS | FUTEX_OWNER_DIED;
        if syscall::user::store(space, address, &left).is_err() {
            return false;
        }
        if word & FUTEX_WAITERS != 0 {
            syscall::wake_one(self, slot, address);
        }
        true
    }
}
