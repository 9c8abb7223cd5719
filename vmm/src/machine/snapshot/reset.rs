//! Makes memory what it was at a snapshot.
//!
//! KVM's dirty log says which pages the guest stored to, the [`WriteLog`](super::super::memory) which this
//! process did. Where memory was not logged, or was another snapshot's, it is replaced as a whole.
//!
//! # What the CPU may have cached
//!
//! Going back changes page tables behind the guest's back. With nested paging, reading the dirty log
//! flushes the TLB whenever the guest has stored to a page, and so whenever it can have changed a table;
//! where that does not happen [`Restored::needs_flush`] asks for a flush. Without nested paging KVM keeps
//! shadows of the guest's tables and brings them up to date only as the *guest* stores to them: there the
//! memory slots are made anew, which drops all shadows.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use pagelab_abi::PAGE_SHIFT;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion, GuestRegionMmap};

use super::costs::Costs;
use super::error::SnapshotError;
use super::memory::{MemoryId, PAGE, SavedMemory};
use super::pages::Pages;
use crate::machine::dirty_log::ones;
use crate::machine::host::{self, HostError};
use crate::machine::machine::Machine;
use crate::machine::memory::{self, WriteLog};
use crate::machine::slots::Slots;

/// How memory was made what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The pages that were stored to since.
    DirtyPages,
    /// All that the snapshot holds.
    Whole,
    /// The snapshot's file was mapped in place of what was there.
    Mapped,
}

/// What a restore did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// How memory was made what it was.
    pub method: Method,
    /// Pages that were copied or zeroed.
    pub pages: u64,
    /// The CPU may still have translations by tables that are no more.
    pub(super) needs_flush: bool,
}

/// Since which snapshot stores are noted.
#[derive(Debug, Default)]
pub(in crate::machine) struct Tracking {
    /// Memory differs from this moment's only by what was stored since.
    since: Option<MemoryId>,
    /// The file that the memory is mapped from; none if it is anonymous.
    below: Option<Arc<SavedMemory>>,
    /// KVM notes what the guest stores to since then.
    logging: bool,
    /// Pages that were taken out of KVM's log by others: region and page.
    taken: RefCell<BTreeSet<(usize, u64)>>,
    costs: Costs,
}

impl Tracking {
    /// The memory that the machine was forked from.
    pub(super) fn below(&self) -> Option<&SavedMemory> {
        self.below.as_deref()
    }

    /// Whether all is noted that makes memory differ from this moment's.
    pub(super) fn notes_since(&self, moment: MemoryId) -> bool {
        self.logging && self.since == Some(moment)
    }

    /// The machine's memory is mapped from that of a snapshot.
    pub(super) fn stand_on(&mut self, memory: &Arc<SavedMemory>) {
        self.below = Some(memory.clone());
    }

    /// Whether KVM's log is in use here.
    pub(in crate::machine) fn is_logging(&self) -> bool {
        self.logging
    }

    /// Keeps pages that someone else takes out of KVM's log.
    pub(in crate::machine) fn keep(&self, region: usize, pages: impl Iterator<Item = u64>) {
        let mut taken = self.taken.borrow_mut();
        taken.extend(pages.map(|page| (region, page)));
    }
}

/// Pages that were stored to: their regions, and their numbers in them. Some may be there twice.
pub(super) struct Noted {
    pub(super) pages: Vec<(usize, u64)>,
    /// How many of them, from the first on, the guest stored to.
    by_guest: usize,
}

impl Machine {
    /// Notes from now on what is stored: memory is just what it was at `moment`.
    pub(super) fn track(&mut self, moment: MemoryId) -> Result<(), HostError> {
        match self.tracking.logging {
            // Forget what was noted before.
            true => self.clear_log()?,
            false => self.slots.set(self.vm(), self.memory(), true)?,
        }
        self.start_noting(moment, true);
        Ok(())
    }

    /// As [`Self::track`], where KVM's log was just read.
    pub(super) fn start_noting(&mut self, moment: MemoryId, logging: bool) {
        for region in self.memory().iter() {
            write_log(region).start();
        }
        self.tracking.since = Some(moment);
        self.tracking.logging = logging;
        self.tracking.taken.get_mut().clear();
    }

    fn clear_log(&self) -> Result<(), HostError> {
        for (number, slot) in self.slots.writable() {
            self.slot_log(number, slot)?;
        }
        Ok(())
    }

    /// Takes out of all logs what was stored to.
    pub(super) fn take_noted(&mut self) -> Result<Noted, HostError> {
        let mut pages = Vec::new();
        for (number, slot) in self.slots.writable() {
            let log = self.slot_log(number, slot)?;
            let first = slot.pages.start;
            pages.extend(ones(&log).map(|page| (slot.region, first + page)));
        }
        let by_guest = pages.len();
        // A page that the guest has stored to as well is there twice: these are few.
        for (region, mapped) in self.memory().iter().enumerate() {
            let of_host = write_log(mapped).take();
            pages.extend(of_host.into_iter().map(|page| (region, page)));
        }
        pages.extend(std::mem::take(self.tracking.taken.get_mut()));
        Ok(Noted { pages, by_guest })
    }

    /// Makes memory what it was at `moment`, on a machine with the same memory.
    pub(super) fn reset_memory(
        &mut self,
        pages: Pages<'_>,
        moment: MemoryId,
    ) -> Result<Restored, SnapshotError> {
        let below = self.tracking.below();
        let restored = if self.tracking.notes_since(moment) {
            self.reset_dirty(pages)?
        } else if below.is_none_or(|below| below.id() == pages.base().id()) {
            self.reset_whole(pages)?
        } else {
            self.map_again(pages)?
        };
        let log = self.tracking.costs.log_next(pages.populated());
        self.log_again(log)?;
        self.start_noting(moment, log);
        Ok(restored)
    }

    /// Copies the pages that were stored to.
    fn reset_dirty(&mut self, pages: Pages<'_>) -> Result<Restored, SnapshotError> {
        let noted = self.take_noted()?;
        let regions: Vec<_> = self.memory().iter().collect();
        for &(region, page) in &noted.pages {
            if let Some(mapped) = regions.get(region) {
                reset_page(mapped, pages, region, page);
            }
        }
        let copied = noted.pages.len() as u64;
        self.tracking.costs.dirtied(copied);
        Ok(Restored {
            method: Method::DirtyPages,
            pages: copied,
            needs_flush: noted.by_guest == 0,
        })
    }

    /// Copies all pages that are not zero, and discards the others.
    fn reset_whole(&mut self, pages: Pages<'_>) -> Result<Restored, SnapshotError> {
        let start = Instant::now();
        let mut copied = 0;
        for (region, mapped) in self.memory().iter().enumerate() {
            for page in ones(&pages.there(region)) {
                reset_page(mapped, pages, region, page);
                copied += 1;
            }
        }
        let took = start.elapsed();
        for (region, mapped) in self.memory().iter().enumerate() {
            discard_zeros(mapped, &pages.there(region)).map_err(SnapshotError::Discard)?;
        }
        self.tracking.costs.copied(copied, took);
        Ok(Restored {
            method: Method::Whole,
            pages: copied,
            needs_flush: true,
        })
    }

    /// Maps the snapshot's file over memory that is another's, and copies what differs from it.
    fn map_again(&mut self, pages: Pages<'_>) -> Result<Restored, SnapshotError> {
        let base = pages.base();
        let file = base.file()?;
        for (region, saved) in self.memory().iter().zip(base.regions()) {
            memory::map_over(region, &file, saved.offset()).map_err(SnapshotError::Discard)?;
        }
        let mut copied = 0;
        for (region, mapped) in self.memory().iter().enumerate() {
            for page in pages.changed(region) {
                reset_page(mapped, pages, region, page);
                copied += 1;
            }
        }
        self.tracking.stand_on(base);
        Ok(Restored {
            method: Method::Mapped,
            pages: copied,
            needs_flush: true,
        })
    }

    /// Has KVM note the guest's stores from now on, or no longer, with nothing noted yet.
    fn log_again(&mut self, log: bool) -> Result<(), HostError> {
        if !host::has_nested_paging() || self.slots.has_readonly() {
            self.slots.forget(self.vm())?;
            self.slots = Slots::whole(self.memory());
            return self.slots.set(self.vm(), self.memory(), log);
        }
        match (self.tracking.logging, log) {
            (false, false) | (true, true) if self.tracking.since.is_some() => Ok(()),
            _ => self.slots.set(self.vm(), self.memory(), log),
        }
    }
}

fn write_log(region: &GuestRegionMmap<WriteLog>) -> &WriteLog {
    vm_memory::MmapRegion::bitmap(region)
}

/// Makes one page what it was.
fn reset_page(mapped: &GuestRegionMmap<WriteLog>, pages: Pages<'_>, region: usize, page: u64) {
    if page >= mapped.len() >> PAGE_SHIFT {
        return;
    }
    // SAFETY: the page is inside the region, which is mapped for reading and writing; the vCPU and the
    // devices stand still, and no Rust reference to guest memory exists. The source is another mapping.
    unsafe {
        let to = mapped.as_ptr().add(page as usize * PAGE);
        match pages.page(region, page) {
            Some(from) => to.copy_from_nonoverlapping(from.as_ptr(), PAGE),
            None => to.write_bytes(0, PAGE),
        }
    }
}

/// Gives the host all pages back that are zero in the snapshot. What is mapped below them is zero too.
fn discard_zeros(region: &GuestRegionMmap<WriteLog>, there: &[u64]) -> io::Result<()> {
    let pages = region.len() >> PAGE_SHIFT;
    let mut start = 0;
    for end in ones(there).chain([pages]) {
        if start < end {
            let len = (end - start) as usize * PAGE;
            // SAFETY: the range is inside the region's mapping, and nobody refers to its content.
            let result = unsafe {
                let from = region.as_ptr().add(start as usize * PAGE);
                libc::madvise(from.cast(), len, libc::MADV_DONTNEED)
            };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        start = end + 1;
    }
    Ok(())
}
