//! Pages come back: the one that is wanted, and others with it (Linux mm/page_io.c: `swap_read_folio`,
//! mm/swap_state.c: `read_swap_cache_async`).
//!
//! All that is read goes to the device at once; what is wanted is a request by itself, and pages that nobody
//! asked for share one if they follow one another.

use super::{SwapEntry, SwapError};
use crate::{
    Mm, Pfn,
    machine::{Machine, SwapRequest},
    mutation::{Mutation, is_planted},
    zone::watermark::SWAP_CLUSTER_MAX,
};
use core::{slice, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{event::EventKind, gfp::Gfp, page::MAPPING_ANON, vmstat::VmEvent};

/// Times that a page is read at most, if somebody wants it.
const READ_TRIES: u32 = 2;

/// Pages that are read at once.
const BATCH: usize = SWAP_CLUSTER_MAX as usize;

/// Pages that nobody asked for and that will be read together, in the order of their slots.
#[must_use = "the pages in it are lost"]
pub(super) struct SwapReads {
    slots: [u64; BATCH],
    frames: [Pfn; BATCH],
    count: usize,
}

impl SwapReads {
    /// No page.
    pub(super) const fn new() -> Self {
        Self {
            slots: [0; BATCH],
            frames: [Pfn(0); BATCH],
            count: 0,
        }
    }

    /// Whether there is room for no more, with the page that is wanted.
    pub(super) fn is_full(&self) -> bool {
        self.count == BATCH - 1
    }

    /// Adds a page, the slot of which is behind those of the others. There is room.
    pub(super) fn push(&mut self, entry: SwapEntry, pfn: Pfn) {
        self.slots[self.count] = entry.slot();
        self.frames[self.count] = pfn;
        self.count += 1;
    }

    /// Keeps those of which `keeps` says so.
    fn retain(&mut self, mut keeps: impl FnMut(SwapEntry, Pfn) -> bool) {
        let mut kept = 0;
        for at in 0..self.count {
            let (slot, pfn) = (self.slots[at], self.frames[at]);
            if keeps(SwapEntry::of_slot(slot), pfn) {
                (self.slots[kept], self.frames[kept]) = (slot, pfn);
                kept += 1;
            }
        }
        self.count = kept;
    }

    /// Pages whose slots follow one another, from one on.
    fn run(&self, from: usize) -> usize {
        let next = |pair: &&[u64]| pair[0] + 1 == pair[1];
        let slots = &self.slots[from..self.count];
        1 + slots.windows(2).take_while(next).count()
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// The page of a slot, from the swap cache or else from the device, with a reference for the
    /// caller; it is then in the swap cache. That the entry leads to the slot does not change.
    ///
    /// # Errors
    /// [`SwapError`]; the slot keeps what it has. After [`SwapError::Io`] it can be tried again.
    pub fn swap_in(&self, entry: SwapEntry) -> Result<Pfn, SwapError> {
        if let Some(pfn) = self.lookup_swap_cache(entry) {
            return Ok(pfn);
        }
        let pfn = self.alloc_for_slot(entry, Gfp::HIGHUSER_MOVABLE)?;
        self.swap_read(entry, pfn, SwapReads::new())
    }

    /// A page to read a slot into.
    pub(super) fn alloc_for_slot(&self, entry: SwapEntry, gfp: Gfp) -> Result<Pfn, SwapError> {
        // To whom it belonged, if there still is such a group (Linux: `mem_cgroup_swapin_charge_folio`).
        let owner = self.swap()?.used(entry)?.group.load(Relaxed);
        let allocated = if self.is_online(owner) {
            self.alloc_charged_to(owner, gfp)
        } else {
            self.alloc_charged(gfp)
        };
        let pfn = allocated.map_err(SwapError::NoMemory)?;
        let page = self.map.page(pfn.0);
        page.mapping.store(MAPPING_ANON, Relaxed);
        page.mapcount.store(0, Relaxed);
        Ok(pfn)
    }

    /// Reads the page of a slot, and others with it. The caller's reference to the page becomes one to
    /// the page that is returned; to the others he has none any more.
    pub(super) fn swap_read(
        &self,
        entry: SwapEntry,
        pfn: Pfn,
        mut ahead: SwapReads,
    ) -> Result<Pfn, SwapError> {
        // What the allocations have changed is seen here, and nothing changes until all is read.
        ahead.retain(|entry, pfn| {
            let is_wanted = self.swap_count(entry) > 0 && !self.is_in_swap_cache(entry);
            if !is_wanted {
                self.put_page(pfn);
            }
            is_wanted
        });
        let is_read = self.read_together(entry, &pfn, &mut ahead);
        let result = if is_read {
            self.keep_read_page(entry, pfn)
        } else {
            self.put_page(pfn);
            if is_planted(Mutation::SwapSlotReuse) {
                let _ = self.swap_free(entry);
            }
            Err(SwapError::Io)
        };
        ahead.retain(|entry, pfn| {
            let kept = self.keep_read_page(entry, pfn);
            if let Ok(other) = kept {
                // The cache keeps it.
                self.put_page(other);
            }
            kept == Ok(pfn)
        });
        // Only now, for all is in its place.
        if let Ok(pfn) = result {
            self.machine
                .event(EventKind::SwapIn, entry.slot(), pfn.0.into());
        }
        for (slot, pfn) in ahead.slots.iter().zip(&ahead.frames).take(ahead.count) {
            self.machine.event(EventKind::SwapIn, *slot, pfn.0.into());
        }
        result
    }

    /// Reads a page and others, and gives those of the others back that cannot be read. Whether the page is
    /// read.
    fn read_together(&self, entry: SwapEntry, pfn: &Pfn, ahead: &mut SwapReads) -> bool {
        let wanted = SwapRequest::new(entry.slot(), slice::from_ref(pfn));
        let mut requests = [wanted; BATCH];
        let (mut count, mut from) = (1, 0);
        while from < ahead.count {
            let run = ahead.run(from);
            requests[count] = SwapRequest::new(ahead.slots[from], &ahead.frames[from..from + run]);
            count += 1;
            from += run;
        }
        self.machine.swap_read(&mut requests[..count]);
        let mut is_read = requests[0].done.is_ok();
        // The pages of one request succeed or fail together.
        let mut done = [false; BATCH];
        let mut places = done.iter_mut();
        for request in &requests[1..count] {
            let places = places.by_ref().take(request.frames.len());
            places.for_each(|place| *place = request.done.is_ok());
        }
        for _ in 1..READ_TRIES {
            if !is_read {
                let mut again = [wanted];
                self.machine.swap_read(&mut again);
                is_read = again[0].done.is_ok();
            }
        }
        let mut done = done.iter();
        ahead.retain(|_, pfn| {
            let is_read = done.next() == Some(&true);
            if !is_read {
                self.put_page(pfn);
            }
            is_read
        });
        is_read
    }

    /// A page was read: it comes into the swap cache, unless another one is there, and into its list.
    fn keep_read_page(&self, entry: SwapEntry, pfn: Pfn) -> Result<Pfn, SwapError> {
        self.count_event(VmEvent::Pswpin, 1);
        let kept = self.cache_read_page(entry, pfn)?;
        if kept == pfn {
            self.lru_add(pfn, false);
        }
        Ok(kept)
    }
}
