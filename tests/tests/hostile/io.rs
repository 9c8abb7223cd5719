//! Random instructions, ports and device registers.

use crate::{
    asm::{Asm, Width},
    random::Random,
    survive::{Case, MEMORY, survive},
};
use pagelab::machine::testing::has_kvm;
use pagelab_abi::platform::{
    DOORBELL_PORT, EXIT_PORT, MMIO_BASE, MMIO_END, ROOT_PORT, SERIAL_PORT, VIRTIO_MMIO_SIZE,
};

#[test]
fn random_instructions() {
    if !has_kvm() {
        return;
    }
    for seed in 0..120 {
        let case = Case::new("random instructions", seed);
        let code = Random::new(seed).bytes(256);
        survive(&case, &code);
    }
}

/// A port: any, or one that has something behind it. The exit port only now and then, as it is the end.
fn port(random: &mut Random) -> u16 {
    let port = match random.below(8) {
        0..=2 => random.next() as u16,
        3 | 4 => SERIAL_PORT + random.below(8) as u16,
        5 => DOORBELL_PORT + random.below(8) as u16,
        6 => ROOT_PORT + random.below(4) as u16,
        _ => EXIT_PORT
            .wrapping_add(random.below(8) as u16)
            .wrapping_sub(4),
    };
    if port == EXIT_PORT && random.below(50) != 0 {
        return 0x80;
    }
    port
}

#[test]
fn random_port_accesses() {
    if !has_kvm() {
        return;
    }
    for seed in 0..40 {
        let case = Case::new("random ports", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        for _ in 0..200 {
            let (port, width) = (port(random), random.pick(&Width::ALL));
            match random.below(6) {
                0 | 1 => asm.input(width, port),
                2 | 3 => {
                    let value = if random.below(2) == 0 {
                        random.below(9) as u32
                    } else {
                        random.u32()
                    };
                    asm.out(width, port, value);
                }
                // From and to memory, its end and what is behind it; the code itself may be hit.
                4 => asm.rep_outs(width, port, random.nasty() as u32, random.below(600) as u32),
                _ => asm.rep_ins(width, port, random.nasty() as u32, random.below(600) as u32),
            }
        }
        asm.exit(0);
        survive(&case, &asm.code);
    }
}

/// An address where there is no memory, mostly in the window of the balloon.
fn device_address(random: &mut Random) -> u32 {
    let at = match random.below(8) {
        0..=4 => MMIO_BASE + random.below(0x200),
        5 => MMIO_BASE + random.below(VIRTIO_MMIO_SIZE + 16),
        6 => MMIO_BASE + random.below(MMIO_END - MMIO_BASE - 4),
        _ => MEMORY + random.below(MMIO_BASE - MEMORY),
    };
    at as u32
}

#[test]
fn random_device_accesses() {
    if !has_kvm() {
        return;
    }
    for seed in 0..40 {
        let case = Case::new("random device registers", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        for _ in 0..300 {
            let (address, width) = (device_address(random), random.pick(&Width::ALL));
            match random.below(8) {
                0 | 1 => asm.fetch(width, address),
                2..=5 => asm.store(width, address, random.nasty() as u32),
                6 => asm.copy(width, 0x20_0000, address, random.below(64) as u32),
                _ => asm.copy(width, address, 0x20_0000, random.below(64) as u32),
            }
        }
        asm.exit(0);
        survive(&case, &asm.code);
    }
}
