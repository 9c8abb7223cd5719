//! Pages go out: several at once, each in a request of its own (Linux mm/page_io.c:
//! `swap_writepage`, under a plug of block/blk-core.c).
//!
//! Linux makes one request of pages that follow one another. Here each stays one, so that an error is that
//! of one page and one slot: what costs time is to call the device, and that is done once for all.

use super::{SwapEntry, SwapError, cache::Fate};
use crate::{
    Mm, Pfn,
    machine::{Machine, SwapRequest},
    mutation::{Mutation, is_planted},
    zone::watermark::SWAP_CLUSTER_MAX,
};
use core::slice;
use pagelab_abi::{event::EventKind, vmstat::VmEvent};

/// Slots that a page is written to at most: a device may fail here and there, but if it fails this
/// often it is no use to fill it with bad slots.
const WRITE_TRIES: u32 = 3;

/// Pages that are written at once.
const BATCH: usize = SWAP_CLUSTER_MAX as usize;

/// A page that is to be written, or what became of it.
#[derive(Clone, Copy)]
struct Outgoing {
    pfn: Pfn,
    slot: u64,
    state: State,
}

/// How far a page has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is in the swap cache, and its slot has to be written.
    Waits,
    /// Its slot has it.
    Written,
    /// It is not in the swap cache.
    Failed(SwapError),
}

/// Pages in the swap cache that will be written together (Linux: `struct blk_plug`).
#[must_use = "pages in it stay in the swap cache, and nobody has written them"]
pub(crate) struct SwapWrites {
    pages: [Outgoing; BATCH],
    count: usize,
}

impl SwapWrites {
    /// No page.
    pub(crate) const fn new() -> Self {
        let none = Outgoing {
            pfn: Pfn(0),
            slot: 0,
            state: State::Waits,
        };
        Self {
            pages: [none; BATCH],
            count: 0,
        }
    }

    /// The pages, and for each its slot or why it has none.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Pfn, Result<SwapEntry, SwapError>)> + '_ {
        self.pages[..self.count].iter().map(|page| {
            let result = match page.state {
                State::Written => Ok(SwapEntry::of_slot(page.slot)),
                State::Failed(error) => Err(error),
                State::Waits => Err(SwapError::Io),
            };
            (page.pfn, result)
        })
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Writes a page to a slot and leaves it in the swap cache; see the module's head for what the
    /// caller does then. The caller has a reference to the page, and no entry allows to write to it. A slot that
    /// the device fails to write is bad from then on.
    ///
    /// # Errors
    /// [`SwapError`]: the page is as it was, and not in the swap cache.
    pub fn swap_out(&self, pfn: Pfn) -> Result<SwapEntry, SwapError> {
        let mut writes = SwapWrites::new();
        self.swap_out_later(pfn, &mut writes)?;
        self.swap_write(&mut writes);
        writes
            .iter()
            .next()
            .map_or(Err(SwapError::Io), |(_, it)| it)
    }

    /// Puts a page into the swap cache, to be written with others. The caller keeps his reference until then.
    ///
    /// # Errors
    /// As [`Mm::swap_out`]; `Full` as well if there is no room among the others.
    pub(crate) fn swap_out_later(
        &self,
        pfn: Pfn,
        writes: &mut SwapWrites,
    ) -> Result<(), SwapError> {
        let place = writes.pages.get_mut(writes.count).ok_or(SwapError::Full)?;
        *place = Outgoing {
            pfn,
            slot: self.add_to_swap(pfn)?.slot(),
            state: State::Waits,
        };
        writes.count += 1;
        Ok(())
    }

    /// Writes pages: all that the device fails, once more together, to other slots.
    pub(crate) fn swap_write(&self, writes: &mut SwapWrites) {
        let pages = &mut writes.pages[..writes.count];
        for left in (0..WRITE_TRIES).rev() {
            if self.write_waiting(pages) == 0 {
                break;
            }
            for page in pages.iter_mut() {
                if page.state == State::Waits {
                    self.give_slot_up(page, left > 0);
                }
            }
        }
        for page in pages.iter() {
            if page.state == State::Written {
                self.count_event(VmEvent::Pswpout, 1);
                self.machine
                    .event(EventKind::SwapOut, page.slot, page.pfn.0.into());
            }
        }
    }

    /// Writes the pages that wait for it, each in one request. Returns how many still do.
    fn write_waiting(&self, pages: &mut [Outgoing]) -> usize {
        let mut requests = [SwapRequest::new(0, &[]); BATCH];
        let waits = |page: &&Outgoing| page.state == State::Waits;
        let mut count = 0;
        for (request, page) in requests.iter_mut().zip(pages.iter().filter(waits)) {
            *request = SwapRequest::new(page.slot, slice::from_ref(&page.pfn));
            count += 1;
        }
        if count == 0 {
            return 0;
        }
        self.machine.swap_write(&mut requests[..count]);
        let done = requests.map(|request| request.done);
        let waiting = pages.iter_mut().filter(|page| page.state == State::Waits);
        let mut failed = 0;
        for (page, done) in waiting.zip(done) {
            match done {
                Ok(()) => page.state = State::Written,
                Err(_) => failed += 1,
            }
        }
        failed
    }

    /// A slot could not be written: it is bad, and the page gets another one if it is to be tried again.
    fn give_slot_up(&self, page: &mut Outgoing, again: bool) {
        self.leave_swap_cache(page.pfn, Fate::Bad);
        if is_planted(Mutation::SwapWriteLeak) {
            self.get_page(page.pfn);
        }
        if !again {
            page.state = State::Failed(SwapError::Io);
            return;
        }
        match self.add_to_swap(page.pfn) {
            Ok(entry) => page.slot = entry.slot(),
            Err(error) => page.state = State::Failed(error),
        }
    }
}
