//! The exit port: a 32-bit write ends the machine (as QEMU's `isa-debug-exit`).

use pagelab_abi::platform::ExitCode;

use super::bus::{BusDevice, BusEvent};

/// Ports that the device takes.
pub const EXIT_PORTS: u64 = 4;

/// The exit port. Has no state: what was written goes to the run loop.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExitPort;

impl BusDevice for ExitPort {
    /// Reads as zero.
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    /// Ends the machine, if the write is one of 32 bits to the first port; others are ignored.
    fn write(&mut self, offset: u64, data: &[u8]) -> Option<BusEvent> {
        let value = first_u32(offset, data)?;
        Some(match ExitCode::from_u32(value) {
            Some(code) => BusEvent::Exit(code),
            None => BusEvent::UnknownExit(value),
        })
    }
}

/// The first 32-bit value of a write to the device's first port. A repeated write counts once:
/// the guest does not get to the second before the run loop has acted on the first.
pub(super) fn first_u32(offset: u64, data: &[u8]) -> Option<u32> {
    let bytes = data.first_chunk::<4>().filter(|_| offset == 0)?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_known_and_unknown_codes() {
        let mut port = ExitPort;
        for code in [
            ExitCode::Success,
            ExitCode::Failure,
            ExitCode::Panic,
            ExitCode::Unfit,
        ] {
            let event = port.write(0, &(code as u32).to_le_bytes());
            assert_eq!(event, Some(BusEvent::Exit(code)));
        }
        let event = port.write(0, &0xdead_u32.to_le_bytes());
        assert_eq!(event, Some(BusEvent::UnknownExit(0xdead)));
    }

    #[test]
    fn narrow_and_shifted_writes_are_ignored() {
        let mut port = ExitPort;
        assert_eq!(port.write(0, &[0]), None);
        assert_eq!(port.write(0, &[0, 0]), None);
        assert_eq!(port.write(1, &[0, 0, 0, 0]), None);
        let mut data = [0xff; 4];
        port.read(0, &mut data);
        assert_eq!(data, [0; 4]);
    }
}
