//! Files as the rest of the kernel sees them: programs to execute, and a task's system calls.

use super::{
    Caller, Content, Files, PidFile, Program, Ramfs, Stop, call,
    cpio::Entries,
    dentry::Dentry,
    device::Device,
    file::Opened,
    inode::Kind,
    object::Shared,
    path::{AtEnd, Origin, resolve},
};
use crate::{
    memory::mm,
    signal,
    syscall::{Args, Outcome},
    task::{Space, Task, WaitFor},
};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use linux_raw_sys::general as linux;
use pagelab_abi::{errno::Errno, task::COMM_LEN};
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
/// Those of a walk; EACCES if it is no regular file, or nobody may execute it.
pub(crate) fn open_exec(task: &Task, path: &[u8]) -> Result<ExecFile, Errno> {
    let files = task.files.as_ref().ok_or(Errno::ENOENT)?;
    let origin = Origin {
        root: &files.root,
        start: &files.cwd,
        pid: task.pid().0,
        exe: files.exe.as_ref(),
    };
    let dentry = resolve(&origin, path, AtEnd::Follow)?.existing()?;
    match &dentry.inode.kind {
        Kind::Regular(content) if dentry.inode.mode.load(Relaxed) & 0o111 != 0 => Ok(ExecFile {
            content: content.clone(),
            dentry: dentry.clone(),
        }),
        _ => Err(Errno::EACCES),
    }
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

/// What mmap maps through a descriptor, from a page on. None of /dev/zero: memory of zeros.
///
/// # Errors
/// EBADF; ENODEV of what has no pages; EACCES if that could not even be read.
pub(crate) fn mapping(task: &Task, fd: u64, pgoff: u64) -> Result<Option<FileMapping>, Errno> {
    let files = task.files.as_ref().ok_or(Errno::EBADF)?;
    let file = files.get(fd as u32)?;
    match &file.opened {
        Opened::Regular(content) => Ok(Some(FileMapping {
            file: content.id(),
            pgoff,
            may_read: file.is_readable(),
            may_write: file.is_writable(),
        })),
        Opened::Device(Device::Zero) => Ok(None),
        Opened::Path => Err(Errno::EBADF),
        _ if !file.is_readable() => Err(Errno::EACCES),
        _ => Err(Errno::ENODEV),
    }
}

/// A task, while its files are in use.
struct Running<'a> {
    space: &'a mut Space,
    pid: u32,
    ppid: u32,
    comm: [u8; COMM_LEN],
    state: char,
    oom_score_adj: i32,
}

impl Program for Running<'_> {
    fn load(&mut self, at: u64, buf: &mut [u8]) -> Result<(), usize> {
        self.space.read(at, buf).map_err(|fault| fault.copied)
    }

    fn store(&mut self, at: u64, buf: &[u8]) -> Result<(), usize> {
        self.space.write(at, buf).map_err(|fault| fault.copied)
    }

    fn proc_text(&mut self, file: PidFile, out: &mut dyn Write) -> fmt::Result {
        match file {
            PidFile::Comm => writeln!(out, "{}", self.name()),
            PidFile::OomScoreAdj => writeln!(out, "{}", self.oom_score_adj),
            PidFile::Status => self.status(out),
            PidFile::Stat => self.stat(out),
            PidFile::Statm => self.statm(out),
            PidFile::Maps => self.maps(out),
        }
    }

    fn set_oom_score_adj(&mut self, adj: i32) {
        self.oom_score_adj = adj;
    }
}

impl Running<'_> {
    /// Its name, as far as it is text.
    fn name(&self) -> &str {
        let end = self.comm.iter().position(|&byte| byte == 0);
        let bytes = &self.comm[..end.unwrap_or(COMM_LEN)];
        match core::str::from_utf8(bytes) {
            Ok(name) => name,
            Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""),
        }
    }

    /// Pages of its areas, and those that are resident.
    fn pages(&self) -> (u64, u64) {
        let total = self.space.total_vm();
        (total, self.space.resident())
    }

    fn status(&self, out: &mut dyn Write) -> fmt::Result {
        let (total, resident) = self.pages();
        let state = match self.state {
            'R' => "R (running)",
            'T' => "T (stopped)",
            'Z' => "Z (zombie)",
            _ => "S (sleeping)",
        };
        writeln!(out, "Name:\t{}", self.name())?;
        writeln!(out, "State:\t{state}")?;
        writeln!(
            out,
            "Tgid:\t{0}\nPid:\t{0}\nPPid:\t{1}",
            self.pid, self.ppid
        )?;
        writeln!(out, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0")?;
        writeln!(out, "VmSize:\t{:8} kB", total * 4)?;
        writeln!(out, "VmRSS:\t{:8} kB", resident * 4)?;
        writeln!(out, "VmSwap:\t{:8} kB", self.space.swapped() * 4)?;
        writeln!(out, "Threads:\t1")
    }

    fn stat(&self, out: &mut dyn Write) -> fmt::Result {
        let (total, resident) = self.pages();
        write!(
            out,
            "{} ({}) {} {} 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 0",
            self.pid,
            self.name(),
            self.state,
            self.ppid
        )?;
        write!(out, " {} {resident} 18446744073709551615", total * 4096)?;
        for _ in 26..=52 {
            out.write_str(" 0")?;
        }
        writeln!(out)
    }

    fn statm(&self, out: &mut dyn Write) -> fmt::Result {
        let (total, resident) = self.pages();
        writeln!(out, "{total} {resident} 0 0 0 {total} 0")
    }

    fn maps(&mut self, out: &mut dyn Write) -> fmt::Result {
        // An area knows its file, not the name by which that was opened.
        self.space.maps(out, &mut |_, _| Ok(()))
    }
}

/// Makes a system call. None if it is not one on files.
pub(crate) fn syscall(task: &mut Task, number: u32, args: &Args) -> Option<Outcome> {
    let (pid, ppid) = (task.pid().0, task.ppid().0);
    let (comm, state) = (task.comm(), task.state().letter());
    let nofile = task.rlimits[linux::RLIMIT_NOFILE as usize].current;
    let adj = task.oom_score_adj();
    let (Some(files), Some(space)) = (&mut task.files, &mut task.space) else {
        // A task without memory cannot be here.
        return Some(Outcome::Error(Errno::EFAULT));
    };
    let mut running = Running {
        space,
        pid,
        ppid,
        comm,
        state,
        oom_score_adj: adj,
    };
    let mut caller = Caller {
        files,
        program: &mut running,
        pid,
        nofile,
    };
    let answer = call(&mut caller, number, args)?;
    let new_adj = running.oom_score_adj;
    if new_adj != adj {
        task.set_oom_score_adj(new_adj);
    }
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
