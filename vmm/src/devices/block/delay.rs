//! Requests that are held back until an event of the guest's clock.

use std::mem::offset_of;
use std::sync::atomic::Ordering;

use pagelab_abi::event::EventClock;
use pagelab_abi::root::Root;
use pagelab_abi::swap::DiskIo;
use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use super::request::Request;
use crate::fault::FaultKind;

/// Where the guest counts its events, and where it looks for the one at which a disk answers: guest
/// physical addresses. They may be anywhere: what is not in RAM is not written.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ClockPlace {
    count: u64,
    due: u64,
}

impl ClockPlace {
    /// In the root page at an address, for the disk whose requests a fault of this kind concerns; none for other
    /// kinds.
    pub fn of(root: u64, kind: FaultKind) -> Option<Self> {
        let account = match kind {
            FaultKind::SwapIo => offset_of!(Root, swap_io),
            FaultKind::FileIo => offset_of!(Root, file_io),
            _ => return None,
        };
        let at = |offset: usize| root.checked_add(offset as u64);
        Some(Self {
            count: at(offset_of!(Root, clock) + offset_of!(EventClock, count))?,
            due: at(account + offset_of!(DiskIo, due))?,
        })
    }
}

/// A request that waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    /// Its chain.
    pub(super) head: u16,
    pub(super) request: Request,
    /// The event from which on it is carried out.
    due: u64,
}

/// The requests that wait, in the order in which they came.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Delay {
    clock: Option<ClockPlace>,
    held: Vec<Held>,
}

impl Delay {
    /// Says where the clock is.
    pub(super) fn set_clock(&mut self, clock: Option<ClockPlace>) {
        self.clock = clock.or(self.clock);
    }

    /// Keeps a request back for so many events. Given back if nobody knows what time it is.
    pub(super) fn hold<M: GuestMemoryBackend>(
        &mut self,
        ram: &M,
        events: u64,
        head: u16,
        request: Request,
    ) -> Result<(), Request> {
        let Some(now) = self.now(ram) else {
            return Err(request);
        };
        let due = now.saturating_add(events);
        self.held.push(Held { head, request, due });
        Ok(())
    }

    /// Takes the requests whose time has come.
    pub(super) fn take_due<M: GuestMemoryBackend>(&mut self, ram: &M) -> Vec<Held> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let now = self.now(ram).unwrap_or(u64::MAX);
        let (due, held) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|held| held.due <= now);
        self.held = held;
        due
    }

    /// Tells the guest when to notify again.
    pub(super) fn tell<M: GuestMemoryBackend>(&self, ram: &M) {
        if let Some(clock) = self.clock {
            let due = self.held.iter().map(|held| held.due).min().unwrap_or(0);
            // A guest that has named a page outside of RAM waits in vain, and times out.
            let _ = ram.store(due.to_le(), GuestAddress(clock.due), Ordering::Relaxed);
        }
    }

    /// Forgets all requests, as a reset does.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }

    fn now<M: GuestMemoryBackend>(&self, ram: &M) -> Option<u64> {
        let at = GuestAddress(self.clock?.count);
        let count: u64 = ram.load(at, Ordering::Relaxed).ok()?;
        Some(u64::from_le(count))
    }
}
