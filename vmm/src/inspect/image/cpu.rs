//! A CPU's registers as an image holds them.

use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};

/// A segment register with its hidden part. Descriptor tables use `limit` and `base` only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentRegister {
    /// The visible part.
    pub selector: u32,
    /// Last valid offset.
    pub limit: u32,
    /// Bits 8 to 23 of the descriptor's upper half (SDM volume 3, figure 3-8).
    pub flags: u32,
    /// First linear address.
    pub base: u64,
}

/// One CPU at the moment of the dump. What a dump's format cannot tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuRegisters {
    /// RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8 to R15: the order of QEMU's CPU note.
    pub general: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// CS, DS, ES, FS, GS, SS, LDT, TR, GDT, IDT: the order of QEMU's CPU note.
    pub segments: [SegmentRegister; 10],
    /// CR0 to CR4; CR1 does not exist and is zero.
    pub cr: [u64; 5],
    /// `IA32_EFER`.
    pub efer: Option<u64>,
    /// Rights of the protection keys for user pages.
    pub pkru: Option<u32>,
    /// `IA32_KERNEL_GS_BASE`.
    pub kernel_gs_base: Option<u64>,
}

/// Index of CS in [`CpuRegisters::segments`].
pub(super) const CS: usize = 0;
/// Index of DS.
pub(super) const DS: usize = 1;
/// Index of ES.
pub(super) const ES: usize = 2;
/// Index of FS.
pub(super) const FS: usize = 3;
/// Index of GS.
pub(super) const GS: usize = 4;
/// Index of SS.
pub(super) const SS: usize = 5;

impl CpuRegisters {
    /// The registers of a vCPU as KVM returns them. PKRU is in neither structure: KVM keeps it in
    /// the XSAVE area, and a caller that uses protection keys sets [`pkru`](Self::pkru) itself.
    pub fn from_kvm(regs: &kvm_regs, sregs: &kvm_sregs) -> Self {
        let segment = |from: &kvm_segment| SegmentRegister {
            selector: from.selector.into(),
            limit: from.limit,
            flags: segment_flags(from),
            base: from.base,
        };
        let table = |from: &kvm_dtable| SegmentRegister {
            limit: from.limit.into(),
            base: from.base,
            ..SegmentRegister::default()
        };
        Self {
            general: [
                regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rsp, regs.rbp,
                regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
            ],
            rip: regs.rip,
            rflags: regs.rflags,
            segments: [
                segment(&sregs.cs),
                segment(&sregs.ds),
                segment(&sregs.es),
                segment(&sregs.fs),
                segment(&sregs.gs),
                segment(&sregs.ss),
                segment(&sregs.ldt),
                segment(&sregs.tr),
                table(&sregs.gdt),
                table(&sregs.idt),
            ],
            cr: [sregs.cr0, 0, sregs.cr2, sregs.cr3, sregs.cr4],
            efer: Some(sregs.efer),
            pkru: None,
            kernel_gs_base: None,
        }
    }
}

/// The descriptor bits from KVM's single fields.
fn segment_flags(from: &kvm_segment) -> u32 {
    u32::from(from.type_ & 0xf) << 8
        | u32::from(from.s & 1) << 12
        | u32::from(from.dpl & 3) << 13
        | u32::from(from.present & 1) << 15
        | u32::from(from.avl & 1) << 20
        | u32::from(from.l & 1) << 21
        | u32::from(from.db & 1) << 22
        | u32::from(from.g & 1) << 23
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_code_segment_has_the_bits_of_its_descriptor() {
        // The descriptor 0x00af_9b00_0000_ffff, long mode ring-0 code, accessed.
        let code = kvm_segment {
            type_: 0xb,
            s: 1,
            present: 1,
            l: 1,
            g: 1,
            ..Default::default()
        };
        assert_eq!(segment_flags(&code), 0x00a0_9b00);
    }

    #[test]
    fn kvm_registers_keep_their_places() {
        let regs = kvm_regs {
            rax: 1,
            rbx: 2,
            rbp: 8,
            r15: 16,
            rip: 17,
            ..Default::default()
        };
        let sregs = kvm_sregs {
            cr3: 3,
            cr4: 4,
            efer: 5,
            ..Default::default()
        };
        let cpu = CpuRegisters::from_kvm(&regs, &sregs);
        assert_eq!((cpu.general[0], cpu.general[1], cpu.general[7]), (1, 2, 8));
        assert_eq!((cpu.general[15], cpu.rip), (16, 17));
        assert_eq!((cpu.cr[3], cpu.cr[4], cpu.efer), (3, 4, Some(5)));
    }
}
