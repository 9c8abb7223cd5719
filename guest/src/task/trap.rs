//! What brings the kernel out of ring 3, apart from system calls.

use super::{Slot, Task, Tasks, fail::Fail};
use crate::{
    arch::user::{
        Trap, cpuid,
        rmw::{self, Modifies},
        tsc,
    },
    oom,
    signal::{self, Info},
    syscall::Flow,
};
use linux_raw_sys::general as linux;
use pagelab_abi::PAGE_SIZE;
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

/// Bits of a page fault's error code (Intel SDM vol. 3, 4.7).
mod fault {
    pub(super) const WRITE: u64 = 1 << 1;
    pub(super) const FETCH: u64 = 1 << 4;
    /// An entry on the way has a bit that is reserved.
    pub(super) const RSVD: u64 = 1 << 3;
}

/// An instruction that the CPU leaves to the kernel.
enum Intercepted {
    Cpuid,
    Rdtsc,
    Rdtscp,
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
        let number = match number {
            vector::GENERAL_PROTECTION => match self.get_mut(slot).intercepted() {
                Some(Intercepted::Cpuid) => {
                    self.get_mut(slot).context.cpuid();
                    return Flow::Continue;
                }
                Some(Intercepted::Rdtsc) => {
                    // A loop that waits for a time comes to its end.
                    let count = self.clock.read();
                    self.get_mut(slot).context.rdtsc(count);
                    return Flow::Continue;
                }
                Some(Intercepted::Rdtscp) => vector::INVALID_OPCODE,
                None => number,
            },
            number => number,
        };
        let task = self.get_mut(slot);
        let rip = task.context.regs.rip;
        let error = if number == vector::INVALID_OPCODE {
            0
        } else {
            error
        };
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
    pub(super) fn page_fault(&mut self, address: u64, mut code: u64) {
        self.count_fault();
        if code & fault::RSVD != 0 {
            self.corrupted(address, code);
            return;
        }
        if code & (fault::WRITE | fault::FETCH) == 0
            && rmw::may_load_first()
            && self.modifies_memory()
        {
            code |= fault::WRITE;
        }
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

    /// Memory did not keep a page table as it was written. Who runs on it dies, and nobody else (Linux
    /// arch/x86/mm/fault.c: `pgtable_bad`).
    #[cold]
    fn corrupted(&mut self, address: u64, code: u64) {
        log::error!(
            "process {}: corrupted page table at address {address:#x}, error {code:#x}",
            self.pid().0
        );
        let killed = Info::kernel(linux::SIGKILL);
        signal::force_trap(self, killed, vector::PAGE_FAULT, code, Some(address));
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
            FaultSignal::HwPoison(address) => Info::hwpoison(fault.signo(), fault.code(), address),
            _ => Info::fault(fault.signo(), fault.code(), fault.address()),
        };
        signal::force_trap(self, info, vector::PAGE_FAULT, code, Some(address));
    }

    /// The instruction at which it is, if it is one that the CPU leaves to the kernel.
    fn intercepted(&mut self) -> Option<Intercepted> {
        let mut bytes = [0; tsc::RDTSCP.len()];
        let read = self.code(&mut bytes);
        let starts_with = |opcode: &[u8]| bytes[..read].starts_with(opcode);
        if starts_with(&cpuid::OPCODE) {
            Some(Intercepted::Cpuid)
        } else if starts_with(&tsc::RDTSC) {
            Some(Intercepted::Rdtsc)
        } else {
            starts_with(&tsc::RDTSCP).then_some(Intercepted::Rdtscp)
        }
    }

    /// Whether it is at an instruction that reads memory and writes it back.
    fn modifies_memory(&mut self) -> bool {
        let mut bytes = [0; rmw::LONGEST];
        // What is on the same page is there: it has just been executed.
        let rest = (PAGE_SIZE - self.context.regs.rip % PAGE_SIZE) as usize;
        let first = rest.min(rmw::LONGEST);
        let read = self.code(&mut bytes[..first]);
        match rmw::modifies(&bytes[..read]) {
            Modifies::TooShort => {
                let read = self.code(&mut bytes);
                rmw::modifies(&bytes[..read]) == Modifies::Yes
            }
            known => known == Modifies::Yes,
        }
    }

    /// Reads the code at which it is. Returns how many bytes of it there are.
    fn code(&mut self, bytes: &mut [u8]) -> usize {
        let rip = self.context.regs.rip;
        match &mut self.space {
            Some(space) => match space.read(rip, bytes) {
                Ok(()) => bytes.len(),
                Err(fault) => fault.copied,
            },
            None => 0,
        }
    }
}
