//! The transport as its drivers see it.

mod hostile;
mod registers;

use super::*;
use crate::devices::virtio::driver::{Driver, Ram};
use virtio_bindings::bindings::virtio_mmio::*;
use vm_memory::{Bytes, GuestAddress};

const FEATURE: u64 = 1 << 7 | 1 << 40;

/// Adds up the bytes it is sent, and gives every chain back.
#[derive(Debug, Default)]
struct Probe {
    features: Option<u64>,
    sum: u64,
    config: [u8; 6],
    resets: u32,
}

impl VirtioDevice<Ram> for Probe {
    fn id(&self) -> u32 {
        42
    }

    fn features(&self) -> u64 {
        FEATURE
    }

    fn queue_sizes(&self) -> &[u16] {
        &[16, 64]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        for (at, byte) in (offset as usize..).zip(data) {
            *byte = self.config.get(at).copied().unwrap_or(0);
        }
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        for (at, byte) in (offset as usize..).zip(data) {
            if let Some(place) = self.config.get_mut(at) {
                *place = *byte;
            }
        }
    }

    fn activate(&mut self, features: u64) {
        self.features = Some(features);
    }

    fn notify(&mut self, _index: usize, queue: &mut Virtqueue, ram: &Ram) -> Result<(), Violation> {
        for chain in queue.take_all(ram)? {
            let mut bytes = Vec::new();
            chain.read_into(ram, 4096, &mut bytes)?;
            self.sum += bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            queue.give_back(ram, chain.head(), 0)?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.features = None;
        self.resets += 1;
    }
}

fn new() -> Driver<Probe> {
    Driver::new(Probe::default())
}

fn started() -> Driver<Probe> {
    Driver::started(Probe::default(), FEATURE, 2)
}

fn violation(driver: &Driver<Probe>) -> Option<Violation> {
    driver.device.first_violation()
}
