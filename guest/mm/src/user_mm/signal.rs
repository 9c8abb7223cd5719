//! How a fault can end, if not well.

use core::fmt;
use pagelab_abi::errno::Errno;

/// What a program, or the kernel for it, wanted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Load.
    Read,
    /// Store.
    Write,
    /// Fetch an instruction.
    Exec,
}

/// Bit of a page fault's error code: the translation was there, the right was not.
pub(super) const PF_PROT: u64 = 1 << 0;
/// Bit of a page fault's error code: a store.
pub(super) const PF_WRITE: u64 = 1 << 1;
/// Bit of a page fault's error code: in ring 3.
pub(super) const PF_USER: u64 = 1 << 2;
/// Bit of a page fault's error code: an instruction fetch.
pub(super) const PF_INSTR: u64 = 1 << 4;

impl Access {
    /// That of a page fault.
    pub const fn of_error_code(code: u64) -> Self {
        if code & PF_WRITE != 0 {
            Self::Write
        } else if code & PF_INSTR != 0 {
            Self::Exec
        } else {
            Self::Read
        }
    }

    /// The error code that a fault in ring 3 would have.
    pub(super) const fn error_code(self) -> u64 {
        match self {
            Self::Read => PF_USER,
            Self::Write => PF_USER | PF_WRITE,
            Self::Exec => PF_USER | PF_INSTR,
        }
    }
}

/// What becomes of an access that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSignal {
    /// SIGSEGV with SEGV_MAPERR: no area.
    MapErr(u64),
    /// SIGSEGV with SEGV_ACCERR: an area, but not for this.
    AccErr(u64),
    /// SIGBUS with BUS_ADRERR: behind the end of the file.
    BusAdrErr(u64),
    /// SIGBUS with BUS_MCEERR_AR: the page was lost with its memory.
    HwPoison(u64),
    /// No memory: the OOM killer's case.
    Oom,
}

impl FaultSignal {
    /// Number of the signal: SIGSEGV or SIGBUS, or SIGKILL for want of memory.
    pub const fn signo(self) -> u32 {
        match self {
            Self::MapErr(_) | Self::AccErr(_) => 11,
            Self::BusAdrErr(_) | Self::HwPoison(_) => 7,
            Self::Oom => 9,
        }
    }

    /// `si_code`: SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR or BUS_MCEERR_AR; SI_KERNEL for want of memory.
    pub const fn code(self) -> i32 {
        match self {
            Self::MapErr(_) => 1,
            Self::AccErr(_) | Self::BusAdrErr(_) => 2,
            Self::HwPoison(_) => 4,
            Self::Oom => 0x80,
        }
    }

    /// `si_addr`: the address of the access.
    pub const fn address(self) -> u64 {
        match self {
            Self::MapErr(at) | Self::AccErr(at) | Self::BusAdrErr(at) | Self::HwPoison(at) => at,
            Self::Oom => 0,
        }
    }
}

/// The kernel could not load or store all that a system call wanted: EFAULT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes that were copied before.
    pub copied: usize,
    /// Why no more.
    pub signal: FaultSignal,
}

impl From<Fault> for Errno {
    fn from(_: Fault) -> Self {
        Self::EFAULT
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} after {} bytes", self.signal, self.copied)
    }
}

impl core::error::Error for Fault {}
