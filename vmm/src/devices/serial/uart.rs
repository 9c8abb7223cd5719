//! Accesses to a 16550A's registers. They are one byte wide: a wider access repeats on the one
//! register, as `rep insb` and `rep outsb` do. Behind the last register is nothing.

use std::io::Write;

use vm_superio::serial::SerialEvents;
use vm_superio::{Serial, Trigger};

/// Reads the register at `offset` once for each byte of `data`.
pub(super) fn read<T: Trigger, E: SerialEvents, W: Write>(
    uart: &mut Serial<T, E, W>,
    offset: u64,
    data: &mut [u8],
) {
    if let Ok(offset) = u8::try_from(offset) {
        data.fill_with(|| uart.read(offset));
    }
}

/// Writes each byte to the register at `offset`. What the interrupt line or the transmitter's writer
/// refuses is lost, as on a line that nobody listens to.
pub(super) fn write<T: Trigger, E: SerialEvents, W: Write>(
    uart: &mut Serial<T, E, W>,
    offset: u64,
    data: &[u8],
) {
    if let Ok(offset) = u8::try_from(offset) {
        for &byte in data {
            let _ = uart.write(offset, byte);
        }
    }
}
