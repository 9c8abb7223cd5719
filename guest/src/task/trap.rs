//! What brings the kernel out of ring 3, apart from system calls.

use super::{Slot, Task, Tasks, fail::Fail};
use crate::{
    arch::user::{Trap, cpuid},
    oom,
    signal::{self, Info},
    syscall::Flow,
};
use linux_raw_sys::general as linux;
use pagelab_mm::user_mm::FaultSignal;

/// Vectors (Intel SDM vol. 3, table 6-1).
mod vector {
    pub(super) const DIVIDE_ERROR: u64 = 0;
    pub(super) const DEBUG: u64 = 1;
    pub(super) const BREAKPOINT: u64 = 3;
    pub(super) const INVALID_OPCODE: u64 = 6;
    pub(super) const SEGMENT_NOT_PRESENT: u64 = 11;
    pub(super) const STACK_SEGMENT: u64 = 12;
    pub(super) const GENERAL_PROTECTION: u64 = 13;
    pub(super) const PAGE_FAULT: u64 = 14;
    pub(super) const X87: u64 = 16;
    pub(super) const ALIGNMENT_CHECK: u64 = 17;
    pub(super) const SIMD: u64 = 19;
}

/// Codes of signals that the kernel raises (Linux include/uapi/asm-generic/siginfo.h).
mod code {
    pub(super) const FPE_INTDIV: i32 = 1;
    pub(super) const FPE_FLTUNK: i32 = 14;
    pub(super) const ILL_ILLOPN: i32 = 2;
    pub(super) const TRAP_TRACE: i32 = 2;
    pub(super) const BUS_ADRALN: i32 = 1;
}

impl Tasks {
    /// Handles a trap of a task.
    pub(super) fn trap(&mut self, slot: Slot, trap: Trap) -> Flow {
        match trap {
            // The safe point serves an interrupt; page faults were handled around ring 3.
            Trap::Interrupt | Trap::None | Trap::Syscall | Trap::PageFault { .. } => Flow::Continue,
            Trap::Exception { vector, code } => self.exception(slot, vector, code),
        }
    }

    fn exception(&mut self, slot: Slot, number: u64, error: u64) -> Flow {
        let task = self.get_mut(slot);
        if number == vector::GENERAL_PROTECTION && task.is_at_cpuid() {
            task.context.cpuid();
            return Flow::Continue;
        }
        let rip = task.context.regs.rip;
        let info = match number {
            vector::DIVIDE_ERROR => Info::fault(linux::SIGFPE, code::FPE_INTDIV, rip),
            vector::DEBUG => Info::fault(linux::SIGTRAP, code::TRAP_TRACE, rip),
            vector::BREAKPOINT => Info::kernel(linux::SIGTRAP),
            vector::INVALID_OPCODE => Info::fault(linux::SIGILL, code::ILL_ILLOPN, rip),
            vector::SEGMENT_NOT_PRESENT | vector::STACK_SEGMENT => Info::kernel(linux::SIGBUS),
            vector::X87 | vector::SIMD => Info::fault(linux::SIGFPE, code::FPE_FLTUNK, rip),
            vector::ALIGNMENT_CHECK => Info::fault(linux::SIGBUS, code::BUS_ADRALN, 0),
            // General protection, and whatever else a program can raise.
            _ => Info::kernel(linux::SIGSEGV),
        };
        signal::force_trap(task, info, number, error, None);
        Flow::Continue
    }
}

impl Task {
    /// Handles a page fault. If it cannot be, the task has a signal afterwards.
    #[inline]
    pub(super) fn page_fault(&mut self, address: u64, code: u64) {
        self.count_fault();
        let Some(space) = &mut self.space else {
            return;
        };
        let injected = Fail::injected();
        let majors = space.major_faults();
        let handled = space.handle_fault(address, code);
        self.major_faults += space.major_faults() - majors;
        match handled {
            Ok(()) => self.fail.no_longer(),
            Err(fault) => self.failed_fault(fault, address, code, Fail::injected() != injected),
        }
    }

    #[cold]
    fn failed_fault(&mut self, fault: FaultSignal, address: u64, code: u64, injected: bool) {
        if fault == FaultSignal::Oom && injected && self.fail.may_retry() {
            return;
        }
        let info = match fault {
            FaultSignal::Oom => {
                if !self
                    .space
                    .as_ref()
                    .is_some_and(|space| space.is_oom_victim())
                {
                    oom::died_of_fault();
                }
                Info::kernel(linux::SIGKILL)
            }
            _ => Info::fault(fault.signo(), fault.code(), fault.address()),
        };
        signal::force_trap(self, info, vector::PAGE_FAULT, code, Some(address));
    }

    /// Whether it is at an instruction that asks for the CPU's features.
    fn is_at_cpuid(&mut self) -> bool {
        let rip = self.context.regs.rip;
        let mut bytes = [0; cpuid::OPCODE.len()];
        let Some(space) = &mut self.space else {
            return false;
        };
        space.read(rip, &mut bytes).is_ok() && bytes == cpuid::OPCODE
    }
}
