//! A handler for every vector: external interrupts are noted, a fault under a [`probe`] is its
//! answer, and everything else ends the kernel with a panic record.

use super::{interrupt, machine_check, paging::stack, probe, segments::Ist};
use core::cell::UnsafeCell;
use x86_64::{
    VirtAddr, instructions::tables::lidt, registers::control::Cr2,
    structures::DescriptorTablePointer,
};

/// Vectors that get attention by number (Intel SDM vol. 3, table 6-1).
pub(crate) mod vector {
    pub(crate) const NMI: u64 = 2;
    pub(crate) const BREAKPOINT: u64 = 3;
    pub(crate) const INVALID_OPCODE: u64 = 6;
    pub(crate) const DOUBLE_FAULT: u64 = 8;
    pub(crate) const PAGE_FAULT: u64 = 14;
    pub(crate) const MACHINE_CHECK: u64 = 18;
}

/// Registers at an exception, as `trap.s` and the CPU push them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct TrapFrame {
    pub(crate) r15: u64,
    pub(crate) r14: u64,
    pub(crate) r13: u64,
    pub(crate) r12: u64,
    pub(crate) r11: u64,
    pub(crate) r10: u64,
    pub(crate) r9: u64,
    pub(crate) r8: u64,
    pub(crate) rbp: u64,
    pub(crate) rdi: u64,
    pub(crate) rsi: u64,
    pub(crate) rdx: u64,
    pub(crate) rcx: u64,
    pub(crate) rbx: u64,
    pub(crate) rax: u64,
    pub(crate) vector: u64,
    pub(crate) error_code: u64,
    pub(crate) rip: u64,
    pub(crate) cs: u64,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) ss: u64,
}

/// An interrupt gate (Intel SDM vol. 3, 6.14.1).
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    offset_low: u16,
    selector: u16,
    ist: u8,
    attributes: u8,
    offset_middle: u16,
    offset_high: u32,
    reserved: u32,
}

/// Present, DPL 0, 64-bit interrupt gate.
const INTERRUPT_GATE: u8 = 0x8e;

/// The same that ring 3 may go through by an instruction.
const USER_GATE: u8 = 0xee;

/// The kernel's code selector.
const KERNEL_CODE: u16 = 8;

/// Bytes between two stubs in `trap.s`.
const STUB_SIZE: u64 = 16;

#[repr(C, align(16))]
struct Idt(UnsafeCell<[Gate; 256]>);

// SAFETY: written by `init` before it is loaded, and only read by the CPU after that.
unsafe impl Sync for Idt {}

static IDT: Idt = Idt(UnsafeCell::new(
    [Gate {
        offset_low: 0,
        selector: 0,
        ist: 0,
        attributes: 0,
        offset_middle: 0,
        offset_high: 0,
        reserved: 0,
    }; 256],
));

unsafe extern "C" {
    safe static trap_stubs: u8;
}

/// Fills and loads the IDT. Called once, with interrupts off.
pub(crate) fn init() {
    // SAFETY: called once, before the table is loaded, on the only CPU.
    let gates = unsafe { &mut *IDT.0.get() };
    let mut stub = core::ptr::from_ref(&trap_stubs) as u64;
    for gate in gates.iter_mut() {
        *gate = Gate {
            offset_low: stub as u16,
            selector: KERNEL_CODE,
            ist: Ist::None as u8,
            attributes: INTERRUPT_GATE,
            offset_middle: (stub >> 16) as u16,
            offset_high: (stub >> 32) as u32,
            reserved: 0,
        };
        stub += STUB_SIZE;
    }
    gates[vector::BREAKPOINT as usize].attributes = USER_GATE;
    gates[vector::NMI as usize].ist = Ist::Nmi as u8;
    gates[vector::DOUBLE_FAULT as usize].ist = Ist::DoubleFault as u8;
    gates[vector::MACHINE_CHECK as usize].ist = Ist::MachineCheck as u8;
    let pointer = DescriptorTablePointer {
        limit: size_of::<[Gate; 256]>() as u16 - 1,
        base: VirtAddr::from_ptr(IDT.0.get()),
    };
    // SAFETY: the table is static and complete.
    unsafe { lidt(&pointer) };
}

/// Where all stubs lead.
#[unsafe(no_mangle)]
extern "C" fn trap_entry(frame: &mut TrapFrame) {
    if interrupt::note(frame.vector) || machine_check::noted(frame) || probe::caught(frame) {
        return;
    }
    crate::panic::exception(frame, Cr2::read_raw(), &describe(frame));
}

/// What an exception means, for the panic record.
pub(crate) struct Cause {
    /// The exception.
    pub(crate) name: &'static str,
    /// The stack whose guard page was touched.
    pub(crate) overflow: Option<stack::Stack>,
}

fn describe(frame: &TrapFrame) -> Cause {
    const NAMES: [&str; 22] = [
        "divide error",
        "debug exception",
        "non-maskable interrupt",
        "breakpoint",
        "overflow",
        "bound range exceeded",
        "invalid opcode",
        "device not available",
        "double fault",
        "coprocessor segment overrun",
        "invalid TSS",
        "segment not present",
        "stack-segment fault",
        "general protection fault",
        "page fault",
        "reserved exception",
        "x87 floating-point error",
        "alignment check",
        "machine check",
        "SIMD floating-point error",
        "virtualization exception",
        "control protection exception",
    ];
    let faulted_on = match frame.vector {
        vector::PAGE_FAULT => Some(Cr2::read_raw()),
        // The push of a page fault's frame failed: CR2 is still that of the first fault, but some
        // hosts that emulate the CPU leave it alone, so the stack pointer is asked as well.
        vector::DOUBLE_FAULT => Some(frame.rsp),
        _ => None,
    };
    Cause {
        name: NAMES
            .get(frame.vector as usize)
            .copied()
            .unwrap_or("unexpected interrupt"),
        overflow: faulted_on.and_then(stack::guarded_by),
    }
}
