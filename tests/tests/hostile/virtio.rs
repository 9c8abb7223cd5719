//! A driver that sets the balloon up as it should, and then feeds it garbage.

use crate::{
    asm::{Asm, Width},
    random::Random,
    survive::{Case, ends, survive},
};
use pagelab::{machine::testing::has_kvm, report::Verdict};
use pagelab_abi::platform::MMIO_BASE;

/// Register offsets (virtio 1.2, table 4.1).
mod register {
    pub(super) const DRIVER_FEATURES: u32 = 0x020;
    pub(super) const DRIVER_FEATURES_SEL: u32 = 0x024;
    pub(super) const QUEUE_SEL: u32 = 0x030;
    pub(super) const QUEUE_NUM: u32 = 0x038;
    pub(super) const QUEUE_READY: u32 = 0x044;
    pub(super) const QUEUE_NOTIFY: u32 = 0x050;
    pub(super) const STATUS: u32 = 0x070;
    pub(super) const QUEUE_DESC: u32 = 0x080;
    pub(super) const QUEUE_DRIVER: u32 = 0x090;
    pub(super) const QUEUE_DEVICE: u32 = 0x0a0;
    pub(super) const CONFIG: u32 = 0x100;
}

/// Queues of a balloon with statistics and reporting.
const QUEUES: u32 = 4;

/// Entries of each queue.
const SIZE: u32 = 16;

/// Where the rings of a queue are.
fn area(queue: u32) -> u32 {
    0x40_0000 + queue * 0x1_0000
}

fn set(asm: &mut Asm, register: u32, value: u32) {
    asm.store(Width::Four, MMIO_BASE as u32 + register, value);
}

/// Resets the device and starts it with all features of `low` and version 1.
fn start(asm: &mut Asm, low: u32) {
    for status in [0, 1, 3] {
        set(asm, register::STATUS, status);
    }
    for (half, features) in [(0, low), (1, 1)] {
        set(asm, register::DRIVER_FEATURES_SEL, half);
        set(asm, register::DRIVER_FEATURES, features);
    }
    set(asm, register::STATUS, 11);
    for queue in 0..QUEUES {
        let at = area(queue);
        set(asm, register::QUEUE_SEL, queue);
        set(asm, register::QUEUE_NUM, SIZE);
        for (register, address) in [
            (register::QUEUE_DESC, at),
            (register::QUEUE_DRIVER, at + 0x1000),
            (register::QUEUE_DEVICE, at + 0x2000),
        ] {
            set(asm, register, address);
            set(asm, register + 4, 0);
        }
        set(asm, register::QUEUE_READY, 1);
    }
    set(asm, register::STATUS, 15);
}

/// Statistics, deflate on OOM and reporting.
const FEATURES: u32 = 1 << 1 | 1 << 2 | 1 << 5;

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
fn fill(asm: &mut Asm, random: &mut Random, queue: u32) {
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

#[test]
fn garbage_in_the_rings() {
    if !has_kvm() {
        return;
    }
    let mut ended_well = 0;
    for seed in 0..80 {
        let case = Case::new("garbage rings", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        for _ in 0..4 {
            // A device that stopped is reset, and gets more.
            start(&mut asm, FEATURES);
            for _ in 0..4 {
                let queue = random.below(QUEUES.into()) as u32;
                fill(&mut asm, random, queue);
                set(&mut asm, register::QUEUE_NOTIFY, queue);
            }
        }
        asm.exit(0);
        let report = ends(&case, &asm.code);
        // A guest may put its own code into the balloon, and then runs into zeros.
        ended_well += u32::from(report.crash.is_none());
    }
    assert!(
        ended_well >= 60,
        "only {ended_well} guests came to their end"
    );
}

#[test]
fn queues_in_impossible_places() {
    if !has_kvm() {
        return;
    }
    for seed in 0..40 {
        let case = Case::new("impossible queues", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        start(&mut asm, FEATURES);
        for _ in 0..20 {
            set(
                &mut asm,
                register::STATUS,
                random.pick(&[0, 1, 3, 11, 15, 128, 0xff]),
            );
            set(&mut asm, register::QUEUE_SEL, random.below(8) as u32);
            set(&mut asm, register::QUEUE_READY, random.below(3) as u32);
            set(&mut asm, register::QUEUE_NUM, random.nasty() as u32);
            for register in [
                register::QUEUE_DESC,
                register::QUEUE_DRIVER,
                register::QUEUE_DEVICE,
            ] {
                let address = random.nasty();
                set(&mut asm, register, address as u32);
                set(&mut asm, register + 4, (address >> 32) as u32);
            }
            set(&mut asm, register::QUEUE_READY, 1);
            set(&mut asm, register::QUEUE_NOTIFY, random.below(8) as u32);
            set(
                &mut asm,
                register::CONFIG + random.below(16) as u32,
                random.u32(),
            );
        }
        asm.exit(0);
        survive(&case, &asm.code);
    }
}

#[test]
fn a_storm_of_notifications() {
    if !has_kvm() {
        return;
    }
    for seed in 0..QUEUES.into() {
        let case = Case::new("notify storm", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        start(&mut asm, FEATURES);
        fill(&mut asm, random, seed as u32);
        let queue = seed as u32;
        asm.repeat(2000, |asm| set(asm, register::QUEUE_NOTIFY, queue));
        let again = asm.code.len();
        set(&mut asm, register::QUEUE_NOTIFY, queue);
        asm.jump_back(again);
        let report = survive(&case, &asm.code);
        assert_eq!(report.verdict, Verdict::Hung, "{:?}", report.reasons);
    }
}
