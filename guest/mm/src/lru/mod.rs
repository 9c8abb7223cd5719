//! The lists of pages that reclaim works on (Linux mm/swap.c, include/linux/mm_inline.h); the layout is
//! told in [`pagelab_abi::lru`].
//!
//! A page enters its list when it is first mapped or comes into the page cache or the swap cache, and
//! leaves it when its last reference is given back. New pages go to the inactive list; to stay they
//! have to be used again while they are on their way to its end.
//!
//! * `list`: links and counts. `pages`: a page comes, goes, is used. `isolate`: pages taken out to be
//!   looked at, and put back. `size`: how many there are. `validate`: everything that must hold.
//!
//! Linux gathers up to 15 pages at each CPU before it takes the lock (`folio_batch`). Here each page
//! goes in at once: the lock costs two instructions where one CPU runs programs, and the host finds
//! every page in a list at every event.
//!
//! # Locks
//!
//! [`Lruvec::lock`](pagelab_abi::lru::Lruvec::lock). Nothing else is taken under it.

mod isolate;
mod list;
mod pages;
mod size;
#[cfg(test)]
mod tests;
mod validate;

pub(crate) use isolate::{Isolated, LruScan};
pub(crate) use size::lru_size;
pub use validate::Violation;

use crate::{Mm, machine::Machine};
use list::LockedLruvec;
use pagelab_abi::page::{PageFlags, memory_group_of};

/// Flags of a page that say where it is in the lists. None is left when it is freed.
pub(crate) const LRU_FLAGS: PageFlags = PageFlags::LRU
    .union(PageFlags::ACTIVE)
    .union(PageFlags::REFERENCED)
    .union(PageFlags::UNEVICTABLE);

impl<M: Machine + 'static> Mm<M> {
    /// The lruvec of a page with this flags word, locked (Linux: `folio_lruvec_lock`).
    #[inline(always)]
    fn lock_lruvec_of(&self, word: u32) -> LockedLruvec<'_> {
        self.lock_lruvec(memory_group_of(word) as usize)
    }

    #[inline(always)]
    fn lock_lruvec(&self, group: usize) -> LockedLruvec<'_> {
        let all = &self.state.lruvecs;
        LockedLruvec::new(&all[group % all.len()], &self.map, &self.machine)
    }
}
