//! A Linux program as the guest's workload.
//!
//! The host hands it over in the initial ramfs, a newc cpio: the program at the path that the
//! command line names ([`CMDLINE_INIT`]), its arguments and environment in the files
//! [`ARGV_FILE`] and [`ENVP_FILE`], each string followed by a NUL. Its descriptor 0 is empty; what
//! it writes to 1 and 2 goes to the ports [`STDOUT_PORT`] and [`STDERR_PORT`]. Before the guest
//! rings [`crate::platform::Doorbell::Done`], it says in [`ProgramEnd`] what became of it.

use core::sync::atomic::AtomicU32;
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
}

impl ProgramEnd {
    /// Still running, or never started.
    pub const fn new() -> Self {
        Self {
            ended: AtomicU32::new(0),
            status: AtomicU32::new(0),
        }
    }
}

impl Default for ProgramEnd {
    fn default() -> Self {
        Self::new()
    }
}
