//! Which instructions ring 0 may use.
//!
//! KVM's instruction emulator (Linux, arch/x86/kvm/emulate.c) interprets ring 0 where there is no
//! nested virtualisation. It knows the integer instructions of the first 64-bit CPUs, not all of
//! them, and nearly nothing newer. So it is listed what is allowed, and not what is forbidden.

use crate::code::{Code, may_end_a_function};
use iced_x86::{CpuidFeature, Instruction, InstructionInfoFactory, Mnemonic, Register};
use std::fmt;

/// CPU features whose instructions are allowed.
const ALLOWED: [CpuidFeature; 17] = [
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL8086_ONLY,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL286_ONLY,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL386_ONLY,
    CpuidFeature::INTEL486,
    CpuidFeature::INTEL486_A_ONLY,
    CpuidFeature::X64,
    CpuidFeature::CMOV,
    CpuidFeature::CPUID,
    CpuidFeature::CX8,
    CpuidFeature::MSR,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::PAUSE,
    CpuidFeature::TSC,
];

/// Instructions of those features that an interpreted ring 0 cannot use all the same.
const FORBIDDEN: [Mnemonic; 4] = [
    Mnemonic::Int,
    Mnemonic::Int1,
    Mnemonic::Into,
    Mnemonic::Sysret,
];

/// Functions start at multiples of this.
const FUNCTION_ALIGN: u64 = 16;

/// An instruction that must not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    address: u64,
    instruction: String,
    why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}: {}: {}", self.address, self.instruction, self.why)
    }
}

/// Finds every instruction that must not be there.
pub(crate) fn judge(code: &Code) -> Vec<Finding> {
    let mut info = InstructionInfoFactory::new();
    let mut findings = Vec::new();
    for (at, (address, instruction)) in code.iter().enumerate() {
        let why = if instruction.mnemonic() == Mnemonic::Int3 {
            (!is_filler(code, at)).then(|| "a breakpoint that can be reached".to_owned())
        } else {
            forbidden(instruction, &mut info)
        };
        if let Some(why) = why {
            findings.push(Finding {
                address: *address,
                instruction: instruction.to_string(),
                why,
            });
        }
    }
    findings
}

/// Why ring 0 must not use the instruction, if it must not.
fn forbidden(instruction: &Instruction, info: &mut InstructionInfoFactory) -> Option<String> {
    if instruction.is_invalid() {
        return Some("no valid instruction".to_owned());
    }
    let mut registers = info.info(instruction).used_registers().iter();
    if let Some(register) = registers.find(|used| is_floating(used.register())) {
        return Some(format!("uses {:?}", register.register()));
    }
    if FORBIDDEN.contains(&instruction.mnemonic()) {
        return Some("cannot be interpreted".to_owned());
    }
    // To older CPUs the first is `rep bsf`, which is what the compiler means. The others keep a
    // program's registers, and are interpreted too.
    if [Mnemonic::Tzcnt, Mnemonic::Fxsave64, Mnemonic::Fxrstor64].contains(&instruction.mnemonic())
    {
        return None;
    }
    let features = instruction.cpuid_features();
    let newer = features.iter().find(|feature| !ALLOWED.contains(feature))?;
    Some(format!("needs {newer:?}"))
}

fn is_floating(register: Register) -> bool {
    register.is_vector_register() || register.is_mm() || register.is_st()
}

/// Whether an `int3` is what the linker fills gaps with: in a row of them that nothing runs into and
/// that ends where a function may start.
fn is_filler(code: &Code, at: usize) -> bool {
    let is_int3 = |(_, other): &&(u64, Instruction)| other.mnemonic() == Mnemonic::Int3;
    let before = code[..at].iter().rev().take_while(is_int3).count();
    let after = code[at..].iter().take_while(is_int3).count();
    let entered = match (at - before).checked_sub(1) {
        Some(previous) => !may_end_a_function(&code[previous].1),
        None => true,
    };
    let (last, _) = code[at + after - 1];
    !entered && (last + 1).is_multiple_of(FUNCTION_ALIGN)
}
