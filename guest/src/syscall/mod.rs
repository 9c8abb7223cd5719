//! System calls: Linux's x86-64 numbers, arguments, structures and errors.
//!
//! * `dispatch`: which number is what. `memory`, `process`, `prctl`, `signals`, `identity`, `cred`, `time`,
//!   `futex`, `system`, `schedule`, `poll`, `timer`, `process_vm`: the calls by subject; those on files are [`crate::fs`]'s.
//! * `user`: values in a program's memory.

mod cred;
mod dispatch;
mod futex;
mod identity;
mod memory;
mod poll;
mod prctl;
mod process;
mod process_vm;
mod schedule;
mod signals;
mod system;
mod time;
mod timer;
pub(crate) mod user;

pub(crate) use dispatch::{dispatch, interrupted, is_restarted, quick};
pub(crate) use futex::wake_one;
pub(crate) use system::fill_random;

use crate::task::WaitFor;
use pagelab_abi::errno::Errno;

/// Arguments, in the order of the registers RDI, RSI, RDX, R10, R8, R9.
pub(crate) type Args = [u64; 6];

/// What becomes of a task after a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It goes on.
    Continue,
    /// It waits, or it is another's turn.
    Switch,
    /// It has ended, and may exist no longer.
    Gone,
}

/// What a system call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It returns a value.
    Value(u64),
    /// It returns an error.
    Error(Errno),
    /// The task waits, and makes the call again when the wait is over.
    Wait(WaitFor),
    /// The same, and the task's state says so already.
    Waits,
    /// It returns a value, and it is another's turn.
    Yield(u64),
    /// The registers are as they should be.
    Keep,
    /// The task has ended.
    Gone,
}

impl From<Result<u64, Errno>> for Outcome {
    #[inline]
    fn from(result: Result<u64, Errno>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(errno) => Self::Error(errno),
        }
    }
}
