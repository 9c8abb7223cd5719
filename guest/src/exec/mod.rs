//! Programs: execve, and the first one.
//!
//! * `image`: which ELF files are programs. `load`: their segments become memory. `strings`:
//!   arguments and environment. `stack`: what a program finds on its stack.

mod image;
mod load;
mod stack;
mod strings;

use crate::{
    arch::user::UserContext,
    fs::{self, ExecFile},
    memory::mm,
    syscall::user,
    task::{Slot, Space, Tasks},
};
use image::Image;
use pagelab_abi::errno::Errno;
use stack::Stack;
use strings::{PATH_MAX, Strings};

/// Why there is no new program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The old one goes on.
    Errno(Errno),
    /// There is nothing to go on with.
    Killed,
}

impl From<Errno> for Failed {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// A program with its memory, not yet anybody's.
struct Loaded {
    space: Space,
    context: UserContext,
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
) -> Result<(), Failed> {
    let mut buffer = [0; PATH_MAX];
    let task = tasks.get_mut(slot);
    let path = {
        let space = user::space(task)?;
        user::load_string(space, path, &mut buffer, Errno::ENAMETOOLONG)?
    };
    let file = fs::open_exec(task, path)?;
    start(
        tasks,
        slot,
        file,
        path,
        Strings::User(argv),
        Strings::User(envp),
    )?;
    Ok(())
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
    let file = fs::open_exec(tasks.get_mut(slot), path)?;
    let (argv, envp) = (Strings::Kernel(argv), Strings::Kernel(envp));
    start(tasks, slot, file, path, argv, envp)
}

/// Replaces a task's program. Until the new one is complete nothing of the old one changes.
fn start(
    tasks: &mut Tasks,
    slot: Slot,
    file: ExecFile,
    path: &[u8],
    argv: Strings<'_>,
    envp: Strings<'_>,
) -> Result<(), Errno> {
    let loaded = build(tasks, slot, &file, path, argv, envp)?;
    let Loaded { space, context } = loaded;
    tasks.leave_space();
    let task = tasks.get_mut(slot);
    let old = task.replace_space(Some(space));
    task.context = context;
    task.signals.reset_handlers();
    task.signals.forget_stack();
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

#[inline(never)]
fn build(
    tasks: &mut Tasks,
    slot: Slot,
    file: &ExecFile,
    path: &[u8],
    argv: Strings<'_>,
    envp: Strings<'_>,
) -> Result<Loaded, Errno> {
    let task = tasks.get_mut(slot);
    let limit = task.stack_limit();
    let measures = stack::measure(&argv, &envp, task.space.as_mut(), limit)?;
    let image = Image::read(file)?;
    let mut random = [0; 16];
    crate::syscall::fill_random(tasks, &mut random);
    let task = tasks.get_mut(slot);
    let mut space = Space::new(mm()).map_err(|_| Errno::ENOMEM)?;
    let program = load::load(&image, file, &mut space)?;
    let stack = Stack {
        program: &program,
        path,
        argv,
        envp,
        measures,
        random,
        limit,
        executable: image.wants_executable_stack(),
    };
    let sp = stack.build(task.space.as_mut(), &mut space)?;
    Ok(Loaded {
        context: UserContext::new(program.entry, sp),
        space,
    })
}
