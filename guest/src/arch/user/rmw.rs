//! Instructions that read a place in memory and write it back: `add [m], r`, `inc [m]`, `xchg` and
//! their like.
//!
//! A CPU asks for a write when one of them reaches a page that is not there (Intel SDM vol. 3, 4.7:
//! "the access causing the fault was a write"). A CPU in software loads first, so that the fault is
//! of a read, and of a write once the page has been read: QEMU's, and KVM's instruction emulator.
//! What follows of the two is not the same, so such a fault of ring 3 is taken for what it would
//! have been.

use crate::arch::probe::{self, Attempt};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Bytes of the longest instruction (Intel SDM vol. 2, 2.3.11).
pub(crate) const LONGEST: usize = 15;

/// Whether the CPU may load first.
static LOADS_FIRST: AtomicBool = AtomicBool::new(false);

/// Tries how ring 0 reports it. Interrupts are off.
///
/// Where ring 0 alone is interpreted, this says so of ring 3 as well, which costs some time and
/// changes nothing: there no such instruction's fault is of a read.
pub(super) fn init() {
    /// No table of the kernel's maps it.
    const NOWHERE: u64 = 0x1000;
    /// Bit 1 of a page fault's error code: the access was a write.
    const WRITE: u64 = 1 << 1;
    // SAFETY: nothing is there, so nothing is changed.
    let tried = unsafe { probe::attempt(Attempt::Modify, NOWHERE, 0, 0) };
    let loads_first = tried.is_err_and(|fault| fault.error_code & WRITE == 0);
    LOADS_FIRST.store(loads_first, Relaxed);
}

/// Whether a fault of a read may be one of an instruction that [`modifies`] memory.
#[inline]
pub(crate) fn may_load_first() -> bool {
    LOADS_FIRST.load(Relaxed)
}

/// What can be said of an instruction by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modifies {
    /// It reads memory and writes it back.
    Yes,
    /// It does not.
    No,
    /// These bytes do not tell.
    TooShort,
}

/// Whether an instruction of 64-bit mode that reads memory writes the same place (Intel SDM vol. 2,
/// appendix A).
pub(crate) fn modifies(bytes: &[u8]) -> Modifies {
    let mut rest = bytes.iter().copied();
    let opcode = loop {
        match rest.next() {
            // Prefixes: operand and address size, segments, lock, rep; REX.
            Some(0x66 | 0x67 | 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0xf0 | 0xf2 | 0xf3) => {}
            Some(0x40..=0x4f) => {}
            Some(byte) => break byte,
            None => return Modifies::TooShort,
        }
    };
    let by_modrm = |mut rest: Rest<'_>, wanted: fn(u8) -> bool| match rest.next() {
        Some(modrm) if wanted(modrm >> 3 & 7) => Modifies::Yes,
        Some(_) => Modifies::No,
        None => Modifies::TooShort,
    };
    match opcode {
        // ADD, OR, ADC, SBB, AND, SUB, XOR to memory; CMP is at 0x38.
        0x00..=0x37 if opcode & 6 == 0 => Modifies::Yes,
        // The same with a constant, CMP as the last.
        0x80 | 0x81 | 0x83 => by_modrm(rest, |operation| operation != 7),
        // XCHG.
        0x86 | 0x87 => Modifies::Yes,
        // Shifts and rotations.
        0xc0 | 0xc1 | 0xd0..=0xd3 => Modifies::Yes,
        // NOT, NEG; INC, DEC.
        0xf6 | 0xf7 => by_modrm(rest, |operation| matches!(operation, 2 | 3)),
        0xfe | 0xff => by_modrm(rest, |operation| operation < 2),
        0x0f => match rest.next() {
            // SHLD, SHRD.
            Some(0xa4 | 0xa5 | 0xac | 0xad) => Modifies::Yes,
            // BTS, BTR, BTC.
            Some(0xab | 0xb3 | 0xbb) => Modifies::Yes,
            Some(0xba) => by_modrm(rest, |operation| operation > 4),
            // CMPXCHG, XADD.
            Some(0xb0 | 0xb1 | 0xc0 | 0xc1) => Modifies::Yes,
            // CMPXCHG8B, CMPXCHG16B.
            Some(0xc7) => by_modrm(rest, |operation| operation == 1),
            Some(_) => Modifies::No,
            None => Modifies::TooShort,
        },
        _ => Modifies::No,
    }
}

/// Bytes that have not been looked at.
type Rest<'b> = core::iter::Copied<core::slice::Iter<'b, u8>>;

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory, Mnemonic, OpAccess, OpKind};

    /// What a decoder that knows all instructions says.
    fn by_the_decoder(bytes: &[u8]) -> Option<bool> {
        let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
        let instruction = decoder.decode();
        // OSXSAVE is off, so that none of these is there.
        let absent = [
            Mnemonic::Xsave,
            Mnemonic::Xsave64,
            Mnemonic::Xsaveopt,
            Mnemonic::Xsaveopt64,
        ];
        if instruction.is_invalid() || absent.contains(&instruction.mnemonic()) {
            return None;
        }
        let has_memory = instruction.op_kinds().any(|kind| kind == OpKind::Memory);
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info(&instruction);
        let modifies = info
            .used_memory()
            .iter()
            .any(|used| matches!(used.access(), OpAccess::ReadWrite | OpAccess::ReadCondWrite));
        has_memory.then_some(modifies)
    }

    /// Each opcode of the two maps, with each operation in its second byte, with prefixes.
    fn instructions() -> impl Iterator<Item = Vec<u8>> {
        let maps = [&[][..], &[0x0f]];
        let prefixes = [&[][..], &[0x66], &[0x48], &[0xf0], &[0xf2, 0x4c], &[0x65]];
        prefixes.into_iter().flat_map(move |prefix| {
            maps.into_iter().flat_map(move |map| {
                (0..=255).flat_map(move |opcode| {
                    // [rdi] and a register or an operation; then constants.
                    (0..8).map(move |operation| {
                        let rest = [opcode, operation << 3 | 7, 1, 0, 0, 0, 0, 0, 0, 0];
                        [prefix, map, &rest].concat()
                    })
                })
            })
        })
    }

    #[test]
    fn says_what_a_decoder_says() {
        let mut found = 0;
        for bytes in instructions() {
            let Some(expected) = by_the_decoder(&bytes) else {
                continue;
            };
            let expected = if expected {
                Modifies::Yes
            } else {
                Modifies::No
            };
            assert_eq!(modifies(&bytes), expected, "{bytes:02x?}");
            found += u32::from(expected == Modifies::Yes);
        }
        assert!(found > 300, "{found}");
    }

    #[test]
    fn a_part_of_an_instruction_is_no_answer() {
        for bytes in [
            &[][..],
            &[0xf0, 0x48],
            &[0x0f],
            &[0x83],
            &[0x48, 0x0f, 0xba],
        ] {
            assert_eq!(modifies(bytes), Modifies::TooShort, "{bytes:02x?}");
        }
        assert_eq!(modifies(&[0x01]), Modifies::Yes);
    }
}
