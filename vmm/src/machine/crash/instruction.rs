//! The failing instruction.

use std::fmt::Write;

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use schemars::JsonSchema;
use serde::Serialize;

use super::translate;
use crate::machine::memory::GuestMemory;
use crate::machine::registers::Registers;

/// Longest x86 instruction.
const MAX_LEN: usize = 15;

/// An instruction, disassembled in GNU syntax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Instruction {
    /// Its address.
    pub address: u64,
    /// Its bytes in hexadecimal.
    pub bytes: String,
    /// Its text, or "(bad)".
    pub text: String,
}

/// The instruction at `rip`: from guest memory, or from what KVM fetched where memory cannot be
/// read.
pub(super) fn at(
    memory: &GuestMemory,
    registers: &Registers,
    rip: u64,
    fetched: &[u8],
) -> Option<Instruction> {
    let mut buffer = [0; MAX_LEN];
    let linear = registers.cs_base.wrapping_add(rip);
    let read = translate::read(memory, &registers.control, linear, &mut buffer);
    let bytes = if read.is_empty() { fetched } else { read };
    (!bytes.is_empty()).then(|| disassemble(bytes, rip, registers.code_bits))
}

fn disassemble(bytes: &[u8], rip: u64, bits: u32) -> Instruction {
    let mut decoder = Decoder::with_ip(bits, bytes, rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    let mut text = String::new();
    let len = if instruction.is_invalid() {
        text.push_str("(bad)");
        bytes.len().min(MAX_LEN)
    } else {
        GasFormatter::new().format(&instruction, &mut text);
        instruction.len()
    };
    let bytes = bytes[..len].iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Instruction {
        address: rip,
        bytes,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn speaks_gnu_syntax() {
        let ud2 = disassemble(&[0x0f, 0x0b, 0x90], 0x1000, 64);
        assert_eq!((ud2.text.as_str(), ud2.bytes.as_str()), ("ud2", "0f0b"));
        let mov = disassemble(&[0x48, 0x89, 0xd8], 0x1000, 64);
        assert_eq!(mov.text, "mov %rbx,%rax");
        assert_eq!(disassemble(&[0x06], 0, 64).text, "(bad)");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_text(bytes: [u8; 15], len in 1_usize..=15, rip: u64) {
            for bits in [16, 32, 64] {
                let instruction = disassemble(&bytes[..len], rip, bits);
                prop_assert!(!instruction.text.is_empty());
            }
        }
    }
}
