//! Processes as they stand in RAM.
//!
//! [`crate::root::Root::tasks`] leads to the oldest process, [`TaskStruct::next`] from each to the
//! next younger one. A process stays in the list until its parent has waited for it.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Bytes of a process's name, of which at least one is NUL (Linux: `TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;

/// Highest process number, plus one (Linux: `PID_MAX_DEFAULT`).
pub const PID_MAX: u32 = 32768;

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TaskState {
    /// It runs, or could.
    Running = 0,
    /// It waits for something, or for a signal.
    Interruptible = 1,
    /// A signal stopped it.
    Stopped = 4,
    /// It has ended, holds nothing any more, and its parent has not waited for it.
    Zombie = 16,
}

impl TaskState {
    /// The state with this number, if there is one.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::Running,
            1 => Self::Interruptible,
            4 => Self::Stopped,
            16 => Self::Zombie,
            _ => return None,
        })
    }

    /// The letter that Linux's /proc/PID/stat has for it.
    pub const fn letter(self) -> char {
        match self {
            Self::Running => 'R',
            Self::Interruptible => 'S',
            Self::Stopped => 'T',
            Self::Zombie => 'Z',
        }
    }
}

/// A process. Addresses are physical.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct TaskStruct {
    /// Its number, 1 to [`PID_MAX`]` - 1`.
    pub pid: AtomicU32,
    /// Its parent's number; 0 for the first process.
    pub ppid: AtomicU32,
    /// Its process group.
    pub pgid: AtomicU32,
    /// Its session.
    pub sid: AtomicU32,
    /// Number of its [`TaskState`].
    pub state: AtomicU32,
    /// How it ended, as wait4 gives it. Of a zombie only.
    pub exit_code: AtomicU32,
    /// Address of its `MmStruct`; 0 if it has none: a zombie, or a parent whose vfork child runs in
    /// it.
    pub mm: AtomicU64,
    /// Address of the next younger process, or 0.
    pub next: AtomicU64,
    /// Name of its program: the last part of the path, cut, NUL-padded.
    pub comm: [AtomicU8; COMM_LEN],
    /// Count of the event clock at its birth.
    pub start: AtomicU64,
    /// System calls it has made.
    pub syscalls: AtomicU64,
    /// Page faults it has taken.
    pub faults: AtomicU64,
    /// Added to its badness when memory has run out, -1000 to 1000, as two's complement.
    pub oom_score_adj: AtomicU32,
    /// Number of the parent in whose memory it runs, between vfork and execve, or 0.
    pub lender: AtomicU32,
    /// Number of its memory group, 0 for the root.
    pub memory_group: AtomicU32,
    /// Its users: real, effective, saved, and that for files.
    pub uid: [AtomicU32; 4],
    /// Its groups, likewise.
    pub gid: [AtomicU32; 4],
    /// The least of that that somebody but root may give it.
    pub oom_score_adj_min: AtomicU32,
    /// Zero.
    pub reserved: u32,
    /// Its nice value, -20 to 19, as two's complement.
    pub nice: AtomicU32,
    /// What it has used, but for [`Self::faults`], as of when it had the CPU last.
    pub usage: TaskUsage,
    /// What the children have used that it has waited for, and theirs.
    pub children: TaskUsage,
}

/// What processes have used (Linux: `struct rusage`).
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct TaskUsage {
    /// Nanoseconds of the CPU.
    pub cpu_time: AtomicU64,
    /// Page faults, those that needed I/O included.
    pub faults: AtomicU64,
    /// Those that did.
    pub major_faults: AtomicU64,
    /// Most resident pages at any time, of any one of them.
    pub max_rss: AtomicU64,
}

impl TaskUsage {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            cpu_time: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            major_faults: AtomicU64::new(0),
            max_rss: AtomicU64::new(0),
        }
    }
}

impl Default for TaskUsage {
    fn default() -> Self {
        Self::new()
    }
}

impl TaskStruct {
    /// No process.
    pub const fn new() -> Self {
        Self {
            pid: AtomicU32::new(0),
            ppid: AtomicU32::new(0),
            pgid: AtomicU32::new(0),
            sid: AtomicU32::new(0),
            state: AtomicU32::new(TaskState::Running as u32),
            exit_code: AtomicU32::new(0),
            mm: AtomicU64::new(0),
            next: AtomicU64::new(0),
            comm: [const { AtomicU8::new(0) }; COMM_LEN],
            start: AtomicU64::new(0),
            syscalls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            oom_score_adj: AtomicU32::new(0),
            lender: AtomicU32::new(0),
            memory_group: AtomicU32::new(0),
            uid: [const { AtomicU32::new(0) }; 4],
            gid: [const { AtomicU32::new(0) }; 4],
            oom_score_adj_min: AtomicU32::new(0),
            reserved: 0,
            nice: AtomicU32::new(0),
            usage: TaskUsage::new(),
            children: TaskUsage::new(),
        }
    }
}

impl Default for TaskStruct {
    fn default() -> Self {
        Self::new()
    }
}

/// All processes.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct TaskList {
    /// Address of the oldest [`TaskStruct`], or 0.
    pub head: AtomicU64,
    /// Processes in the list.
    pub count: AtomicU32,
    /// Number of the process that runs, or ran last; 0 before the first.
    pub current: AtomicU32,
}

impl TaskList {
    /// No processes.
    pub const fn new() -> Self {
        Self {
            head: AtomicU64::new(0),
            count: AtomicU32::new(0),
            current: AtomicU32::new(0),
        }
    }
}

impl Default for TaskList {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<TaskStruct>() == 200);
