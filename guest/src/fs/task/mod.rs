//! Processes as /proc shows them, from the list that the host reads as well.
//!
//! * this file: the list, and a process's memory. `status`: its numbers. `system`: those of all.
//!
//! Nothing here is kept across a system call, in which no process comes or goes but the caller's
//! children.

mod status;
mod system;

pub(super) use system::system_text;

use super::{
    dentry::Dentry,
    inode::Kind,
    object::{Bytes, Shared},
    path::PATH_MAX,
    proc::PidFile,
};
use crate::{cred::Viewer, memory::mm, oom, root, task::Space};
use core::{
    fmt::{self, Write},
    mem::ManuallyDrop,
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::{
    PAGE_SIZE,
    errno::Errno,
    oom::{OOM_SCORE_ADJ_MAX, OOM_SCORE_ADJ_MIN},
    platform::DIRECT_MAP,
    task::{COMM_LEN, TaskStruct},
};
use pagelab_mm::{memcg::GroupId, oom::oom_score, page_cache::FileId};

/// Bytes of a program's memory that are copied at once.
const BOUNCE: usize = 256;

/// All processes, the oldest first.
fn all() -> impl Iterator<Item = &'static TaskStruct> {
    let at = |gpa: u64| {
        // SAFETY: `task::table` keeps the list true, and no process goes while the result is used.
        (gpa != 0).then(|| unsafe { &*((DIRECT_MAP + gpa) as *const TaskStruct) })
    };
    let first = at(root::tasks().head.load(Relaxed));
    core::iter::successors(first, move |task| at(task.next.load(Relaxed)))
}

fn find(pid: u32) -> Option<&'static TaskStruct> {
    all().find(|task| task.pid.load(Relaxed) == pid)
}

/// Whether there is a process of this number.
pub(super) fn exists(pid: u32) -> bool {
    find(pid).is_some()
}

/// Its effective user and group.
pub(super) fn owner(pid: u32) -> Option<(u32, u32)> {
    let task = find(pid)?;
    Some((task.uid[1].load(Relaxed), task.gid[1].load(Relaxed)))
}

/// Whether somebody, by what he acts as towards files, may look into a process (Linux:
/// `__ptrace_may_access` with `PTRACE_MODE_FSCREDS`).
pub(super) fn may_look_into(who: Viewer<'_>, pid: u32) -> bool {
    let is_his = |task: &TaskStruct| {
        let uids = task.uid[..3].iter().all(|id| id.load(Relaxed) == who.uid);
        uids && task.gid[..3].iter().all(|id| id.load(Relaxed) == who.gid)
    };
    who.is_capable() || root::tasks().current.load(Relaxed) == pid || find(pid).is_some_and(is_his)
}

/// The lowest number of a process from `from` on.
pub(super) fn next(from: u32) -> Option<u32> {
    let pids = all().map(|task| task.pid.load(Relaxed));
    pids.filter(|pid| *pid >= from).min()
}

/// Processes in a memory group itself, by its number, the oldest first.
pub(super) fn group_members(group: u32) -> impl Iterator<Item = u32> {
    let is_member = move |task: &&TaskStruct| task.memory_group.load(Relaxed) == group;
    all().filter(is_member).map(|task| task.pid.load(Relaxed))
}

/// Whether there is one.
pub(super) fn group_has_members(group: u32) -> bool {
    group_members(group).next().is_some()
}

/// Puts a process into a memory group, by its number; process 0 is the one that runs. What it has stays
/// charged where it is.
///
/// # Errors
/// ESRCH.
pub(super) fn set_memory_group(pid: u32, group: u32) -> Result<(), Errno> {
    let current = root::tasks().current.load(Relaxed);
    let pid = if pid == 0 { current } else { pid };
    let task = find(pid).ok_or(Errno::ESRCH)?;
    task.memory_group.store(group, Relaxed);
    if pid == current {
        mm().set_current_memory_group(GroupId::from_number(group));
    }
    Ok(())
}

/// Changes how the OOM killer sees a process.
///
/// # Errors
/// EINVAL outside -1000 to 1000; ESRCH; EACCES for less than root has given it, by somebody else.
pub(super) fn set_oom_score_adj(pid: u32, adj: i32) -> Result<(), Errno> {
    if !(OOM_SCORE_ADJ_MIN..=OOM_SCORE_ADJ_MAX).contains(&adj) {
        return Err(Errno::EINVAL);
    }
    let task = find(pid).ok_or(Errno::ESRCH)?;
    if current_is_capable() {
        task.oom_score_adj_min.store(adj.cast_unsigned(), Relaxed);
    } else if adj < task.oom_score_adj_min.load(Relaxed).cast_signed() {
        return Err(Errno::EACCES);
    }
    task.oom_score_adj.store(adj.cast_unsigned(), Relaxed);
    Ok(())
}

/// Whether the process that runs has root's capabilities.
pub(super) fn current_is_capable() -> bool {
    let current = find(root::tasks().current.load(Relaxed));
    current.is_none_or(|task| task.uid[1].load(Relaxed) == 0)
}

/// The memory of a process; none of a zombie.
fn space(task: &TaskStruct) -> Option<ManuallyDrop<Space>> {
    let gpa = oom::candidate(task.pid.load(Relaxed))?.mm;
    // SAFETY: a process's address space is live; that of the caller is in the middle of a call on
    // files, which holds no tree of areas, and the others do nothing.
    unsafe { Space::second(mm(), gpa) }
}

/// Why there is no text.
pub(super) enum NoText {
    /// There is no such process.
    Gone,
    /// There was no memory for it.
    Full,
}

impl From<fmt::Error> for NoText {
    fn from(fmt::Error: fmt::Error) -> Self {
        Self::Full
    }
}

/// Writes a text of a process. Files are named as seen from `root`.
pub(super) fn text(
    pid: u32,
    file: PidFile,
    root: &Shared<Dentry>,
    out: &mut dyn Write,
) -> Result<(), NoText> {
    let task = find(pid).ok_or(NoText::Gone)?;
    match file {
        PidFile::Comm => writeln!(out, "{}", Name::of(task))?,
        PidFile::OomScoreAdj => {
            let adj = task.oom_score_adj.load(Relaxed).cast_signed();
            writeln!(out, "{adj}")?;
        }
        PidFile::OomScore => {
            let candidate = oom::candidate(pid);
            let score = candidate.map_or(0, |task| oom_score(&task, mm().oom_total_pages()));
            writeln!(out, "{score}")?;
        }
        PidFile::Status => status::status(task, space(task), out)?,
        PidFile::Stat => status::stat(task, space(task), out)?,
        PidFile::Statm => status::statm(space(task), out)?,
        PidFile::Cmdline => {
            if let Some(mut space) = space(task) {
                strings(&mut space, out)?;
            }
        }
        PidFile::Maps => {
            if let Some(mut space) = space(task) {
                space.maps(out, &mut |file, out| file_name(file, root, out))?;
            }
        }
        PidFile::Smaps => {
            if let Some(mut space) = space(task) {
                space.smaps(out, &mut |file, out| file_name(file, root, out))?;
            }
        }
        PidFile::Pagemap => {}
    }
    Ok(())
}

/// Words of pagemap from a position on, as many as `buf` holds; how many bytes that are. None if
/// the process has gone.
pub(super) fn pagemap(pid: u32, position: u64, buf: &mut [u8]) -> Option<usize> {
    let task = find(pid)?;
    let Some(space) = space(task) else {
        return Some(0);
    };
    let first = position / 8;
    let words = Space::pagemap_pages()
        .saturating_sub(first)
        .min(buf.len() as u64 / 8);
    for (word, page) in buf.chunks_exact_mut(8).zip(first..first + words) {
        word.copy_from_slice(&space.pagemap_word(page).to_le_bytes());
    }
    Some(words as usize * 8)
}

/// The arguments, each with its NUL. What cannot be read is left out.
fn strings(space: &mut Space, out: &mut dyn Write) -> fmt::Result {
    let args = space.stats().args;
    let mut at = args.start;
    while at < args.end {
        let mut bytes = [0; BOUNCE];
        let len = (args.end - at)
            .min(BOUNCE as u64)
            .min(PAGE_SIZE - at % PAGE_SIZE);
        let part = &mut bytes[..len as usize];
        if space.read(at, part).is_err() {
            return Ok(());
        }
        // As bytes: a character may be cut in two.
        for &byte in &*part {
            out.write_char(char::from(byte))?;
        }
        at += len;
    }
    Ok(())
}

/// The name of a file that is mapped. An area knows its file, not the name by which it was opened:
/// it is the first that leads there.
fn file_name(file: FileId, root: &Shared<Dentry>, out: &mut dyn Write) -> fmt::Result {
    let is_it = |dentry: &Dentry| match &dentry.inode.kind {
        Kind::Regular(content) => content.id() == file,
        _ => false,
    };
    let Some(dentry) = root.find_below(is_it) else {
        return out.write_str("(deleted)");
    };
    let mut path = Bytes::zeroed(PATH_MAX).map_err(|_| fmt::Error)?;
    let start = dentry.path_to(root, &mut path).map_err(|_| fmt::Error)?;
    for &byte in &path[start..] {
        // Linux fs/seq_file.c: `seq_path` with "\n".
        match byte {
            b'\n' => out.write_str("\\012")?,
            _ => out.write_char(char::from(byte))?,
        }
    }
    Ok(())
}

/// A process's name.
struct Name([u8; COMM_LEN]);

impl Name {
    fn of(task: &TaskStruct) -> Self {
        Self(task.comm.each_ref().map(|byte| byte.load(Relaxed)))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = self.0.iter().take_while(|byte| **byte != 0);
        name.try_for_each(|&byte| f.write_char(char::from(byte)))
    }
}
