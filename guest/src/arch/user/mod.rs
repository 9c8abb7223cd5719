//! Ring 3. [`enter`] runs a program until its next system call, exception or interrupt, and returns
//! like a function.
//!
//! A system call arrives at LSTAR. Where ring 0 is interpreted, it arrives there still in ring 3,
//! and so as a page fault whose address is that of LSTAR: exactly that fault is a system call, on
//! every machine. Both come back by `iretq`.
//!
//! * [`fpu`]: x87 and SSE registers. [`cpuid`]: what CPUID says. [`tsc`]: what RDTSC says.
//! * [`rmw`]: instructions that read memory and write it back. [`setup`]: what the CPU must be told once.

pub(crate) mod cpuid;
mod fpu;
pub(crate) mod rmw;
mod setup;
pub(crate) mod tsc;

use super::{
    segments,
    trap::{TrapFrame, vector},
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use x86_64::{
    PhysAddr, VirtAddr,
    registers::{
        control::{Cr2, Cr3, Cr3Flags},
        model_specific::{FsBase, Msr},
    },
    structures::paging::PhysFrame,
};

pub(crate) use fpu::FxState;
pub(crate) use setup::init;

/// First address that no program can have (Linux: `TASK_SIZE_MAX` with four levels).
pub(crate) const TASK_SIZE: u64 = 0x7fff_ffff_f000;

/// Selectors of ring 3, which are Linux's, RPL included.
pub(crate) const USER_CS: u64 = 0x33;
/// As [`USER_CS`].
pub(crate) const USER_DS: u64 = 0x2b;

/// Flags that a program may set itself: carry, parity, adjust, zero, sign, trap, direction,
/// overflow, resume, alignment check (Linux arch/x86/kernel/signal.c: `FIX_EFLAGS`).
pub(crate) const USER_RFLAGS: u64 = 0x0005_0dd5;

/// Interrupt flag and the bit that is always 1.
const FIXED_RFLAGS: u64 = 0x202;

/// Number in [`TrapFrame::vector`] of a system call that came through [`syscall_entry`].
const SYSCALL_VECTOR: u64 = 256;

/// IA32_KERNEL_GS_BASE is not used: no `swapgs` here.
const IA32_GS_BASE: u32 = 0xc000_0101;

/// All that ring 3 sees of the CPU.
#[repr(C, align(64))]
pub(crate) struct UserContext {
    /// General registers. First, and of a size that keeps its end aligned to 16.
    pub(crate) regs: TrapFrame,
    /// x87 and SSE registers, while the context is not [`resume`]d.
    pub(crate) fpu: FxState,
    /// Base address of FS.
    pub(crate) fs_base: u64,
    /// Base address of GS.
    pub(crate) gs_base: u64,
}

const _: () = assert!(size_of::<TrapFrame>() == 176);
const _: () = assert!(core::mem::offset_of!(UserContext, regs) == 0);

/// Why ring 3 was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trap {
    /// It makes a system call; RIP is behind it, RCX and R11 are as the instruction leaves them.
    Syscall,
    /// It cannot reach an address.
    PageFault {
        /// The address.
        address: u64,
        /// The error code.
        code: u64,
    },
    /// Another exception.
    Exception {
        /// Its vector.
        vector: u64,
        /// Its error code.
        code: u64,
    },
    /// A line was raised, and has been noted.
    Interrupt,
    /// All has been done about it.
    None,
}

unsafe extern "C" {
    safe static user_frame: AtomicU64;
    safe static syscall_entry: u8;
    fn user_enter(frame: *mut TrapFrame);
}

impl UserContext {
    /// The registers of a program at its first instruction.
    pub(crate) fn new(entry: u64, stack: u64) -> Self {
        let mut context = Self {
            regs: TrapFrame::default(),
            fpu: FxState::INITIAL,
            fs_base: 0,
            gs_base: 0,
        };
        context.start(entry, stack);
        context
    }

    /// Makes these the registers of a program at its first instruction.
    pub(crate) fn start(&mut self, entry: u64, stack: u64) {
        self.regs = TrapFrame::default();
        self.regs.rip = entry;
        self.regs.rsp = stack;
        self.regs.cs = USER_CS;
        self.regs.ss = USER_DS;
        self.regs.rflags = FIXED_RFLAGS;
        self.fpu = FxState::INITIAL;
        (self.fs_base, self.gs_base) = (0, 0);
    }

    /// Makes these the registers of another, as they are.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.regs = other.regs;
        self.fpu = other.fpu;
        (self.fs_base, self.gs_base) = (other.fs_base, other.gs_base);
    }

    /// Sets what a program may set of RFLAGS.
    pub(crate) fn set_rflags(&mut self, rflags: u64) {
        self.regs.rflags = rflags & USER_RFLAGS | FIXED_RFLAGS;
    }
}

/// Makes a context and an address space the ones that [`enter`] uses.
///
/// # Safety
/// `pgd` maps the kernel as its own tables do, and stays until another is resumed.
pub(crate) unsafe fn resume(context: &UserContext, pgd: u64) {
    let end = core::ptr::from_ref(&context.regs).wrapping_add(1) as u64;
    segments::set_ring0_stack(VirtAddr::new_truncate(end));
    // SAFETY: by contract.
    unsafe { load_space(pgd) };
    setup::load_null_selectors();
    load_bases(context);
    context.fpu.restore();
}

/// Saves what [`enter`] leaves in the CPU.
pub(crate) fn suspend(context: &mut UserContext) {
    context.fpu.save();
}

/// Loads the bases of FS and GS of the context in use.
pub(crate) fn load_bases(context: &UserContext) {
    FsBase::write(VirtAddr::new_truncate(context.fs_base));
    // SAFETY: the kernel does not use GS.
    unsafe { Msr::new(IA32_GS_BASE).write(context.gs_base) };
}

/// Loads a top-level table.
///
/// # Safety
/// `pgd` maps the kernel as its own tables do, and stays until another is loaded.
pub(crate) unsafe fn load_space(pgd: u64) {
    let frame = PhysFrame::containing_address(PhysAddr::new_truncate(pgd));
    // SAFETY: by contract.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
}

/// Runs ring 3 until it traps, with interrupts off, and leaves them so. The context is the one that
/// was [`resume`]d last, and RIP is below [`TASK_SIZE`].
#[inline(always)]
pub(crate) fn enter(context: &mut UserContext) -> Trap {
    debug_assert!(context.regs.rip < TASK_SIZE);
    let frame = &raw mut context.regs;
    // SAFETY: `user.s` keeps RBP and RBX and comes back with its stack as it was; the frame's
    // selectors and flags are ring 3's, as only this module and `set_rflags` write them.
    unsafe {
        core::arch::asm!(
            "call {enter}",
            enter = sym user_enter,
            inlateout("rdi") frame => _,
            lateout("rax") _, lateout("rcx") _, lateout("rdx") _, lateout("rsi") _,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
        );
    }
    let regs = &mut context.regs;
    if regs.vector == SYSCALL_VECTOR {
        return Trap::Syscall;
    }
    trapped(regs, Cr2::read_raw())
}

fn trapped(regs: &mut TrapFrame, address: u64) -> Trap {
    let (number, code) = (regs.vector, regs.error_code);
    if number == vector::PAGE_FAULT {
        if regs.rip == address && address == lstar() {
            regs.rip = regs.rcx;
            regs.rflags = regs.r11;
            regs.cs = USER_CS;
            regs.ss = USER_DS;
            return Trap::Syscall;
        }
        return Trap::PageFault { address, code };
    }
    if super::interrupt::note(number) {
        return Trap::Interrupt;
    }
    Trap::Exception {
        vector: number,
        code,
    }
}

fn lstar() -> u64 {
    core::ptr::from_ref(&syscall_entry) as u64
}
