//! Decodes code from start to end.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};

/// An instruction and its address.
pub(crate) type Code = Vec<(u64, Instruction)>;

/// In which mode code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bitness {
    /// 64-bit mode.
    Bits64,
    /// 32-bit protected mode up to the first far jump, which leads into 64-bit mode.
    EntryOfPvh,
}

/// Decodes all of `bytes`, which lie at `address`. What is no instruction is kept as an invalid one.
pub(crate) fn decode(bytes: &[u8], address: u64, bitness: Bitness) -> Code {
    let mut code = Vec::new();
    let mut rest = bytes;
    if bitness == Bitness::EntryOfPvh {
        let mut decoder = decoder(32, bytes, address);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            code.push((instruction.ip(), instruction));
            if instruction.is_jmp_far() {
                break;
            }
        }
        rest = &bytes[decoder.position()..];
    }
    let address = address + (bytes.len() - rest.len()) as u64;
    code.extend(
        decoder(64, rest, address)
            .iter()
            .map(|instruction| (instruction.ip(), instruction)),
    );
    code
}

fn decoder(bitness: u32, bytes: &[u8], address: u64) -> Decoder<'_> {
    Decoder::with_ip(bitness, bytes, address, DecoderOptions::NONE)
}

/// Whether what follows the instruction is reached only by a jump there: a return, a jump, `ud2`, or a call,
/// whose callee may be one that never returns.
pub(crate) fn may_end_a_function(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::Return
            | FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Call
            | FlowControl::IndirectCall
            | FlowControl::Exception
    )
}
