//! Guests that stop their CPU, or never stop.

use crate::{
    asm::{Asm, Width},
    random::Random,
    survive::{Case, MEMORY, ends, survive},
};
use pagelab::{
    machine::testing::{CODE, has_kvm},
    report::Verdict,
};
use pagelab_abi::platform::Doorbell;
use pagelab_tests::is_emulated;

#[test]
fn known_ends_have_their_verdicts() {
    if !has_kvm() {
        return;
    }
    let store_loop = {
        let mut asm = Asm::default();
        asm.store(Width::Four, MEMORY as u32 - 4, 1);
        asm.jump_back(0);
        asm.code
    };
    let ringing = {
        let mut asm = Asm::default();
        asm.ring(Doorbell::Stop);
        asm.jump_back(0);
        asm.code
    };
    for (name, code, endless, verdict) in [
        ("jmp to itself", &[0xeb, 0xfe][..], true, Verdict::Hung),
        ("a loop of stores", &store_loop, true, Verdict::Hung),
        (
            "a loop of port reads",
            &[0xe4, 0x80, 0xeb, 0xfc],
            true,
            Verdict::Hung,
        ),
        ("cli; hlt", &[0xfa, 0xf4], false, Verdict::Hung),
        ("sti; hlt", &[0xfb, 0xf4], false, Verdict::Hung),
        (
            "ud2 without an IDT",
            &[0x0f, 0x0b],
            false,
            Verdict::TripleFault,
        ),
        (
            "division by zero",
            &[0x31, 0xc9, 0xf7, 0xf1],
            false,
            Verdict::TripleFault,
        ),
        (
            "a doorbell without a root page",
            &ringing,
            false,
            Verdict::Violated,
        ),
    ] {
        let case = Case::new(name, 0);
        let report = if endless {
            survive(&case, code)
        } else {
            ends(&case, code)
        };
        assert_eq!(report.verdict, verdict, "{name}: {:?}", report.reasons);
        assert!(!report.reasons.is_empty(), "{name}");
    }
}

#[test]
fn code_that_rewrites_itself() {
    if !has_kvm() {
        return;
    }
    for seed in 0..20 {
        let case = Case::new("self-modifying code", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        for _ in 0..20 {
            let at = CODE as u32 + random.below(400) as u32;
            asm.store(random.pick(&Width::ALL), at, random.u32());
        }
        // Over all of memory, the code included.
        asm.copy(Width::Four, 0, random.below(MEMORY) as u32, 0x4000);
        asm.jump_back(0);
        survive(&case, &asm.code);
    }
}

#[test]
fn jumps_to_nowhere() {
    if !has_kvm() {
        return;
    }
    for seed in 0..30 {
        let case = Case::new("a jump to nowhere", seed);
        let mut asm = Asm::default();
        asm.eax(Random::new(seed).nasty() as u32);
        // jmp eax
        asm.raw(&[0xff, 0xe0]);
        survive(&case, &asm.code);
    }
}

#[test]
fn control_registers_at_random() {
    if !has_kvm() {
        return;
    }
    for seed in 0..40 {
        let case = Case::new("random control registers", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        // Page tables of garbage, in which a walker must not get lost.
        let garbage = random.bytes(256);
        asm.store_bytes(0x30_0000, &garbage);
        asm.copy(Width::Four, 0x30_0000, 0x30_0100, 0x1000);
        for _ in 0..6 {
            match random.below(6) {
                0 => {
                    // mov cr3, eax
                    asm.eax(random.pick(&[0x30_0000, 0, 0xffff_f000, MEMORY as u32]));
                    asm.raw(&[0x0f, 0x22, 0xd8]);
                }
                1 => {
                    // mov cr4, eax: PAE and some more
                    asm.eax(0x20 | random.u32() & random.u32() & random.u32());
                    asm.raw(&[0x0f, 0x22, 0xe0]);
                }
                2 => {
                    // mov cr0, eax: protected mode, perhaps with paging
                    asm.eax(0x11 | random.u32() & 0x8001_0000);
                    asm.raw(&[0x0f, 0x22, 0xc0]);
                }
                3 => {
                    // An exit of a guest with EFER.LME set, paging off and CR4.PAE clear breaks QEMU: 7.2
                    // restores CR0 before CR4 and EFER, takes CR0.PG for an attempt to enter long mode
                    // without PAE, ignores it, and goes on without paging.
                    if is_emulated() {
                        // mov cr4, eax: PAE, which the case above keeps
                        asm.eax(0x20);
                        asm.raw(&[0x0f, 0x22, 0xe0]);
                    }
                    // wrmsr: EFER
                    asm.raw(&[0x31, 0xd2]);
                    asm.ecx(0xc000_0080);
                    asm.eax(random.pick(&[0x100, 0x900, 0xd00, 0xffff_ffff]));
                    asm.raw(&[0x0f, 0x30]);
                }
                4 => {
                    // wrmsr: anything
                    asm.ecx(random.pick(&[0x10, 0x1b, 0x174, 0x277, 0x4b56_4d00, 0xc000_0081]));
                    asm.eax(random.u32());
                    asm.raw(&[0x0f, 0x30]);
                }
                // lgdt, lidt, lldt, ltr from garbage
                _ => match random.below(3) {
                    0 => asm.raw(&[0x0f, 0x01, 0x15, 0, 0, 0x30, 0]),
                    1 => asm.raw(&[0x0f, 0x01, 0x1d, 0, 0, 0x30, 0]),
                    _ => asm.raw(&[0xb8, 0x18, 0, 0, 0, 0x8e, 0xd8]),
                },
            }
        }
        asm.exit(random.u32());
        survive(&case, &asm.code);
    }
}

#[test]
fn string_instructions_without_end() {
    if !has_kvm() {
        return;
    }
    for (name, opcode) in [
        ("rep stosd", 0xab),
        ("rep movsd", 0xa5),
        ("repe cmpsd", 0xa7),
        ("rep insd", 0x6d),
    ] {
        let case = Case::new(name, 0);
        let mut asm = Asm::default();
        asm.eax(0);
        asm.esi(0x80_0000);
        asm.edi(0x80_0000);
        asm.ecx(u32::MAX);
        asm.raw(&[0xf3, opcode]);
        asm.jump_back(0);
        survive(&case, &asm.code);
    }
}
