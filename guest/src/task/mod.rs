//! Processes. Each has one thread; the kernel has one stack and no thread of its own for any of
//! them: [`Tasks::run`] enters ring 3 and handles what comes back.
//!
//! * `object`: where a task lives. `table`: all of them, their numbers and the host's list.
//! * `schedule`: who runs. Cooperative: a task runs until it waits, ends, yields, or has used up
//!   its share of traps.
//! * `clock`: what time it is: the event clock, and what nobody had to do.
//! * `fork`, `exit`, `wait`: birth, death, and the parent's knowledge of it.
//! * `deadlock`: nobody can run any more. `fail`: its part in fault injection. `timer`: signals at a time.
//! * `trap`: what is not a system call. `oom`: who dies for want of memory. `usage`: what they have used.
//! * `prctl`: what a process says of itself. `robust`: locks of one that has ended. `rseq`: code that is
//!   not interrupted half-way.

mod clock;
mod deadlock;
mod exit;
mod fail;
mod fork;
mod object;
mod oom;
mod prctl;
mod robust;
mod rseq;
mod schedule;
mod table;
mod timer;
mod trap;
mod usage;
mod wait;

use crate::{
    arch::user::UserContext,
    cred::{Cred, Ids},
    fs::{Bytes, Files},
    machine::Guest,
    root,
    signal::{SigSet, Signals},
};
use core::sync::atomic::Ordering::Relaxed;
use object::SharedPart;
use pagelab_abi::task::{COMM_LEN, TaskState};
use pagelab_mm::{FileId, memcg::GroupId, user_mm::UserMm};

pub(crate) use clock::{Clock, EPOCH_NS, SECOND};
pub(crate) use exit::exited;
pub(crate) use fail::as_kernel;
pub(crate) use fork::{CloneFlags, CloneRequest};
pub(crate) use object::init_cache;
pub(crate) use prctl::{DEFAULT_SLACK, Prctl};
pub(crate) use table::{Pid, Slot, Tasks};
pub(crate) use timer::{Timer, Which};
pub(crate) use usage::Usage;
pub(crate) use wait::{WaitTarget, Waited};

/// The address space of a task of this kernel.
pub(crate) type Space = UserMm<Guest>;

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// A child's end.
    Child,
    /// The child that runs in this task's memory.
    Vfork(Pid),
    /// Something that another task does with a file.
    File,
    /// The same, and a time if there is one.
    Poll(Option<u64>),
    /// A time, in nanoseconds of [`Clock::monotonic`].
    Time(u64),
    /// A word of memory, and a time if there is one.
    Futex {
        /// The word.
        key: FutexKey,
        /// Which wakes it hears.
        bitset: u32,
        /// When to give up.
        until: Option<u64>,
    },
    /// A signal.
    Signal,
    /// A signal of a set, blocked or not, and a time if there is one.
    SignalOf(SigSet, Option<u64>),
}

/// What a word of memory is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FutexKey {
    /// One of a process's own: where its [`Space`] is, and the address in it.
    Private { mm: u64, address: u64 },
    /// One that others may map: the file, and the byte in it.
    Shared { file: FileId, offset: u64 },
}

/// A process.
pub(crate) struct Task {
    /// What the host and the OOM killer read of it.
    shared: SharedPart,
    /// Ring 3's registers.
    pub(crate) context: UserContext,
    /// Its memory; none in a zombie, and in a parent whose vfork child runs in it.
    pub(crate) space: Option<Space>,
    /// Its open files and its directory.
    pub(crate) files: Option<Files>,
    /// Signals and their handlers.
    pub(crate) signals: Signals,
    /// What it waits for while its state is [`TaskState::Interruptible`].
    waits_for: Option<WaitFor>,
    /// It stands at a system call that it will make again: its number.
    pub(crate) restart: Option<u32>,
    /// When the wait of the call that it makes again is over.
    pub(crate) deadline: Option<u64>,
    /// When it gets SIGALRM.
    pub(crate) timer: Timer,
    /// How long it has had the CPU, and the timers that count it.
    cpu_time: timer::CpuTime,
    /// A futex that it waited for has been woken.
    pub(crate) futex_woken: bool,
    /// It has called execve since its birth.
    pub(crate) has_execed: bool,
    /// Resource limits, by number.
    pub(crate) rlimits: [Rlimit; RLIMITS],
    /// Whose it is.
    cred: Cred,
    /// Those of its faults that needed I/O.
    major_faults: u64,
    /// Most resident pages of the programs that it ran before this one.
    max_rss: u64,
    /// Address of a word that becomes 0 when it ends; 0 if there is none.
    pub(crate) clear_child_tid: u64,
    /// Address of the list of robust futexes that it holds; 0 if there is none.
    pub(crate) robust_list: u64,
    /// The signal it gets when its parent ends, or 0.
    pub(crate) pdeath_signal: u32,
    /// Its restartable sequences.
    rseq: rseq::Rseq,
    /// What prctl remembers.
    pub(crate) prctl: Prctl,
    /// Its part in fault injection, while it does not have the CPU.
    fail: fail::Fail,
}

/// Kinds of limits (Linux include/uapi/asm-generic/resource.h: `RLIM_NLIMITS`).
pub(crate) const RLIMITS: usize = 16;

/// No limit.
pub(crate) const RLIM_INFINITY: u64 = u64::MAX;

/// Bytes that somebody but root may lock (Linux include/uapi/linux/resource.h: `MLOCK_LIMIT`).
const MLOCK_LIMIT: u64 = 8 << 20;

/// A limit that can be raised to `max`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rlimit {
    pub(crate) current: u64,
    pub(crate) max: u64,
}

/// Writes all fields of a structure, one by one, where it lies. One that is left out does not compile.
macro_rules! init_fields {
    ($at:expr, $type:ident { $($field:ident: $value:expr,)+ }) => {{
        let at: *mut $type = $at;
        if false {
            let $type { $($field: _),+ } = &*at;
        }
        $((&raw mut (*at).$field).write($value);)+
    }};
}

impl Task {
    /// Writes a process without memory and files where it will be: it is too large for a stack.
    ///
    /// # Safety
    /// `at` is an object's memory, aligned, and nobody else's.
    unsafe fn init(at: *mut Self, shared: SharedPart, pid: Pid, parent: Pid) {
        shared.pid.store(pid.0, Relaxed);
        shared.ppid.store(parent.0, Relaxed);
        shared.start.store(root::events(), Relaxed);
        // SAFETY: by contract.
        unsafe {
            init_fields!(
                at,
                Task {
                    shared: shared,
                    context: UserContext::new(0, 0),
                    space: None,
                    files: None,
                    signals: Signals::NEW,
                    waits_for: None,
                    restart: None,
                    deadline: None,
                    timer: Timer::default(),
                    cpu_time: timer::CpuTime::default(),
                    futex_woken: false,
                    has_execed: false,
                    rlimits: default_rlimits(),
                    cred: Cred::root(),
                    major_faults: 0,
                    max_rss: 0,
                    clear_child_tid: 0,
                    robust_list: 0,
                    pdeath_signal: 0,
                    rseq: rseq::Rseq::default(),
                    prctl: Prctl::new(),
                    fail: fail::Fail::default(),
                }
            );
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid(self.shared.pid.load(Relaxed))
    }

    pub(crate) fn ppid(&self) -> Pid {
        Pid(self.shared.ppid.load(Relaxed))
    }

    pub(crate) fn pgid(&self) -> Pid {
        Pid(self.shared.pgid.load(Relaxed))
    }

    pub(crate) fn sid(&self) -> Pid {
        Pid(self.shared.sid.load(Relaxed))
    }

    pub(crate) fn set_group(&self, pgid: Pid) {
        self.shared.pgid.store(pgid.0, Relaxed);
    }

    pub(crate) fn set_session(&self, sid: Pid) {
        self.shared.sid.store(sid.0, Relaxed);
    }

    pub(crate) fn state(&self) -> TaskState {
        TaskState::from_u32(self.shared.state.load(Relaxed)).unwrap_or(TaskState::Running)
    }

    fn set_state(&self, state: TaskState) {
        self.shared.state.store(state as u32, Relaxed);
    }

    /// The memory group that its pages are charged to.
    pub(crate) fn memory_group(&self) -> Option<GroupId> {
        GroupId::from_number(self.shared.memory_group.load(Relaxed))
    }

    /// Puts it into a memory group. Its pages stay charged where they are.
    pub(crate) fn set_memory_group(&self, group: GroupId) {
        self.shared.memory_group.store(group.number(), Relaxed);
    }

    /// Names the process.
    pub(crate) fn set_comm(&self, name: &[u8]) {
        for (i, slot) in self.shared.comm.iter().enumerate() {
            let byte = if i < COMM_LEN - 1 { name.get(i) } else { None };
            slot.store(byte.copied().unwrap_or(0), Relaxed);
        }
        self.tell_comm();
    }

    /// Its name, NUL-padded.
    pub(crate) fn comm(&self) -> [u8; COMM_LEN] {
        let mut comm = [0; COMM_LEN];
        for (byte, slot) in comm.iter_mut().zip(&self.shared.comm) {
            *byte = slot.load(Relaxed);
        }
        comm
    }

    /// Page faults that it took.
    pub(crate) fn faults(&self) -> u64 {
        self.shared.faults.load(Relaxed)
    }

    fn count_fault(&self) {
        let faults = self.shared.faults.load(Relaxed);
        self.shared.faults.store(faults + 1, Relaxed);
    }

    pub(crate) fn count_syscall(&self) {
        let calls = self.shared.syscalls.load(Relaxed);
        self.shared.syscalls.store(calls.wrapping_add(1), Relaxed);
    }

    /// What a call on files needs of it, each on its own.
    #[inline]
    pub(crate) fn files_and_space(&mut self) -> (Option<&mut Files>, Option<&mut Space>, &Cred) {
        (self.files.as_mut(), self.space.as_mut(), &self.cred)
    }

    /// Whose it is.
    pub(crate) fn cred(&self) -> &Cred {
        &self.cred
    }

    /// Makes it somebody's. Who acts as another than before cannot be looked into any more (Linux:
    /// `commit_creds`).
    pub(crate) fn set_ids(&mut self, uid: Ids, gid: Ids) {
        let acts_as = |uid: Ids, gid: Ids| [uid.effective, uid.fs, gid.effective, gid.fs];
        if acts_as(uid, gid) != acts_as(self.cred.uid, self.cred.gid) {
            self.prctl.is_dumpable = false;
            self.pdeath_signal = 0;
        }
        self.cred.uid = uid;
        self.cred.gid = gid;
        self.tell_ids();
        if let Some(space) = &self.space {
            self.limit_space(space);
        }
    }

    /// A new program begins, as somebody's. One that acts as another than who started it cannot be looked
    /// into.
    pub(crate) fn become_program_of(&mut self, uid: Ids, gid: Ids) {
        let same = uid.real == uid.effective && gid.real == gid.effective;
        self.set_ids(uid, gid);
        self.prctl = self.prctl.after_exec(same);
        self.robust_list = 0;
        self.forget_rseq();
    }

    /// Puts it into these groups and its own alone.
    pub(crate) fn set_groups(&mut self, groups: Bytes) {
        self.cred.set_groups(groups);
    }

    /// Tells who reads [`pagelab_abi::task::TaskStruct`] whose it is.
    fn tell_ids(&self) {
        for (to, ids) in [
            (&self.shared.uid, self.cred.uid),
            (&self.shared.gid, self.cred.gid),
        ] {
            for (to, id) in to.iter().zip(ids.listed()) {
                to.store(id, Relaxed);
            }
        }
    }

    /// Its nice value, -20 to 19.
    pub(crate) fn nice(&self) -> i32 {
        self.shared.nice.load(Relaxed).cast_signed()
    }

    /// Gives it a nice value. Who runs is everybody's turn in any case.
    pub(crate) fn set_nice(&self, nice: i32) {
        self.shared.nice.store(nice.cast_unsigned(), Relaxed);
    }

    /// Bytes that its stack may have.
    pub(crate) fn stack_limit(&self) -> u64 {
        self.rlimits[linux_raw_sys::general::RLIMIT_STACK as usize].current
    }

    /// Changes one of its limits, given by its index. Its memory hears of it.
    pub(crate) fn set_rlimit(&mut self, index: usize, limit: Rlimit) {
        self.rlimits[index] = limit;
        if let Some(space) = &self.space {
            self.limit_space(space);
        }
    }

    /// Tells memory that is, or will be, its own of its limits.
    pub(crate) fn limit_space(&self, space: &Space) {
        use linux_raw_sys::general::{RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK};
        let of = |resource: u32| self.rlimits[resource as usize].current;
        space.set_limits(of(RLIMIT_AS), of(RLIMIT_DATA));
        let memlock = if self.cred.is_capable() {
            RLIM_INFINITY
        } else {
            of(RLIMIT_MEMLOCK)
        };
        space.set_memlock_limit(memlock);
    }

    /// Gives it other memory, and takes what it had.
    pub(crate) fn replace_space(&mut self, space: Option<Space>) -> Option<Space> {
        let gpa = space.as_ref().map_or(0, Space::gpa);
        self.shared.mm.store(gpa, Relaxed);
        core::mem::replace(&mut self.space, space)
    }
}

/// The limits of the first process, which are those of a shell on Linux.
fn default_rlimits() -> [Rlimit; RLIMITS] {
    use linux_raw_sys::general::{
        RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RTPRIO,
        RLIMIT_STACK,
    };
    let unlimited = Rlimit {
        current: RLIM_INFINITY,
        max: RLIM_INFINITY,
    };
    let mut limits = [unlimited; RLIMITS];
    limits[RLIMIT_STACK as usize].current = 8 << 20;
    limits[RLIMIT_CORE as usize].current = 0;
    for (resource, value) in [
        (RLIMIT_MEMLOCK, MLOCK_LIMIT),
        (RLIMIT_NICE, 0),
        (RLIMIT_RTPRIO, 0),
    ] {
        limits[resource as usize] = Rlimit {
            current: value,
            max: value,
        };
    }
    let processes = table::MAX_TASKS as u64;
    limits[RLIMIT_NPROC as usize] = Rlimit {
        current: processes,
        max: processes,
    };
    limits[RLIMIT_NOFILE as usize] = Rlimit {
        current: 1024,
        max: 4096,
    };
    limits
}
