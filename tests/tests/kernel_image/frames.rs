//! Bytes of the stack that functions take.

use crate::code::{Bitness, decode};
use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;

/// Most bytes of a function. The kernel has one stack, of 48 KiB, for all that a program asks of it; and a
/// call is seldom deeper than 20 functions, of which few have large frames.
const LIMIT: u64 = 2048;

/// Functions that may have more: parts of their names, and why.
const EXCEPTIONS: [(&str, &str); 4] = [
    ("kernel_start", "runs once, on a stack of its own"),
    ("on_own_stack", "runs once, beneath everything else"),
    ("13pagelab_guest7program", "run once, beneath all programs"),
    ("8swapping3run", "a workload: no program runs on it"),
];

/// What an instruction takes off the stack pointer.
fn taken(instruction: &Instruction) -> u64 {
    let is_constant = matches!(
        instruction.op1_kind(),
        OpKind::Immediate8to64 | OpKind::Immediate32to64
    );
    let takes = instruction.mnemonic() == Mnemonic::Sub
        && instruction.op0_register() == Register::RSP
        && is_constant;
    if takes { instruction.immediate(1) } else { 0 }
}

/// Bytes of the frame of code: all that is ever taken, which is more than a frame if a function has
/// several.
fn frame(code: &[u8], address: u64) -> u64 {
    let code = decode(code, address, Bitness::Bits64);
    code.iter().map(|(_, instruction)| taken(instruction)).sum()
}

/// Bytes of each function's frame.
fn frames() -> BTreeMap<String, u64> {
    let elf = crate::elf();
    let mut frames = BTreeMap::new();
    let text = crate::executable_sections();
    for symbol in elf.symbols() {
        if symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        let range = symbol.address()..symbol.address() + symbol.size();
        let code = text.iter().find_map(|(_, start, bytes)| {
            let from = range.start.checked_sub(*start)? as usize;
            bytes.get(from..from + symbol.size() as usize)
        });
        if let (Some(code), Ok(name)) = (code, symbol.name()) {
            frames.insert(name.to_owned(), frame(code, range.start));
        }
    }
    frames
}

#[test]
fn no_function_takes_much_of_the_stack() {
    let frames = frames();
    assert!(frames.len() > 500, "only {} functions", frames.len());
    let excepted = |name: &str| EXCEPTIONS.iter().any(|(part, _)| name.contains(part));
    let large: Vec<_> = frames
        .iter()
        .filter(|(name, size)| **size > LIMIT && !excepted(name))
        .collect();
    assert!(large.is_empty(), "more than {LIMIT} bytes: {large:#?}");
    // None is excepted without need.
    for (part, why) in EXCEPTIONS {
        let needed = |(name, size): (&String, &u64)| name.contains(part) && *size > LIMIT;
        assert!(frames.iter().any(needed), "{part} ({why}) is small");
    }
}

#[test]
fn frames_are_measured() {
    // push rbx; sub rsp, 0x1000; mov qword ptr [rsp], 0; sub rsp, 0x28; add rsp, 0x1028; pop rbx; ret
    let code = [
        0x53, 0x48, 0x81, 0xec, 0, 0x10, 0, 0, 0x48, 0xc7, 0x04, 0x24, 0, 0, 0, 0, 0x48, 0x83,
        0xec, 0x28, 0x48, 0x81, 0xc4, 0x28, 0x10, 0, 0, 0x5b, 0xc3,
    ];
    assert_eq!(frame(&code, 0x1000), 0x1028);
}
