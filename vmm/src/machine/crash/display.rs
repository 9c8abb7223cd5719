//! The report as a person reads it: at most 80 columns.

use std::fmt;

use super::text::{end_of, wrapped};
use super::{CrashKind, CrashReport, Frame, GuestPanic};

const WIDTH: usize = 80;

/// Names of the exceptions (Intel SDM vol. 3, table 6-1).
const EXCEPTIONS: [&str; 22] = [
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound range",
    "#UD invalid opcode",
    "#NM device not available",
    "#DF double fault",
    "coprocessor overrun",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack segment fault",
    "#GP general protection",
    "#PF page fault",
    "reserved",
    "#MF x87 error",
    "#AC alignment check",
    "#MC machine check",
    "#XM SIMD error",
    "#VE virtualisation",
    "#CP control protection",
];

impl fmt::Display for CrashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic => f.write_str("the guest's kernel panicked"),
            Self::TripleFault => f.write_str("triple fault: the guest's CPU shut down"),
            Self::Emulation { .. } => {
                f.write_str("KVM cannot emulate the guest's next instruction")
            }
            Self::InternalError { suberror, data } => {
                write!(f, "KVM internal error {suberror}, data")?;
                data.iter().try_for_each(|word| write!(f, " {word:#x}"))
            }
            Self::EntryFailed { reason, cpu } => {
                write!(
                    f,
                    "host CPU {cpu} refused to enter the guest: reason {reason:#x}"
                )
            }
            Self::MemoryFault { gpa, size, .. } => write!(
                f,
                "the host could not provide {size} bytes of guest memory at {gpa:#x}"
            ),
            Self::HaltedForever => {
                f.write_str("the guest halted with interrupts disabled: nothing can wake it")
            }
            Self::UnknownExit { reason } => write!(f, "KVM exit {reason}, which is not handled"),
            Self::NoProgress { seconds } => write!(
                f,
                "no guest event and no doorbell for {seconds} s: the guest hangs"
            ),
            Self::Ringing { count } => write!(
                f,
                "the guest rang the doorbell {count} times without doing anything else"
            ),
            Self::MemoryHandlerDied => f.write_str(
                "the thread that supplies the guest's memory died, and the guest waits for a page",
            ),
            Self::TimeLimit { seconds } => {
                write!(
                    f,
                    "the guest was still running after the limit of {seconds} s"
                )
            }
        }
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in wrapped(&self.cause.to_string(), WIDTH) {
            writeln!(f, "{line}")?;
        }
        if let Some(panic) = &self.panic {
            write!(f, "{panic}")?;
        }
        writeln!(
            f,
            "at guest event {}, ring {}",
            self.events,
            self.registers.ring()
        )?;
        if self.reset {
            writeln!(
                f,
                "registers, after the reset that AMD-V makes of a shutdown:"
            )?;
        } else {
            writeln!(f, "registers:")?;
        }
        write!(f, "{}", self.registers)?;
        match &self.instruction {
            Some(instruction) => {
                writeln!(f, "instruction at {:016x}:", instruction.address)?;
                let line = format!("{}  {}", instruction.bytes, instruction.text);
                writeln!(f, "  {}", end_of(&line, WIDTH - 2))?;
            }
            None => writeln!(f, "instruction: its memory cannot be read")?,
        }
        writeln!(f, "backtrace:")?;
        for frame in &self.backtrace {
            write!(f, "{frame}")?;
        }
        if !self.console.is_empty() {
            writeln!(f, "last lines of the console:")?;
        }
        for line in self
            .console
            .iter()
            .flat_map(|line| wrapped(line, WIDTH - 2))
        {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for GuestPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(vector) = self.vector {
            let name = EXCEPTIONS.get(vector as usize).unwrap_or(&"exception");
            writeln!(
                f,
                "exception {vector} ({name}), error code {:#x},",
                self.error_code
            )?;
            writeln!(f, "  rip {:016x}, cr2 {:016x}", self.rip, self.cr2)?;
        }
        for line in wrapped(&self.message, WIDTH - 2) {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Frame {
    /// One line for the function and one for the source, if they are known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.function.as_deref().unwrap_or("?");
        let offset = match self.offset {
            Some(offset) => format!("+{offset:#x}"),
            None => String::new(),
        };
        let name = end_of(name, WIDTH - 20 - offset.len());
        if self.inlined {
            writeln!(f, "  {:16}  {name}", "(inlined)")?;
        } else {
            writeln!(f, "  {:016x}  {name}{offset}", self.address)?;
        }
        match &self.location {
            Some(location) => writeln!(f, "{:22}{}", "", end_of(location, WIDTH - 22)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::crash::Instruction;
    use crate::machine::registers::Registers;

    #[test]
    fn fits_80_columns() {
        let registers = Registers {
            rip: u64::MAX,
            rflags: u64::MAX,
            ..Default::default()
        };
        let frame = Frame {
            address: u64::MAX,
            function: Some("a::very::".repeat(30)),
            offset: Some(u64::MAX),
            location: Some("some/dir/".repeat(30)),
            inlined: false,
        };
        let causes = [
            CrashKind::Panic,
            CrashKind::MemoryFault {
                gpa: u64::MAX,
                size: u64::MAX,
                flags: 0,
            },
            CrashKind::InternalError {
                suberror: 3,
                data: vec![u64::MAX; 16],
            },
        ];
        for cause in causes {
            let report = CrashReport {
                cause,
                panic: Some(GuestPanic {
                    message: "x".repeat(480),
                    vector: Some(14),
                    error_code: u64::MAX,
                    rip: u64::MAX,
                    cr2: u64::MAX,
                }),
                events: u64::MAX,
                registers,
                reset: true,
                instruction: Some(Instruction {
                    address: u64::MAX,
                    bytes: "f".repeat(30),
                    text: "mov ".repeat(30),
                }),
                backtrace: vec![frame.clone()],
                console: vec!["log ".repeat(60)],
            };
            let text = report.to_string();
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
            assert!(text.contains("#PF page fault"));
        }
    }
}
