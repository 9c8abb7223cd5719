//! What is left of a guest that crashed or hung, for a person to read.
//!
//! Everything here starts from what the guest left behind, and so from bytes that may be hostile:
//! each walk is bounded, and what cannot be read is left out.

mod backtrace;
mod display;
mod instruction;
mod symbols;
mod text;
mod translate;

use pagelab_abi::panic::{NO_VECTOR, PanicRecord};
use schemars::JsonSchema;
use serde::Serialize;

pub use instruction::Instruction;
pub use symbols::Frame;
pub(super) use text::wrapped;

use super::host::HostError;
use super::kernel::Kernel;
use super::machine::Machine;
use super::registers::Registers;

/// Lines kept of the console's output.
const CONSOLE_LINES: usize = 12;

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CrashKind {
    /// The guest's kernel panicked and said so.
    Panic,
    /// An exception while delivering a double fault: the CPU shut down.
    TripleFault,
    /// KVM had to emulate an instruction and cannot.
    Emulation {
        /// The instruction's bytes as far as KVM fetched them; may be empty.
        bytes: Vec<u8>,
    },
    /// Another internal error of KVM.
    InternalError {
        /// KVM_INTERNAL_ERROR_*.
        suberror: u32,
        /// Its data.
        data: Vec<u64>,
    },
    /// The CPU refused to enter the guest.
    EntryFailed {
        /// The hardware's reason.
        reason: u64,
        /// The host CPU.
        cpu: u32,
    },
    /// The host could not provide a page of guest memory.
    MemoryFault {
        /// Guest physical address.
        gpa: u64,
        /// Bytes.
        size: u64,
        /// KVM's flags.
        flags: u64,
    },
    /// Who supplies the guest's memory died, so it cannot go on.
    MemoryHandlerDied,
    /// The guest halted with interrupts disabled: nothing can wake it.
    HaltedForever,
    /// An exit that this program does not know.
    UnknownExit {
        /// KVM_EXIT_*.
        reason: u32,
    },
    /// No memory event and no doorbell for the watchdog's time.
    NoProgress {
        /// The watchdog's time.
        seconds: f64,
    },
    /// The guest rang the doorbell again and again, and nothing else happened.
    Ringing {
        /// Doorbells since the last memory event.
        count: u64,
    },
    /// The time limit is over.
    TimeLimit {
        /// The limit.
        seconds: f64,
    },
}

/// What the guest's own panic handler left behind.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct GuestPanic {
    /// Its message.
    pub message: String,
    /// The exception that caused it, if one did.
    pub vector: Option<u32>,
    /// The exception's error code.
    pub error_code: u64,
    /// Instruction pointer of the cause.
    pub rip: u64,
    /// CR2 at the cause.
    pub cr2: u64,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CrashReport {
    /// What happened.
    pub cause: CrashKind,
    /// What the guest said about it.
    pub panic: Option<GuestPanic>,
    /// Guest events so far.
    pub events: u64,
    /// The CPU as it stood.
    pub registers: Registers,
    /// The shutdown has reset the CPU, as AMD-V does: the registers are those after a reset.
    pub reset: bool,
    /// The instruction at fault, or where the CPU stood.
    pub instruction: Option<Instruction>,
    /// Innermost first.
    pub backtrace: Vec<Frame>,
    /// The last lines of the console.
    pub console: Vec<String>,
}

/// Where the interesting part begins.
#[derive(Clone, Copy)]
struct Origin {
    rip: u64,
    rbp: u64,
}

impl Machine {
    /// Takes down all there is to know about a guest that cannot or must not go on.
    pub(super) fn crash_report(&self, cause: CrashKind) -> Result<CrashReport, HostError> {
        let registers = self.vcpu.registers()?;
        let record = self.root().ok().map(|root| root.panic);
        let reset = cause == CrashKind::TripleFault && registers.is_after_reset();
        // A guest whose CPU shut down may have come as far as its panic handler.
        let record = record.filter(|record| record.len > 0 && (cause == CrashKind::Panic || reset));
        let origin = match &record {
            Some(record) => Origin {
                rip: record.rip,
                rbp: record.rbp,
            },
            None => Origin {
                rip: registers.rip,
                rbp: registers.rbp,
            },
        };
        let fetched: &[u8] = match &cause {
            CrashKind::Emulation { bytes } => bytes,
            _ => &[],
        };
        let memory = self.memory();
        let instruction = instruction::at(memory, &registers, origin.rip, fetched);
        let addresses = backtrace::addresses(memory, &registers, origin.rip, origin.rbp);
        Ok(CrashReport {
            panic: record.as_ref().map(GuestPanic::new),
            events: self.events(),
            instruction,
            backtrace: symbols::symbolise(self.kernel(), &addresses),
            console: text::last_lines(&self.console_text(), CONSOLE_LINES),
            registers,
            reset,
            cause,
        })
    }
}

impl Machine {
    /// Return addresses on the guest's stack, innermost first, while it stands at a doorbell.
    ///
    /// # Errors
    /// If KVM does not tell the registers.
    pub fn call_stack(&self) -> Result<Vec<u64>, HostError> {
        let registers = self.vcpu.registers()?;
        let addresses =
            backtrace::addresses(self.memory(), &registers, registers.rip, registers.rbp);
        Ok(addresses.into_iter().skip(1).collect())
    }
}

/// The functions at these return addresses, each list innermost first.
pub fn functions_at(kernel: &Kernel, returns: &[u64]) -> Vec<Vec<Frame>> {
    // What comes first counts as an instruction's address.
    let addresses: Vec<u64> = std::iter::once(0).chain(returns.iter().copied()).collect();
    let mut functions: Vec<Vec<Frame>> = Vec::new();
    let mut is_new = true;
    for frame in symbols::symbolise(kernel, &addresses) {
        let inlined = frame.inlined;
        match functions.last_mut().filter(|_| !is_new) {
            Some(same) => same.push(frame),
            None => functions.push(vec![frame]),
        }
        is_new = !inlined;
    }
    functions.split_off(1)
}

impl GuestPanic {
    fn new(record: &PanicRecord) -> Self {
        let len = (record.len as usize).min(record.message.len());
        let message = String::from_utf8_lossy(&record.message[..len]);
        Self {
            message: text::printable(&message),
            vector: (record.vector != NO_VECTOR).then_some(record.vector),
            error_code: record.error_code,
            rip: record.rip,
            cr2: record.cr2,
        }
    }
}
