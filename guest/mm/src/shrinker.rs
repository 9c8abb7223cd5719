//! Shrinkers: what can give memory back when it gets scarce (Linux: mm/shrinker.c).

use crate::{Mm, machine::Machine};
use core::fmt;
use pagelab_abi::{event::EventKind, gfp::Gfp, vmstat::VmEvent};
use spin::Once;

/// [`Shrinker::scan_objects`] returns it when it cannot free anything now.
pub const SHRINK_STOP: u64 = u64::MAX;

/// Seeks that most objects cost to build again (Linux: `DEFAULT_SEEKS`).
pub const DEFAULT_SEEKS: u32 = 2;

/// Shrinkers that the table has room for.
pub const MAX_SHRINKERS: usize = 16;

/// Objects that a shrinker looks at in one call (Linux: `SHRINK_BATCH`).
const SHRINK_BATCH: u64 = 128;

/// What a shrinker is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ShrinkControl {
    /// Flags of the allocation that needs memory.
    pub gfp: Gfp,
    /// Objects to look at.
    pub nr_to_scan: u64,
}

/// Frees memory on demand. An allocation that it makes does not reclaim.
pub trait Shrinker<M: Machine + 'static>: Sync {
    /// A name for logs.
    fn name(&self) -> &'static str;

    /// Objects that could be freed; 0 if there are none.
    fn count_objects(&self, mm: &Mm<M>, control: &ShrinkControl) -> u64;

    /// Looks at `nr_to_scan` objects, frees those it can, and says how many it freed, or
    /// [`SHRINK_STOP`].
    fn scan_objects(&self, mm: &Mm<M>, control: &ShrinkControl) -> u64;

    /// Seeks that it costs to build an object again; 0 means that it costs nothing.
    fn seeks(&self) -> u32 {
        DEFAULT_SEEKS
    }
}

/// The table of shrinkers is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyShrinkers;

impl fmt::Display for TooManyShrinkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are {MAX_SHRINKERS} shrinkers already")
    }
}

impl core::error::Error for TooManyShrinkers {}

/// All shrinkers, in the order of registration. Filled from the front and never emptied, so a
/// reader needs no lock.
pub(crate) struct ShrinkerTable<M: Machine + 'static> {
    slots: [Once<&'static dyn Shrinker<M>>; MAX_SHRINKERS],
}

impl<M: Machine + 'static> ShrinkerTable<M> {
    /// No shrinkers.
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { Once::new() }; MAX_SHRINKERS],
        }
    }

    /// The shrinkers and their indices.
    fn iter(&self) -> impl Iterator<Item = (usize, &'static dyn Shrinker<M>)> {
        self.slots
            .iter()
            .map_while(|slot| slot.get().copied())
            .enumerate()
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Adds a shrinker. Reclaim asks all of them in the order of registration.
    ///
    /// # Errors
    /// [`TooManyShrinkers`] from the 17th on.
    pub fn register_shrinker(
        &self,
        shrinker: &'static dyn Shrinker<M>,
    ) -> Result<(), TooManyShrinkers> {
        for slot in &self.shrinkers.slots {
            let mut taken = false;
            slot.call_once(|| {
                taken = true;
                shrinker
            });
            if taken {
                return Ok(());
            }
        }
        Err(TooManyShrinkers)
    }

    /// Asks all shrinkers for the share of their objects that the priority demands: all of them at
    /// 0, one in 4096 at 12, twice that at the usual cost (Linux: `shrink_slab`,
    /// `do_shrink_slab`).
    pub(crate) fn shrink_slab(&self, gfp: Gfp, priority: u32) {
        for (index, shrinker) in self.shrinkers.iter() {
            let mut control = ShrinkControl { gfp, nr_to_scan: 0 };
            let freeable = shrinker.count_objects(self, &control);
            let delta = match u64::from(shrinker.seeks()) {
                0 => freeable / 2,
                seeks => (freeable >> priority).saturating_mul(4) / seeks,
            };
            let mut left = if priority == 0 {
                freeable
            } else {
                delta.min(freeable)
            };
            let mut freed = 0;
            while left > 0 {
                control.nr_to_scan = left.min(SHRINK_BATCH);
                let now = shrinker.scan_objects(self, &control);
                if now == SHRINK_STOP {
                    break;
                }
                freed += now;
                left -= control.nr_to_scan;
                self.count_event(VmEvent::SlabsScanned, control.nr_to_scan);
            }
            if freed > 0 {
                self.machine.event(EventKind::Reclaim, index as u64, freed);
            }
        }
    }
}
