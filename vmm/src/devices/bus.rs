//! Finds the device behind an address.
//!
//! The same [`Bus`] serves I/O ports and physical addresses; a machine has one of each. An access
//! that no device claims, or that crosses the end of a device's range, reads as all ones and is
//! dropped when written, as on a PC; it is counted, and the first one is logged.

use std::fmt;
use std::ops::Range;

use log::warn;
use pagelab_abi::platform::{Doorbell, ExitCode};
use thiserror::Error;

use super::{Shared, lock};

/// What a write did beyond the device's own registers: the run loop acts on it before it enters
/// the guest again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// The guest ended the machine.
    Exit(ExitCode),
    /// The guest ended the machine with a code that the contract does not know.
    UnknownExit(u32),
    /// The guest rang the doorbell and stands there.
    Doorbell(Doorbell),
    /// The guest rang the doorbell with a reason that the contract does not know.
    UnknownDoorbell(u32),
    /// The guest named the pfn of its root page. Not yet checked against RAM.
    Root {
        /// The page frame number.
        pfn: u32,
    },
    /// The guest completed its first line on the serial console.
    FirstLine,
}

/// A device on a bus. Offsets are relative to the start of the device's range. Each call is made
/// by a guest that may be hostile: any offset within the range, any width.
pub trait BusDevice: Send {
    /// Reads `data.len()` bytes. `data` is all ones on entry, and stays so where nothing answers.
    fn read(&mut self, offset: u64, data: &mut [u8]);

    /// Writes `data`. A port write that repeats (`rep outs`) may arrive as one call with all the
    /// bytes for the one port.
    fn write(&mut self, offset: u64, data: &[u8]) -> Option<BusEvent>;
}

/// Why a device cannot be put on a bus.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BusError {
    /// The range is empty or goes beyond the last address.
    #[error("range of {len:#x} addresses at {base:#x} is empty or too long for the bus")]
    BadRange {
        /// First address.
        base: u64,
        /// Number of addresses.
        len: u64,
    },
    /// The range overlaps that of another device.
    #[error(
        "range {:#x}..{:#x} of {name} overlaps {:#x}..{:#x} of {other}; place one elsewhere",
        range.start, range.end, taken.start, taken.end
    )]
    Overlap {
        /// The new device.
        name: &'static str,
        /// Its range.
        range: Range<u64>,
        /// The device that is there already.
        other: &'static str,
        /// The range of that device.
        taken: Range<u64>,
    },
}

struct Slot {
    range: Range<u64>,
    name: &'static str,
    device: Shared<dyn BusDevice>,
}

/// Devices by address.
#[derive(Default)]
pub struct Bus {
    /// Sorted by start; ranges do not overlap.
    slots: Vec<Slot>,
    unclaimed: u64,
}

impl Bus {
    /// A bus without devices.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a device at `base..base + len`. `name` appears in errors.
    ///
    /// # Errors
    /// [`BusError`] if the range is empty, goes past the last address, or overlaps another.
    pub fn insert(
        &mut self,
        name: &'static str,
        base: u64,
        len: u64,
        device: Shared<dyn BusDevice>,
    ) -> Result<(), BusError> {
        let end = match base.checked_add(len) {
            Some(end) if len > 0 => end,
            _ => return Err(BusError::BadRange { base, len }),
        };
        let range = base..end;
        let at = self.slots.partition_point(|slot| slot.range.end <= base);
        if let Some(slot) = self.slots.get(at).filter(|slot| slot.range.start < end) {
            return Err(BusError::Overlap {
                name,
                range,
                other: slot.name,
                taken: slot.range.clone(),
            });
        }
        let slot = Slot {
            range,
            name,
            device,
        };
        self.slots.insert(at, slot);
        Ok(())
    }

    /// The guest reads `data.len()` bytes at `address`.
    pub fn read(&mut self, address: u64, data: &mut [u8]) {
        data.fill(0xff);
        match self.find(address) {
            Some((device, offset)) => lock(device).read(offset, data),
            None => self.miss("read", address, data.len()),
        }
    }

    /// The guest writes `data` at `address`.
    pub fn write(&mut self, address: u64, data: &[u8]) -> Option<BusEvent> {
        match self.find(address) {
            Some((device, offset)) => lock(device).write(offset, data),
            None => {
                self.miss("write", address, data.len());
                None
            }
        }
    }

    /// Accesses that no device claimed.
    pub fn unclaimed(&self) -> u64 {
        self.unclaimed
    }

    /// Sets the number of accesses that no device claimed, as it was at a snapshot.
    pub(crate) fn set_unclaimed(&mut self, unclaimed: u64) {
        self.unclaimed = unclaimed;
    }

    /// Names and ranges of the devices, by address.
    pub fn devices(&self) -> impl Iterator<Item = (&'static str, Range<u64>)> + '_ {
        self.slots
            .iter()
            .map(|slot| (slot.name, slot.range.clone()))
    }

    fn find(&self, address: u64) -> Option<(&Shared<dyn BusDevice>, u64)> {
        let at = self.slots.partition_point(|slot| slot.range.end <= address);
        let slot = self.slots.get(at)?;
        let offset = address.checked_sub(slot.range.start)?;
        Some((&slot.device, offset))
    }

    fn miss(&mut self, what: &str, address: u64, len: usize) {
        if self.unclaimed == 0 {
            warn!("guest {what} of {len} bytes at {address:#x}, where no device is");
        }
        self.unclaimed = self.unclaimed.saturating_add(1);
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.devices()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::shared;
    use proptest::prelude::*;

    /// Reads back the offset, and records the last write.
    #[derive(Default)]
    struct Probe {
        written: Option<(u64, Vec<u8>)>,
    }

    impl BusDevice for Probe {
        fn read(&mut self, offset: u64, data: &mut [u8]) {
            data[0] = offset as u8;
        }

        fn write(&mut self, offset: u64, data: &[u8]) -> Option<BusEvent> {
            self.written = Some((offset, data.to_vec()));
            Some(BusEvent::UnknownExit(7))
        }
    }

    #[test]
    fn finds_the_device_and_its_offset() {
        let mut bus = Bus::new();
        let probe = shared(Probe::default());
        bus.insert("b", 0x20, 8, probe.clone()).unwrap();
        bus.insert("a", 0x10, 8, shared(Probe::default())).unwrap();
        assert_eq!(bus.write(0x27, &[9]), Some(BusEvent::UnknownExit(7)));
        assert_eq!(lock(&probe).written, Some((7, vec![9])));
        let mut byte = [0];
        bus.read(0x11, &mut byte);
        assert_eq!(byte, [1]);
        let names: Vec<_> = bus.devices().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn unclaimed_accesses_read_ones_and_are_counted() {
        let mut bus = Bus::new();
        bus.insert("a", 0x10, 8, shared(Probe::default())).unwrap();
        for address in [0, 0xf, 0x18, u64::MAX] {
            let mut data = [0; 4];
            bus.read(address, &mut data);
            assert_eq!(data, [0xff; 4]);
            assert_eq!(bus.write(address, &[1]), None);
        }
        assert_eq!(bus.unclaimed(), 8);
    }

    #[test]
    fn refuses_bad_ranges() {
        let mut bus = Bus::new();
        let probe: Shared<dyn BusDevice> = shared(Probe::default());
        for (base, len) in [(0, 0), (u64::MAX, 2)] {
            let error = bus.insert("a", base, len, probe.clone()).unwrap_err();
            assert_eq!(error, BusError::BadRange { base, len });
        }
    }

    proptest! {
        /// An insertion succeeds exactly if no earlier range has an address in common with it.
        #[test]
        fn overlap_is_exact(ranges in prop::collection::vec((0u64..64, 1u64..12), 1..20)) {
            let mut bus = Bus::new();
            let mut taken = [false; 80];
            for (base, len) in ranges {
                let cells = &mut taken[base as usize..(base + len) as usize];
                let free = cells.iter().all(|cell| !cell);
                let result = bus.insert("x", base, len, shared(Probe::default()));
                prop_assert_eq!(result.is_ok(), free);
                if free {
                    cells.fill(true);
                }
            }
            for (address, taken) in taken.iter().enumerate() {
                prop_assert_eq!(bus.find(address as u64).is_some(), *taken);
            }
        }
    }
}
