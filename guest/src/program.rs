//! The workload `program`: a Linux program of the initial ramfs as the first process
//! (`pagelab_abi::program`).

use crate::{
    arch::{boot, user},
    cmdline::Cmdline,
    exec,
    fs::{
        self, Files, Ramfs, RamfsError,
        disk::{self, MountError},
    },
    memory::{Memory, mm, slab},
    root, safe_point,
    task::{self, Tasks},
};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SIZE,
    errno::Errno,
    memcg::NO_LIMIT,
    program::{ARGV_FILE, CMDLINE_INIT, ENVP_FILE},
    workload::Phase,
};
use pagelab_mm::{memcg::GroupId, slab::CreateError};

/// Why no program ran.
enum Problem<'a> {
    /// The command line names none.
    NoInit,
    /// There is no initial ramfs, or it has no such file.
    NoFile(&'static str),
    /// The file system could not be filled.
    Ramfs(RamfsError),
    /// The disk for files could not be mounted.
    Disk(MountError),
    /// There is no memory group for it.
    NoGroup,
    /// The directories of memory groups could not be made.
    Cgroup(Errno),
    /// It could not be started.
    Exec(&'a str, Errno),
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInit => write!(
                f,
                "no program: {CMDLINE_INIT}=PATH is not on the command line"
            ),
            Self::NoFile(name) => write!(f, "the initial ramfs has no {name}"),
            Self::Ramfs(error) => error.fmt(f),
            Self::Disk(error) => write!(f, "the disk cannot be mounted: {error}"),
            Self::Cgroup(errno) => {
                write!(f, "/sys/fs/cgroup cannot be made: {}", errno.name())
            }
            Self::NoGroup => write!(f, "there are too many memory groups"),
            Self::Exec(path, errno) => write!(f, "{path} cannot be started: {}", errno.name()),
        }
    }
}

/// Prepares the machine for a program, at boot.
///
/// # Errors
/// If there is no memory for processes.
pub(crate) fn init(cmdline: &Cmdline<'_>) -> Result<(), CreateError> {
    user::init(cmdline.fixed_cpu);
    fs::init()?;
    task::init_cache()
}

/// Runs the program to its end. False if it could not be started, or if something of it is left.
#[inline(never)]
pub(crate) fn run(mm: &'static Memory, cmdline: &Cmdline<'_>) -> bool {
    root::progress()
        .phase
        .store(Phase::Workload as u32, Relaxed);
    let mut tasks = Tasks::new(cmdline.seed);
    let start = Inventory::of(mm);
    let started = match run_in(&mut tasks, cmdline) {
        Ok(status) => {
            let end = root::program();
            end.status.store(status, Relaxed);
            end.ended.store(1, Relaxed);
            true
        }
        Err(problem) => {
            log::error!("{problem}");
            root::program().not_started.store(1, Relaxed);
            false
        }
    };
    safe_point::pass();
    let end = Inventory::of(mm);
    if end != start {
        log::error!("leak: {start:?} at the start, {end:?} at the end");
    }
    started && end == start
}

/// Returns the wait status of the program.
fn run_in<'a>(tasks: &mut Tasks, cmdline: &Cmdline<'a>) -> Result<u32, Problem<'a>> {
    let init = cmdline.init.ok_or(Problem::NoInit)?;
    let archive = boot::initrd().ok_or(Problem::NoFile("archive"))?;
    let argv = fs::file_of(archive, ARGV_FILE).ok_or(Problem::NoFile(ARGV_FILE))?;
    let envp = fs::file_of(archive, ENVP_FILE).unwrap_or(&[]);
    let ramfs = Ramfs::mount(archive).map_err(Problem::Ramfs)?;
    if let Some(swappiness) = cmdline.swappiness {
        mm().set_swappiness(swappiness);
    }
    let group = group_for(cmdline)?;
    ramfs.add_cgroup(group).map_err(Problem::Cgroup)?;
    let mounted = match cmdline.disk {
        Some(_) => disk::mount(&ramfs).map_err(Problem::Disk),
        None => Ok(()),
    };
    let status = mounted.and_then(|()| match start(tasks, &ramfs, init, argv, envp, group) {
        Ok(()) => Ok(tasks.run()),
        Err(errno) => {
            tasks.clear();
            Err(Problem::Exec(init, errno))
        }
    });
    if let Some(group) = group {
        mm().set_current_memory_group(None);
        mm().memory_group_remove(group);
    }
    disk::unmount(&ramfs);
    status
}

/// The memory group that the command line asks for.
fn group_for<'a>(cmdline: &Cmdline<'a>) -> Result<Option<GroupId>, Problem<'a>> {
    let limits = [cmdline.memory_max, cmdline.memory_high, cmdline.swap_max];
    if limits == [None; 3] {
        return Ok(None);
    }
    let [max, high, swap_max] =
        limits.map(|bytes| bytes.map_or(NO_LIMIT, |bytes| bytes / PAGE_SIZE));
    let group = mm().memory_group_create(max).ok_or(Problem::NoGroup)?;
    mm().set_memory_high(group, high);
    mm().set_swap_max(group, swap_max);
    Ok(Some(group))
}

fn start(
    tasks: &mut Tasks,
    ramfs: &Ramfs,
    init: &str,
    argv: &[u8],
    envp: &[u8],
    group: Option<GroupId>,
) -> Result<(), Errno> {
    let slot = tasks.add_init()?;
    if let Some(group) = group {
        tasks.get_mut(slot).set_memory_group(group);
        // Its memory is made before it runs.
        mm().set_current_memory_group(Some(group));
    }
    tasks.get_mut(slot).files = Some(Files::new(ramfs)?);
    exec::first(tasks, slot, init.as_bytes(), argv, envp)
}

/// What is nobody's, once all lists and caches are drained.
#[derive(Debug, PartialEq, Eq)]
struct Inventory {
    /// Pages that are free, with the host, or in slabs.
    pages: u64,
    /// Objects of all caches, but for the allocator's own.
    objects: u64,
}

impl Inventory {
    fn of(mm: &'static Memory) -> Self {
        let pages = crate::workload::accounted_pages(mm);
        let slab = slab();
        let mut objects = 0;
        let mut newer = None;
        while let Some(info) = slab.info_of_next(newer) {
            if !["kmem_cache", "array_cache"].contains(&info.name) {
                objects += info.active_objs;
            }
            newer = Some(info.index);
        }
        Self { pages, objects }
    }
}
