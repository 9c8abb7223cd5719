//! The vCPU's registers, in the form in which they are shown and walked.

use std::fmt;

use kvm_bindings::{kvm_regs, kvm_sregs};
use schemars::JsonSchema;
use serde::Serialize;

/// What decides how the CPU translates an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ControlRegisters {
    /// Paging and write protection.
    pub cr0: u64,
    /// Address of the last page fault.
    pub cr2: u64,
    /// Physical address of the top page table, and the PCID.
    pub cr3: u64,
    /// Paging extensions.
    pub cr4: u64,
    /// Long mode and execute-disable.
    pub efer: u64,
    /// Rights of the protection keys; 0 unless CR4.PKE is set.
    pub pkru: u32,
}

/// CR0.PG: paging is on (Intel SDM vol. 3, 2.5).
pub(super) const CR0_PG: u64 = 1 << 31;
/// CR4.PAE: 64-bit table entries.
pub(super) const CR4_PAE: u64 = 1 << 5;
/// CR4.LA57: five levels.
pub(super) const CR4_LA57: u64 = 1 << 12;
/// CR4.PKE: protection keys for user pages.
pub(super) const CR4_PKE: u64 = 1 << 22;
/// EFER.LMA: long mode is active.
pub(super) const EFER_LMA: u64 = 1 << 10;

/// General registers and the control registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "each field is the register of its name")]
pub struct Registers {
    pub rip: u64,
    pub rflags: u64,
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    /// Selector of the code segment; its low two bits are the ring.
    pub cs: u16,
    /// Base of the code segment: not 0 only in real mode.
    pub cs_base: u64,
    /// Bits of the code that runs: 16, 32 or 64.
    pub code_bits: u32,
    /// Control registers.
    pub control: ControlRegisters,
}

impl Registers {
    pub(super) fn new(regs: &kvm_regs, sregs: &kvm_sregs, pkru: u32) -> Self {
        Self {
            rip: regs.rip,
            rflags: regs.rflags,
            rax: regs.rax,
            rbx: regs.rbx,
            rcx: regs.rcx,
            rdx: regs.rdx,
            rsi: regs.rsi,
            rdi: regs.rdi,
            rbp: regs.rbp,
            rsp: regs.rsp,
            r8: regs.r8,
            r9: regs.r9,
            r10: regs.r10,
            r11: regs.r11,
            r12: regs.r12,
            r13: regs.r13,
            r14: regs.r14,
            r15: regs.r15,
            cs: sregs.cs.selector,
            cs_base: sregs.cs.base,
            code_bits: match (sregs.cs.l, sregs.cs.db) {
                (1, _) => 64,
                (_, 1) => 32,
                _ => 16,
            },
            control: ControlRegisters::new(sregs, pkru),
        }
    }

    /// True if the CPU stands at the reset vector (Intel SDM vol. 3, 11.1.4).
    pub(super) fn is_after_reset(&self) -> bool {
        self.rip == 0xfff0 && self.cs == 0xf000
    }

    /// The ring the CPU is in, 0 to 3.
    pub fn ring(&self) -> u16 {
        self.cs & 3
    }
}

impl ControlRegisters {
    pub(super) fn new(sregs: &kvm_sregs, pkru: u32) -> Self {
        Self {
            cr0: sregs.cr0,
            cr2: sregs.cr2,
            cr3: sregs.cr3,
            cr4: sregs.cr4,
            efer: sregs.efer,
            pkru,
        }
    }
}

impl fmt::Display for Registers {
    /// Three registers a line, indented by two; at most 71 columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.control;
        let rows = [
            [("rip", self.rip), ("rsp", self.rsp), ("rbp", self.rbp)],
            [("rax", self.rax), ("rbx", self.rbx), ("rcx", self.rcx)],
            [("rdx", self.rdx), ("rsi", self.rsi), ("rdi", self.rdi)],
            [("r8", self.r8), ("r9", self.r9), ("r10", self.r10)],
            [("r11", self.r11), ("r12", self.r12), ("r13", self.r13)],
            [("r14", self.r14), ("r15", self.r15), ("rfl", self.rflags)],
            [("cr0", c.cr0), ("cr2", c.cr2), ("cr3", c.cr3)],
            [("cr4", c.cr4), ("efer", c.efer), ("cs", self.cs.into())],
        ];
        for row in rows {
            for (at, (name, value)) in row.into_iter().enumerate() {
                let gap = if at == 0 { "  " } else { "   " };
                write!(f, "{gap}{name:<5}{value:016x}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
