//! Why the guest stands still.

use pagelab_abi::platform::{Doorbell, ExitCode};

use super::crash::CrashReport;

/// Why [`super::Machine::run`] returned. After [`Stop::Doorbell`] and [`Stop::Idle`] the machine
/// can be run again; after the others it has ended.
#[derive(Debug)]
pub enum Stop {
    /// The guest rang the doorbell and stands there.
    Doorbell(Doorbell),
    /// The guest halted until an interrupt, and none is pending. Running it again without raising
    /// one returns the same at once.
    Idle,
    /// The guest ended the machine. A panic is a [`Stop::Crash`] instead.
    Exit(ExitCode),
    /// The guest ended the machine with a value that the ABI does not know.
    UnknownExit(u32),
    /// The guest panicked, or the CPU could not go on.
    Crash(Box<CrashReport>),
    /// The guest made no progress for the watchdog's time, or took longer than the time limit.
    Hung(Box<CrashReport>),
}
