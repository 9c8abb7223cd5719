//! The doorbell and the root port: how the guest hands control to the host, and tells it where to
//! look.

use pagelab_abi::platform::Doorbell;

use super::bus::{BusDevice, BusEvent};
use super::exit::first_u32;
use super::state::{StateError, Stateful};

/// Ports that each of the two devices takes.
pub const DOORBELL_PORTS: u64 = 4;

/// The doorbell. A 32-bit write rings it; it reads as the number of times it was rung, so that a
/// guest can tell whether it is there (an absent port reads all ones).
#[derive(Clone, Copy, Debug, Default)]
pub struct DoorbellPort {
    rung: u32,
}

impl DoorbellPort {
    /// A doorbell that nobody has rung.
    pub fn new() -> Self {
        Self::default()
    }
}

impl BusDevice for DoorbellPort {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        read_u32(self.rung, offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Option<BusEvent> {
        let value = first_u32(offset, data)?;
        // All ones would look like an absent port.
        self.rung = self.rung.saturating_add(1).min(u32::MAX - 1);
        Some(match Doorbell::from_u32(value) {
            Some(reason) => BusEvent::Doorbell(reason),
            None => BusEvent::UnknownDoorbell(value),
        })
    }
}

impl Stateful for DoorbellPort {
    /// How often it was rung.
    type State = u32;

    fn state(&mut self) -> u32 {
        self.rung
    }

    fn restore(&mut self, rung: &u32) -> Result<(), StateError> {
        self.rung = *rung;
        Ok(())
    }
}

/// The port at which the guest names the pfn of its root page. Reads as the last pfn named.
#[derive(Clone, Copy, Debug, Default)]
pub struct RootPort {
    pfn: u32,
}

impl RootPort {
    /// A port at which no pfn has been named.
    pub fn new() -> Self {
        Self::default()
    }
}

impl BusDevice for RootPort {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        read_u32(self.pfn, offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Option<BusEvent> {
        let pfn = first_u32(offset, data)?;
        self.pfn = pfn;
        Some(BusEvent::Root { pfn })
    }
}

impl Stateful for RootPort {
    /// The pfn named last.
    type State = u32;

    fn state(&mut self) -> u32 {
        self.pfn
    }

    fn restore(&mut self, pfn: &u32) -> Result<(), StateError> {
        self.pfn = *pfn;
        Ok(())
    }
}

/// Answers a read of a 32-bit port; other widths and offsets leave `data` as it is.
fn read_u32(value: u32, offset: u64, data: &mut [u8]) {
    if let (0, Some(bytes)) = (offset, data.first_chunk_mut::<4>()) {
        *bytes = value.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_rings() {
        let mut port = DoorbellPort::new();
        for number in 1..=6 {
            let reason = Doorbell::from_u32(number).unwrap();
            let event = port.write(0, &number.to_le_bytes());
            assert_eq!(event, Some(BusEvent::Doorbell(reason)));
        }
        let event = port.write(0, &99_u32.to_le_bytes());
        assert_eq!(event, Some(BusEvent::UnknownDoorbell(99)));
        assert_eq!(port.write(2, &[1, 0, 0, 0]), None);
        assert_eq!(port.write(0, &[1]), None);
        let mut data = [0xff; 4];
        port.read(0, &mut data);
        assert_eq!(u32::from_le_bytes(data), 7);
    }

    #[test]
    fn the_root_is_named_and_read_back() {
        let mut port = RootPort::new();
        let event = port.write(0, &0x1234_u32.to_le_bytes());
        assert_eq!(event, Some(BusEvent::Root { pfn: 0x1234 }));
        let mut data = [0xff; 4];
        port.read(0, &mut data);
        assert_eq!(u32::from_le_bytes(data), 0x1234);
        let mut narrow = [0xff; 2];
        port.read(0, &mut narrow);
        assert_eq!(narrow, [0xff; 2]);
    }
}
