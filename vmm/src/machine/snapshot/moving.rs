//! A moment that moves on with one machine: of its memory it keeps what differs from a snapshot, and a move
//! copies what was stored to since the last one.

use std::fmt;

use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::cpu::CpuState;
use super::devices::DevicesState;
use super::error::SnapshotError;
use super::memory::{MemoryId, PAGE};
use super::pagemap;
use super::pages::{Changed, Pages};
use super::reset::Restored;
use super::{RunState, Snapshot};
use crate::machine::dirty_log::ones;
use crate::machine::machine::{Machine, RunPhase};

/// A moment of one machine's run. It costs what the run since `base` has changed, and not a copy of all
/// memory.
pub struct MovingSnapshot {
    pub(super) base: Snapshot,
    pub(super) changed: Changed,
    id: MemoryId,
    pub(super) cpu: CpuState,
    pub(super) devices: DevicesState,
    run: RunState,
}

impl Machine {
    /// The moment at which the machine stands, as one that can move on. The machine was restored to `base`,
    /// or forked from it, and has run since.
    ///
    /// # Errors
    /// [`SnapshotError::Ended`] after the end, [`SnapshotError::OtherMachine`] if `base` is of a machine of
    /// another make; otherwise the host's.
    pub fn moving_snapshot(&mut self, base: &Snapshot) -> Result<MovingSnapshot, SnapshotError> {
        let parts = &*base.0;
        if !parts.memory.fits(self.memory()) || self.cpuid() != &parts.cpuid {
            return Err(SnapshotError::OtherMachine);
        }
        let mut moment = MovingSnapshot {
            base: base.clone(),
            changed: Changed::default(),
            id: parts.memory.id(),
            cpu: self.stand_still(&parts.cpu)?,
            devices: DevicesState::take(&mut self.devices),
            run: self.run_state(),
        };
        self.take_changes(&mut moment)?;
        Ok(moment)
    }

    /// Moves a moment of this machine to where it stands now. After an error the moment is of no use.
    ///
    /// # Errors
    /// As [`Self::moving_snapshot`].
    pub fn move_snapshot(&mut self, moment: &mut MovingSnapshot) -> Result<(), SnapshotError> {
        moment.cpu = self.stand_still(&moment.cpu)?;
        moment.devices = DevicesState::take(&mut self.devices);
        moment.run = self.run_state();
        self.take_changes(moment)
    }

    /// Makes the machine what it was at a moment of its own.
    ///
    /// # Errors
    /// As [`Self::restore`].
    pub fn restore_moving(&mut self, moment: &MovingSnapshot) -> Result<Restored, SnapshotError> {
        let pages = Pages::with(&moment.base.0.memory, &moment.changed);
        self.put_back(pages, moment.id, &moment.cpu, &moment.devices, moment.run)
    }

    /// The vCPU's state between two instructions, with the registers that `like` has.
    pub(super) fn stand_still(&mut self, like: &CpuState) -> Result<CpuState, SnapshotError> {
        if self.phase == RunPhase::Ended {
            return Err(SnapshotError::Ended);
        }
        self.end_slow_memory();
        self.finish_exit()?;
        Ok(self.vcpu.state(&like.model_specific())?)
    }

    /// Makes the moment's memory the machine's.
    fn take_changes(&mut self, moment: &mut MovingSnapshot) -> Result<(), SnapshotError> {
        let pages = match self.tracking.notes_since(moment.id) {
            true => self.take_noted()?.pages,
            false => self.differing(Pages::with(&moment.base.0.memory, &moment.changed))?,
        };
        let is_noted = self.tracking.notes_since(moment.id);
        // From here on nothing else may take the moment for what it was.
        moment.id = MemoryId::new();
        let regions: Vec<_> = self.memory().iter().collect();
        for (region, page) in pages {
            let mapped = regions.get(region);
            if let Some(mapped) = mapped.filter(|mapped| page < mapped.len() / PAGE as u64) {
                // SAFETY: the page is inside the region, which is mapped and readable; the vCPU and the
                // devices stand still, so nobody stores to it while the reference lives.
                let bytes = unsafe { &*page_of(mapped.as_ptr(), page) };
                moment.changed.put(region, page, bytes);
            }
        }
        match is_noted {
            true => self.start_noting(moment.id, true),
            false => self.track(moment.id)?,
        }
        Ok(())
    }

    /// Pages in which memory differs from `pages`, where they were not noted.
    pub(super) fn differing(&self, pages: Pages<'_>) -> Result<Vec<(usize, u64)>, SnapshotError> {
        let mut differing = Vec::new();
        for (region, mapped) in self.memory().iter().enumerate() {
            let mut there = pages.there(region);
            let count = mapped.len() / PAGE as u64;
            pagemap::present(mapped.as_ptr() as u64, count, |page| {
                super::memory::set(&mut there, page);
            })
            .map_err(|source| SnapshotError::Memory {
                bytes: mapped.len(),
                source,
            })?;
            for page in ones(&there) {
                // SAFETY: as in `take_changes`; the page is one of the region's.
                let bytes = unsafe { &*page_of(mapped.as_ptr(), page) };
                let before = pages.page(region, page).unwrap_or(&[0; PAGE]);
                if bytes != before {
                    differing.push((region, page));
                }
            }
        }
        Ok(differing)
    }
}

/// A page of memory at `start`.
///
/// # Safety
/// The page is inside the mapping that begins at `start`.
pub(super) unsafe fn page_of(start: *const u8, page: u64) -> *const [u8; PAGE] {
    // SAFETY: by this function's contract.
    unsafe { start.add(page as usize * PAGE) }.cast()
}

impl fmt::Debug for MovingSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MovingSnapshot")
            .field("base", &self.base)
            .field("changed", &self.changed.len())
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}
