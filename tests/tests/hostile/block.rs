//! A disk whose driver means harm.

use crate::{
    asm::{Asm, Width},
    random::Random,
    survive::{Case, DISK, ends, survive},
    virtio::{SIZE, Target, area, fill, register},
};
use pagelab::{machine::testing::has_kvm, report::Verdict};
use pagelab_abi::platform::{MMIO_BASE, VIRTIO_MMIO_SIZE};

/// The disk, with flush.
const BLOCK: Target = Target {
    base: (MMIO_BASE + VIRTIO_MMIO_SIZE) as u32,
    queues: 1,
    features: 1 << 9,
};

/// Where headers and data are.
const HEADERS: u32 = 0x50_0000;
const DATA: u32 = 0x60_0000;

/// Fills the queue with chains of header, data and status, each nearly right.
fn fill_requests(asm: &mut Asm, random: &mut Random) {
    let at = area(0);
    let chains = SIZE / 3;
    let mut table = Vec::new();
    for chain in 0..chains {
        let header = HEADERS + 16 * chain;
        let kind = random.pick(&[0, 1, 1, 4, 8, 11, u32::MAX]);
        let sector = match random.below(3) {
            0 => random.nasty(),
            _ => random.below(DISK / 512 + 2),
        };
        asm.store(Width::Four, header, kind);
        asm.store_bytes(header + 8, &sector.to_le_bytes());
        let len = match random.below(4) {
            0 => random.u32(),
            _ => 512 * random.below(20) as u32,
        };
        let data = match random.below(6) {
            0 => random.nasty(),
            _ => u64::from(DATA) + random.below(1 << 20),
        };
        let write = random.below(2) as u16 * 2;
        let status = u64::from(HEADERS + 0x1000 + chain);
        let first = 3 * chain as u16;
        for (address, len, flags, next) in [
            (u64::from(header), 16, 1, first + 1),
            (data, len, 1 | write, first + 2),
            (status, 1, 2, 0),
        ] {
            table.extend(address.to_le_bytes());
            table.extend(len.to_le_bytes());
            table.extend(u16::to_le_bytes(flags));
            table.extend(next.to_le_bytes());
        }
    }
    asm.store_bytes(at, &table);
    let ring = (0..chains as u16).map(|chain| 3 * chain);
    let words: Vec<u8> = [0, chains as u16]
        .into_iter()
        .chain(ring)
        .flat_map(u16::to_le_bytes)
        .collect();
    asm.store_bytes(at + 0x1000, &words);
}

#[test]
fn garbage_in_the_ring() {
    if !has_kvm() {
        return;
    }
    let mut ended_well = 0;
    for seed in 0..60 {
        let case = Case::new("garbage for the disk", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        for _ in 0..6 {
            // A device that stopped is reset, and gets more.
            BLOCK.start(&mut asm);
            if random.below(3) == 0 {
                fill(&mut asm, random, 0);
            } else {
                fill_requests(&mut asm, random);
            }
            BLOCK.set(&mut asm, register::QUEUE_NOTIFY, 0);
        }
        asm.exit(0);
        let report = ends(&case, &asm.code);
        // A guest may read the disk over its own code, and then runs into zeros.
        ended_well += u32::from(report.crash.is_none());
    }
    assert!(
        ended_well >= 45,
        "only {ended_well} guests came to their end"
    );
}

#[test]
fn the_disk_writes_where_it_is_told_even_over_its_own_queue() {
    if !has_kvm() {
        return;
    }
    for seed in 0..20 {
        let case = Case::new("a disk that overwrites its queue", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        BLOCK.start(&mut asm);
        for write in [false, true] {
            let target = area(0) + 0x800 * random.below(6) as u32;
            asm.store(Width::Four, HEADERS, u32::from(!write));
            asm.store_bytes(HEADERS + 8, &(random.below(8)).to_le_bytes());
            let flags = if write { 3 } else { 1 };
            let mut table = Vec::new();
            for (address, len, flags, next) in [
                (HEADERS, 16, 1, 1),
                (target, 8192, flags, 2),
                (target + 8192, 1, 2, 0),
            ] {
                table.extend(u64::from(address).to_le_bytes());
                table.extend(u32::to_le_bytes(len));
                table.extend(u16::to_le_bytes(flags));
                table.extend(u16::to_le_bytes(next));
            }
            asm.store_bytes(area(0), &table);
            asm.store(Width::Four, area(0) + 0x1000, (1 + u32::from(write)) << 16);
            BLOCK.set(&mut asm, register::QUEUE_NOTIFY, 0);
        }
        asm.exit(0);
        ends(&case, &asm.code);
    }
}

#[test]
fn a_storm_of_notifications() {
    if !has_kvm() {
        return;
    }
    let case = Case::new("notify storm for the disk", 0);
    let random = &mut Random::new(0);
    let mut asm = Asm::default();
    BLOCK.start(&mut asm);
    fill_requests(&mut asm, random);
    let again = asm.code.len();
    BLOCK.set(&mut asm, register::QUEUE_NOTIFY, 0);
    asm.jump_back(again);
    let report = survive(&case, &asm.code);
    assert_eq!(report.verdict, Verdict::Hung, "{:?}", report.reasons);
}
