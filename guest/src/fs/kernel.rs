//! Files as the rest of the kernel sees them: programs to execute, and a task's system calls.

use super::{
    Caller, Content, Files, Program, Ramfs, Stop, call,
    cpio::Entries,
    dentry::Dentry,
    device::Device,
    file::Opened,
    inode::Kind,
    object::{Bytes, Shared},
    path::{AtEnd, Origin, resolve},
};
use crate::{
    cred::Guarded,
    memory::mm,
    signal,
    syscall::{Args, Outcome},
    task::{Space, Task, WaitFor},
};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use pagelab_mm::{
    page_cache::{FileError, FileId},
    user_mm::FileMapping,
};

/// A program's file.
pub(crate) struct ExecFile {
    content: Content,
    dentry: Shared<Dentry>,
}

impl ExecFile {
    /// Its content, to map. It stays as long as this value or a mapping.
    pub(crate) fn id(&self) -> FileId {
        self.content.id()
    }

    /// Its bytes.
    pub(crate) fn len(&self) -> u64 {
        mm().file_size(self.content.id())
    }

    /// Whose it is, and its permissions.
    pub(crate) fn guarded(&self) -> Guarded {
        self.dentry.inode.guarded()
    }

    /// Fills `buf` from a place in the file on, and says how much of it.
    ///
    /// # Errors
    /// ENOMEM if a page cannot be looked at; EIO and its like if the store does not give it.
    pub(crate) fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        mm().file_read(self.content.id(), at, buf)
            .map_err(FileError::errno)
    }
}

/// The file of a program.
///
/// # Errors
/// Those of a walk; EACCES if it is no regular file, or the task may not execute it.
pub(crate) fn open_exec(task: &Task, path: &[u8]) -> Result<ExecFile, Errno> {
    let files = task.files.as_ref().ok_or(Errno::ENOENT)?;
    let origin = Origin {
        root: &files.root,
        start: &files.cwd,
        pid: task.pid().0,
        who: task.cred().viewer(),
        exe: files.exe.as_ref(),
    };
    let dentry = resolve(&origin, path, AtEnd::Follow)?.existing()?;
    let Kind::Regular(content) = &dentry.inode.kind else {
        return Err(Errno::EACCES);
    };
    origin.who.may(linux::X_OK, dentry.inode.guarded())?;
    Ok(ExecFile {
        content: content.clone(),
        dentry: dentry.clone(),
    })
}

/// The content of a file of an archive.
pub(crate) fn file_of<'a>(archive: &'a [u8], path: &str) -> Option<&'a [u8]> {
    let path = path.trim_start_matches('/').as_bytes();
    let mut entries = Entries::of(archive).flatten();
    let named = |name: &[u8]| name.strip_prefix(b"./").unwrap_or(name) == path;
    entries.find_map(|entry| named(entry.name).then_some(entry.content))
}

impl Files {
    /// The files of the first process.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn new(ramfs: &Ramfs) -> Result<Self, Errno> {
        ramfs.first_files()
    }

    /// A new program begins: what it shall not have is closed.
    pub(crate) fn exec(&mut self, file: &ExecFile) {
        self.exe = Some(file.dentry.clone());
        self.close_on_exec();
    }
}

/// What mmap maps through a descriptor, from a page on. None of /dev/zero: memory of zeros. `stores`: what
/// is stored there shall be seen by others.
///
/// # Errors
/// EBADF; EPERM of what is sealed; ENODEV of what has no pages; EACCES if that could not even be read.
pub(crate) fn mapping(
    task: &Task,
    fd: u64,
    pgoff: u64,
    stores: bool,
) -> Result<Option<FileMapping>, Errno> {
    let files = task.files.as_ref().ok_or(Errno::EBADF)?;
    let file = files.get(fd as u32)?;
    match &file.opened {
        Opened::Regular(content) => {
            let seals = linux::F_SEAL_WRITE | linux::F_SEAL_FUTURE_WRITE;
            let is_sealed = file.dentry.inode.is_sealed(seals);
            if is_sealed && stores {
                return Err(Errno::EPERM);
            }
            Ok(Some(FileMapping {
                file: content.id(),
                pgoff,
                may_read: file.is_readable(),
                may_write: file.is_writable() && !is_sealed,
            }))
        }
        Opened::Device(Device::Zero) => Ok(None),
        Opened::Path => Err(Errno::EBADF),
        _ if !file.is_readable() => Err(Errno::EACCES),
        _ => Err(Errno::ENODEV),
    }
}

/// A task, while its files are in use.
struct Running<'a> {
    space: &'a mut Space,
}

impl Program for Running<'_> {
    fn load(&mut self, at: u64, buf: &mut [u8]) -> Result<(), usize> {
        self.space.read(at, buf).map_err(|fault| fault.copied)
    }

    fn store(&mut self, at: u64, buf: &[u8]) -> Result<(), usize> {
        self.space.write(at, buf).map_err(|fault| fault.copied)
    }
}

/// A path in a task's memory, without its NUL.
///
/// # Errors
/// EFAULT; ENAMETOOLONG; ENOMEM.
pub(crate) fn load_path(task: &mut Task, at: u64) -> Result<Bytes, Errno> {
    let space = task.space.as_mut().ok_or(Errno::EFAULT)?;
    let program: &mut dyn Program = &mut Running { space };
    program.path(at)
}

/// Makes a system call. None if it is not one on files.
pub(crate) fn syscall(task: &mut Task, number: u32, args: &Args) -> Option<Outcome> {
    let pid = task.pid().0;
    let nofile = task.rlimits[linux::RLIMIT_NOFILE as usize].current;
    let (Some(files), Some(space), cred) = task.files_and_space() else {
        // A task without memory cannot be here.
        return Some(Outcome::Error(Errno::EFAULT));
    };
    let mut running = Running { space };
    let mut caller = Caller {
        files,
        program: &mut running,
        pid,
        cred,
        nofile,
    };
    let answer = call(&mut caller, number, args)?;
    Some(match answer {
        Ok(value) => Outcome::Value(value),
        Err(Stop::Error(errno)) => Outcome::Error(errno),
        Err(Stop::Wait) => Outcome::Wait(WaitFor::File),
        Err(Stop::BrokenPipe) => {
            signal::send_kernel(task, linux::SIGPIPE);
            Outcome::Error(Errno::EPIPE)
        }
    })
}
