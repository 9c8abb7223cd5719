//! Limits, usage, and what the system says of itself.

use super::{Args, user};
use crate::{
    memory::mm,
    task::{Pid, RLIMITS, Rlimit, SECOND, Slot, Space, Task, Tasks, Usage},
};
use linux_raw_sys::general as linux;
use pagelab_abi::{PAGE_SIZE, errno::Errno, vmstat::NodeStat};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// Bytes of a field of `struct utsname`.
const UTS_LEN: usize = 65;

/// What uname says: a release that is old enough to promise nothing and new enough for every C
/// library.
const UTS: [&str; 6] = [
    "Linux",
    "pagelab",
    "6.1.0-pagelab",
    "#1 pagelab",
    "x86_64",
    "(none)",
];

/// Bytes that getrandom makes at once.
const RANDOM_CHUNK: usize = 64;

/// The most that getrandom gives (Linux: `INT_MAX`).
const RANDOM_MAX: u64 = 0x7fff_ffff;

/// `struct rusage`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Rusage {
    user_time: [u64; 2],
    system_time: [u64; 2],
    max_rss: u64,
    unused: [u64; 3],
    minor_faults: u64,
    major_faults: u64,
    more: [u64; 8],
}

const _: () = assert!(size_of::<Rusage>() == 144);

impl Rusage {
    /// All time is the program's: there is no telling it from the kernel's for it.
    pub(super) fn new(usage: &Usage) -> Self {
        let time = usage.cpu_time;
        Self {
            user_time: [time / SECOND, time % SECOND / 1000],
            max_rss: usage.max_rss * PAGE_SIZE / 1024,
            minor_faults: usage.faults - usage.major_faults,
            major_faults: usage.major_faults,
            ..Self::new_zeroed()
        }
    }
}

/// `struct sysinfo`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct SysInfo {
    uptime: u64,
    loads: [u64; 3],
    total_ram: u64,
    free_ram: u64,
    shared_ram: u64,
    buffer_ram: u64,
    total_swap: u64,
    free_swap: u64,
    procs: u16,
    pad: [u16; 3],
    total_high: u64,
    free_high: u64,
    mem_unit: u32,
    tail: u32,
}

const _: () = assert!(size_of::<SysInfo>() == 112);

/// `struct rlimit64`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct RawLimit {
    current: u64,
    max: u64,
}

pub(super) fn prlimit64(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let [pid, resource, new, old, ..] = *args;
    let target = match pid as u32 {
        0 => slot,
        pid => tasks.find(Pid(pid)).ok_or(Errno::ESRCH)?,
    };
    let wanted = match new {
        0 => None,
        at => Some(load_limit(tasks.get_mut(slot), at)?),
    };
    let (own, other) = (tasks.get(slot).cred(), tasks.get(target).cred());
    if target != slot && !own.may_access(other.uid, other.gid) {
        return Err(Errno::EPERM);
    }
    let index = resource_index(resource)?;
    let before = tasks.get(target).rlimits[index];
    if let Some(limit) = wanted {
        limit.check(index, before, own.is_capable())?;
        tasks.get_mut(target).set_rlimit(index, limit);
    }
    store_limit(tasks.get_mut(slot), old, before)?;
    Ok(0)
}

pub(super) fn getrlimit(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let limit = tasks.get(slot).rlimits[resource_index(args[0])?];
    if args[1] == 0 {
        return Err(Errno::EFAULT);
    }
    store_limit(tasks.get_mut(slot), args[1], limit)?;
    Ok(0)
}

pub(super) fn setrlimit(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let index = resource_index(args[0])?;
    let task = tasks.get_mut(slot);
    let limit = load_limit(task, args[1])?;
    limit.check(index, task.rlimits[index], task.cred().is_capable())?;
    task.set_rlimit(index, limit);
    Ok(0)
}

fn resource_index(resource: u64) -> Result<usize, Errno> {
    let index = resource as u32 as usize;
    if index < RLIMITS {
        Ok(index)
    } else {
        Err(Errno::EINVAL)
    }
}

impl Rlimit {
    /// Whether a limit can take the place of another: root may raise any (Linux: `do_prlimit`).
    fn check(&self, index: usize, before: Self, is_capable: bool) -> Result<(), Errno> {
        if self.current > self.max {
            return Err(Errno::EINVAL);
        }
        let is_files = index == linux::RLIMIT_NOFILE as usize;
        if is_files && self.max > NR_OPEN || self.max > before.max && !is_capable {
            return Err(Errno::EPERM);
        }
        Ok(())
    }
}

/// Most descriptors that a limit can allow (Linux: `sysctl_nr_open`).
const NR_OPEN: u64 = 1 << 20;

/// A limit that a process wants.
fn load_limit(task: &mut Task, at: u64) -> Result<Rlimit, Errno> {
    let raw: RawLimit = user::load(user::space(task)?, at)?;
    Ok(Rlimit {
        current: raw.current,
        max: raw.max,
    })
}

fn store_limit(task: &mut Task, at: u64, limit: Rlimit) -> Result<(), Errno> {
    let raw = RawLimit {
        current: limit.current,
        max: limit.max,
    };
    user::store_if(user::space(task)?, at, &raw)
}

pub(super) fn getrusage(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    const SELF: i32 = 0;
    const CHILDREN: i32 = -1;
    const THREAD: i32 = 1;
    let usage = match args[0] as i32 {
        SELF | THREAD => tasks.usage(slot),
        CHILDREN => tasks.usage_of_children(slot),
        _ => return Err(Errno::EINVAL),
    };
    let space = user::space(tasks.get_mut(slot))?;
    user::store(space, args[1], &Rusage::new(&usage))?;
    Ok(0)
}

pub(super) fn sysinfo(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let mm = mm();
    let managed: u64 = mm.zones().iter().map(managed_pages).sum();
    let mut info = SysInfo::new_zeroed();
    info.uptime = tasks.clock().monotonic() / SECOND;
    info.total_ram = managed * PAGE_SIZE;
    info.free_ram = mm.free_pages_total() * PAGE_SIZE;
    let pages = |stat| mm.node_stat(stat).max(0).unsigned_abs();
    info.shared_ram = pages(NodeStat::Shmem) * PAGE_SIZE;
    let (total_swap, free_swap) = mm.swap_slots();
    info.total_swap = total_swap * PAGE_SIZE;
    info.free_swap = free_swap * PAGE_SIZE;
    info.procs = tasks.count() as u16;
    info.mem_unit = 1;
    user::store(user::space(tasks.get_mut(slot))?, args[0], &info)?;
    Ok(0)
}

fn managed_pages(zone: &pagelab_abi::zone::Zone) -> u64 {
    zone.managed
        .load(core::sync::atomic::Ordering::Relaxed)
        .into()
}

pub(super) fn uname(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    let mut names = [[0_u8; UTS_LEN]; UTS.len()];
    for (field, name) in names.iter_mut().zip(UTS) {
        field[..name.len()].copy_from_slice(name.as_bytes());
    }
    user::store(space, args[0], &names)?;
    Ok(0)
}

pub(super) fn getcpu(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    user::store_if(space, args[0], &0_u32)?;
    user::store_if(space, args[1], &0_u32)?;
    Ok(0)
}

pub(super) fn getrandom(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    const KNOWN: u32 = linux::GRND_NONBLOCK | linux::GRND_RANDOM | linux::GRND_INSECURE;
    let [at, len, flags, ..] = *args;
    let flags = flags as u32;
    let both = linux::GRND_RANDOM | linux::GRND_INSECURE;
    if flags & !KNOWN != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    let len = len.min(RANDOM_MAX);
    let mut done = 0;
    while done < len {
        let mut bytes = [0; RANDOM_CHUNK];
        fill_random(tasks, &mut bytes);
        let part = (len - done).min(RANDOM_CHUNK as u64);
        let space = user::space(tasks.get_mut(slot))?;
        if space
            .write(at.wrapping_add(done), &bytes[..part as usize])
            .is_err()
        {
            return if done == 0 {
                Err(Errno::EFAULT)
            } else {
                Ok(done)
            };
        }
        done += part;
    }
    Ok(len)
}

/// Bytes of the run's own randomness.
pub(crate) fn fill_random(tasks: &mut Tasks, bytes: &mut [u8]) {
    for part in bytes.chunks_mut(8) {
        let random = tasks.rng.next().to_le_bytes();
        part.copy_from_slice(&random[..part.len()]);
    }
}
