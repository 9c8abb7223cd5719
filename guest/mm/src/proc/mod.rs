//! Views of the memory manager in the formats of Linux's /proc. Which lines there are is written
//! in [`pagelab_abi::view`].
//!
//! The numbers are read without locks, as in Linux: they agree with each other if nothing runs
//! beside the reader.

mod buddyinfo;
mod meminfo;
mod pagetypeinfo;
pub(crate) mod slabinfo;
mod vmstat;
mod zoneinfo;

use crate::{Mm, machine::Machine};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::{
    view::ViewKind,
    zone::{FreeArea, Zone, ZoneKind},
};

impl<M: Machine + 'static> Mm<M> {
    /// Writes /proc/buddyinfo: free blocks of each order.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn buddyinfo(&self, out: &mut dyn Write) -> fmt::Result {
        buddyinfo::write(self.zones(), out)
    }

    /// Writes /proc/pagetypeinfo: free blocks of each order and migrate type, and pageblocks of
    /// each type.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn pagetypeinfo(&self, out: &mut dyn Write) -> fmt::Result {
        pagetypeinfo::write(self.zones(), &self.map, out)
    }

    /// Writes /proc/zoneinfo: everything about each zone.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn zoneinfo(&self, out: &mut dyn Write) -> fmt::Result {
        zoneinfo::write(self, out)
    }

    /// Writes /proc/meminfo: a summary in kB.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn meminfo(&self, out: &mut dyn Write) -> fmt::Result {
        meminfo::write(self, out)
    }

    /// Writes /proc/vmstat: all amounts and counters.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn vmstat(&self, out: &mut dyn Write) -> fmt::Result {
        vmstat::write(self, out)
    }

    /// Writes one of them.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn view(&self, kind: ViewKind, out: &mut dyn Write) -> fmt::Result {
        match kind {
            ViewKind::Buddyinfo => self.buddyinfo(out),
            ViewKind::Zoneinfo => self.zoneinfo(out),
            ViewKind::Slabinfo => self.slabinfo(out),
            ViewKind::Meminfo => self.meminfo(out),
            ViewKind::Vmstat => self.vmstat(out),
            ViewKind::Pagetypeinfo => self.pagetypeinfo(out),
        }
    }

    /// Free pages of all zones.
    pub fn free_pages_total(&self) -> u64 {
        self.zones()
            .iter()
            .map(|zone| u64::from(zone.free_pages.load(Relaxed)))
            .sum()
    }
}

/// The zones that have memory.
pub(crate) fn populated(zones: &[Zone]) -> impl Iterator<Item = (usize, &Zone)> {
    zones
        .iter()
        .enumerate()
        .filter(|(_, zone)| zone.present > 0)
}

/// A zone's name.
pub(crate) fn name(zone: &Zone) -> &'static str {
    ZoneKind::from_u32(zone.kind).map_or("?", ZoneKind::name)
}

/// Free blocks of one order.
pub(crate) fn blocks(area: &FreeArea) -> u64 {
    area.free_list
        .iter()
        .map(|list| u64::from(list.count.load(Relaxed)))
        .sum()
}

#[cfg(test)]
mod tests;
