//! A driver that sets a virtio device up as it should, and then feeds it garbage.

use crate::{
    asm::{Asm, Width},
    random::Random,
};

/// Register offsets (virtio 1.2, table 4.1).
pub(crate) mod register {
    pub(crate) const DRIVER_FEATURES: u32 = 0x020;
    pub(crate) const DRIVER_FEATURES_SEL: u32 = 0x024;
    pub(crate) const QUEUE_SEL: u32 = 0x030;
    pub(crate) const QUEUE_NUM: u32 = 0x038;
    pub(crate) const QUEUE_READY: u32 = 0x044;
    pub(crate) const QUEUE_NOTIFY: u32 = 0x050;
    pub(crate) const STATUS: u32 = 0x070;
    pub(crate) const QUEUE_DESC: u32 = 0x080;
    pub(crate) const QUEUE_DRIVER: u32 = 0x090;
    pub(crate) const QUEUE_DEVICE: u32 = 0x0a0;
    pub(crate) const CONFIG: u32 = 0x100;
}

/// A device and what its driver asks of it.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Its register window.
    pub(crate) base: u32,
    /// Queues that are set up.
    pub(crate) queues: u32,
    /// The lower half of the features.
    pub(crate) features: u32,
}

/// Entries of each queue.
pub(crate) const SIZE: u32 = 16;

/// Where the rings of a queue are.
pub(crate) fn area(queue: u32) -> u32 {
    0x40_0000 + queue * 0x1_0000
}

impl Target {
    /// Writes a register.
    pub(crate) fn set(self, asm: &mut Asm, register: u32, value: u32) {
        asm.store(Width::Four, self.base + register, value);
    }

    /// Resets the device and starts it with the features and version 1.
    pub(crate) fn start(self, asm: &mut Asm) {
        for status in [0, 1, 3] {
            self.set(asm, register::STATUS, status);
        }
        for (half, features) in [(0, self.features), (1, 1)] {
            self.set(asm, register::DRIVER_FEATURES_SEL, half);
            self.set(asm, register::DRIVER_FEATURES, features);
        }
        self.set(asm, register::STATUS, 11);
        for queue in 0..self.queues {
            let at = area(queue);
            self.set(asm, register::QUEUE_SEL, queue);
            self.set(asm, register::QUEUE_NUM, SIZE);
            for (register, address) in [
                (register::QUEUE_DESC, at),
                (register::QUEUE_DRIVER, at + 0x1000),
                (register::QUEUE_DEVICE, at + 0x2000),
            ] {
                self.set(asm, register, address);
                self.set(asm, register + 4, 0);
            }
            self.set(asm, register::QUEUE_READY, 1);
        }
        self.set(asm, register::STATUS, 15);
    }
}

/// One descriptor with every field at random, most of them plausible.
fn descriptor(random: &mut Random) -> [u8; 16] {
    let mut bytes = [0; 16];
    let address = random.nasty();
    let len = if random.below(2) == 0 {
        random.below(4096)
    } else {
        random.nasty()
    };
    // NEXT, WRITE, INDIRECT and bits that do not exist.
    let flags = if random.below(8) == 0 {
        random.next() as u16
    } else {
        random.below(8) as u16
    };
    let next = if random.below(8) == 0 {
        random.next()
    } else {
        random.below(SIZE.into())
    };
    bytes[..8].copy_from_slice(&address.to_le_bytes());
    bytes[8..12].copy_from_slice(&(len as u32).to_le_bytes());
    bytes[12..14].copy_from_slice(&flags.to_le_bytes());
    bytes[14..].copy_from_slice(&(next as u16).to_le_bytes());
    bytes
}

/// Fills the rings of a queue.
pub(crate) fn fill(asm: &mut Asm, random: &mut Random, queue: u32) {
    let at = area(queue);
    let table: Vec<u8> = (0..SIZE).flat_map(|_| descriptor(random)).collect();
    asm.store_bytes(at, &table);
    let index = match random.below(4) {
        0 => random.next() as u16,
        _ => random.below(2 * u64::from(SIZE)) as u16,
    };
    let mut ring = Vec::new();
    ring.extend((random.next() as u16 & 1).to_le_bytes());
    ring.extend(index.to_le_bytes());
    for _ in 0..SIZE {
        let head = if random.below(8) == 0 {
            random.next()
        } else {
            random.below(SIZE.into())
        };
        ring.extend((head as u16).to_le_bytes());
    }
    asm.store_bytes(at + 0x1000, &ring);
}
