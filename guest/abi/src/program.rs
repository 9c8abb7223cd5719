//! A Linux program as the guest's workload.
//!
//! The host hands it over in the initial ramfs, a newc cpio: the program at the path that the
//! command line names ([`CMDLINE_INIT`]), its arguments and environment in the files
//! [`ARGV_FILE`] and [`ENVP_FILE`], each string followed by a NUL. Its descriptor 0 is empty; what
//! it writes to 1 and 2 goes to the ports [`STDOUT_PORT`] and [`STDERR_PORT`]. Before the guest
//! rings [`crate::platform::Doorbell::Done`], it says in [`ProgramEnd`] what became of it.

use crate::task::COMM_LEN;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Name of the workload that runs a program.
pub const WORKLOAD: &str = "program";

/// Command line key: absolute path of the program in the initial ramfs, `init=/hello`.
pub const CMDLINE_INIT: &str = "init";

/// Path of the program's arguments in the initial ramfs.
pub const ARGV_FILE: &str = "/.pagelab/argv";

/// Path of the program's environment in the initial ramfs.
pub const ENVP_FILE: &str = "/.pagelab/env";

/// Where the disk for files is mounted.
pub const DISK_MOUNT: &str = "/mnt";

/// First port of the 16550A that the program's standard output goes to (COM2). Output only.
pub const STDOUT_PORT: u16 = 0x2f8;

/// First port of the 16550A that the program's standard error goes to (COM3). Output only.
pub const STDERR_PORT: u16 = 0x3e8;

/// What became of the first program.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ProgramEnd {
    /// Not zero once the program has ended.
    pub ended: AtomicU32,
    /// Its status as wait4 gives it: exit status in bits 8 to 15, or signal in bits 0 to 6.
    pub status: AtomicU32,
    /// Not zero if the kernel could not start it: an error reached the first program before it was one.
    pub not_started: AtomicU32,
    /// Zero.
    pub reserved: u32,
    /// System calls of all programs that ended with an error that tells of memory, a disk or a page that is
    /// not to be had ([`crate::errno::Errno::is_shortage`]).
    pub failed_calls: AtomicU64,
    /// Signals that programs got for what they did: faults that nobody could handle, and other exceptions.
    pub exceptions: AtomicU64,
    /// Who waited for what, if all processes waited for ever.
    pub deadlock: Deadlock,
}

/// Processes that a [`Deadlock`] names.
pub const MAX_WAITERS: usize = 8;

/// No process could run, and nothing could change that: who waited for what. All were killed then.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Deadlock {
    /// Processes that waited; 0 if there was no deadlock.
    pub count: AtomicU32,
    /// Zero.
    pub reserved: AtomicU32,
    /// The first of them, by their places in the kernel's table.
    pub waiters: [Waiter; MAX_WAITERS],
}

/// A process that waited.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Waiter {
    /// Its number.
    pub pid: AtomicU32,
    /// Number of the [`WaitReason`].
    pub reason: AtomicU32,
    /// Its name, NUL-padded.
    pub comm: [AtomicU8; COMM_LEN],
    /// The process number or the address that goes with the reason, or 0.
    pub detail: AtomicU64,
}

/// What a process can wait for without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum WaitReason {
    /// Any child's end.
    Child = 1,
    /// The vfork child with the number in `detail`.
    Vfork = 2,
    /// Another's doing with a file: a pipe or a lock.
    File = 3,
    /// A signal.
    Signal = 4,
    /// A futex: its address, or its place in what it shares, is in `detail`.
    Futex = 5,
    /// SIGCONT.
    Stopped = 6,
}

impl WaitReason {
    /// The reason with this number, if there is one.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            1 => Self::Child,
            2 => Self::Vfork,
            3 => Self::File,
            4 => Self::Signal,
            5 => Self::Futex,
            6 => Self::Stopped,
            _ => return None,
        })
    }
}

impl Deadlock {
    const fn new() -> Self {
        Self {
            count: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            waiters: [const {
                Waiter {
                    pid: AtomicU32::new(0),
                    reason: AtomicU32::new(0),
                    comm: [const { AtomicU8::new(0) }; COMM_LEN],
                    detail: AtomicU64::new(0),
                }
            }; MAX_WAITERS],
        }
    }
}

impl ProgramEnd {
    /// Still running, or never started.
    pub const fn new() -> Self {
        Self {
            ended: AtomicU32::new(0),
            status: AtomicU32::new(0),
            not_started: AtomicU32::new(0),
            reserved: 0,
            failed_calls: AtomicU64::new(0),
            exceptions: AtomicU64::new(0),
            deadlock: Deadlock::new(),
        }
    }
}

impl Default for ProgramEnd {
    fn default() -> Self {
        Self::new()
    }
}
