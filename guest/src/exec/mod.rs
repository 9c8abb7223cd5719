//! Programs: execve, and the first one.
//!
//! * `image`: which ELF files are programs. `script`: who runs those that are none. `load`: their segments become memory. `strings`:
//!   arguments and environment. `stack`: what a program finds on its stack.

mod image;
mod load;
mod script;
mod stack;
mod strings;

use crate::{
    cred::Ids,
    fs::{self, ExecFile},
    memory::mm,
    task::{Slot, Space, Task, Tasks},
};
use image::Image;
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use pagelab_mm::mutation::{Mutation, is_planted};
use script::{Front, MAX_DEPTH};
use stack::Stack;
use strings::{List, Strings};

/// A program with its memory, not yet anybody's.
struct Loaded {
    space: Space,
    entry: u64,
    /// Its stack pointer.
    sp: u64,
    /// Whose it is.
    uid: Ids,
    gid: Ids,
}

/// execve: the arguments are addresses in the caller's memory.
///
/// # Errors
/// Linux's; the caller goes on with what it had.
pub(crate) fn from_program(
    tasks: &mut Tasks,
    slot: Slot,
    path: u64,
    argv: u64,
    envp: u64,
) -> Result<(), Errno> {
    let path = fs::load_path(tasks.get_mut(slot), path)?;
    start(tasks, slot, &path, List::User(argv), List::User(envp))
}

/// The first program: arguments and environment as strings, each ended by a NUL.
///
/// # Errors
/// As execve.
pub(crate) fn first(
    tasks: &mut Tasks,
    slot: Slot,
    path: &[u8],
    argv: &[u8],
    envp: &[u8],
) -> Result<(), Errno> {
    start(tasks, slot, path, List::Kernel(argv), List::Kernel(envp))
}

/// Replaces a task's program. Until the new one is complete nothing of the old one changes.
#[inline(never)]
fn start(
    tasks: &mut Tasks,
    slot: Slot,
    path: &[u8],
    argv: List<'_>,
    envp: List<'_>,
) -> Result<(), Errno> {
    let mut file = fs::open_exec(tasks.get_mut(slot), path)?;
    let loaded = build(tasks, slot, &mut file, path, argv, envp)?;
    tasks.release_robust_futexes(slot);
    tasks.leave_space();
    let task = tasks.get_mut(slot);
    task.keep_max_rss();
    let old = task.replace_space(Some(loaded.space));
    task.context.start(loaded.entry, loaded.sp);
    task.signals.reset_handlers();
    task.signals.forget_stack();
    task.become_program_of(loaded.uid, loaded.gid);
    task.clear_child_tid = 0;
    task.has_execed = true;
    let name = path.rsplit(|&byte| byte == b'/').next();
    task.set_comm(name.unwrap_or(path));
    if let Some(files) = &mut task.files {
        files.exec(&file);
    }
    if let Some(old) = old {
        tasks.return_loan(slot, old);
    }
    tasks.reload(slot);
    Ok(())
}

/// Makes the program of a file, or, if that is a script, of what runs it, which becomes `file`.
#[inline(never)]
fn build(
    tasks: &mut Tasks,
    slot: Slot,
    file: &mut ExecFile,
    path: &[u8],
    argv: List<'_>,
    envp: List<'_>,
) -> Result<Loaded, Errno> {
    let task = tasks.get_mut(slot);
    let limit = task.stack_limit();
    let mut argv = Strings::new(argv);
    let mut measures = stack::measure(&argv, &envp, task.space.as_mut(), limit)?;
    let front = interpreter(task, file, path)?;
    if let Some(front) = &front {
        argv = argv.behind(front.strings());
        measures = stack::measure(&argv, &envp, task.space.as_mut(), limit)?;
    } else if measures.0.count == 0 {
        // As Linux: no program is without its name.
        argv = argv.behind(&[0]);
        measures = stack::measure(&argv, &envp, task.space.as_mut(), limit)?;
    }
    let image = Image::read(file)?;
    let mut random = [0; 16];
    crate::syscall::fill_random(tasks, &mut random);
    let task = tasks.get_mut(slot);
    let (uid, gid) = rights(task, file);
    let mut space = Space::new(mm()).map_err(|_| Errno::ENOMEM)?;
    task.limit_space(&space);
    let program = match load::load(&image, file, &mut space) {
        Err(error) => {
            if is_planted(Mutation::ExecUndo) {
                core::mem::forget(space);
            }
            return Err(error);
        }
        Ok(program) => program,
    };
    let stack = Stack {
        program: &program,
        path,
        argv,
        envp,
        measures,
        random,
        limit,
        executable: image.wants_executable_stack(),
        uid,
        gid,
    };
    let sp = stack.build(task.space.as_mut(), &mut space)?;
    Ok(Loaded {
        entry: program.entry,
        sp,
        uid,
        gid,
        space,
    })
}

/// Whose the program of a file will be: its owner's, if it has the bits for that (Linux fs/exec.c:
/// `bprm_fill_uid`).
fn rights(task: &Task, file: &ExecFile) -> (Ids, Ids) {
    let cred = task.cred();
    let (mut uid, mut gid) = (cred.uid, cred.gid);
    let of = file.guarded();
    if !task.prctl.no_new_privs {
        if of.mode & linux::S_ISUID != 0 {
            uid.effective = of.uid;
        }
        let group = linux::S_ISGID | linux::S_IXGRP;
        if of.mode & group == group {
            gid.effective = of.gid;
        }
    }
    for ids in [&mut uid, &mut gid] {
        (ids.saved, ids.fs) = (ids.effective, ids.effective);
    }
    (uid, gid)
}

/// Who runs a script, and its scripts; `file` becomes the file of the last one. None if it is none.
///
/// # Errors
/// ELOOP if there are too many; those of a walk; ENOEXEC.
fn interpreter(task: &Task, file: &mut ExecFile, path: &[u8]) -> Result<Option<Front>, Errno> {
    let mut front: Option<Front> = None;
    for _ in 0..=MAX_DEPTH {
        let name = front.as_ref().map_or(path, Front::path);
        let Some(next) = Front::of(file, name, front.as_ref())? else {
            return Ok(front);
        };
        *file = fs::open_exec(task, next.path())?;
        front = Some(next);
    }
    Err(Errno::ELOOP)
}
