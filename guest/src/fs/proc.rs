//! /proc: texts that are made when they are opened.

use super::{
    dentry::Dentry,
    fail::FailFile,
    inode::{Content, Inode, Kind},
    memory::mm,
    object::{Bytes, Shared},
    path::{Origin, PATH_MAX},
    sysctl::Sysctl,
    task::{self, NoText, system_text},
    user::Program,
};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use linux_raw_sys::general as linux;
use pagelab_abi::{errno::Errno, view::ViewKind};

/// Name of the directory of a process's threads.
const TASKS: &[u8] = b"task";

/// Name of the directory of settings.
const SYS: &[u8] = b"sys";

/// Name of the directory in it of those of the memory manager.
const SYS_VM: &[u8] = b"vm";

/// A file in a process's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PidFile {
    /// Areas of its memory.
    Maps,
    /// A summary for people.
    Status,
    /// Its memory in seven numbers.
    Statm,
    /// A summary for programs.
    Stat,
    /// Its name.
    Comm,
    /// Its arguments.
    Cmdline,
    /// How bad it is, as the OOM killer sees it.
    OomScore,
    /// What is added to that.
    OomScoreAdj,
    /// Areas of its memory, with what is there of each.
    Smaps,
    /// A word for each page of its memory.
    Pagemap,
}

impl PidFile {
    const ALL: [(&'static [u8], Self); 10] = [
        (b"maps", Self::Maps),
        (b"status", Self::Status),
        (b"statm", Self::Statm),
        (b"stat", Self::Stat),
        (b"comm", Self::Comm),
        (b"cmdline", Self::Cmdline),
        (b"oom_score", Self::OomScore),
        (b"oom_score_adj", Self::OomScoreAdj),
        (b"smaps", Self::Smaps),
        (b"pagemap", Self::Pagemap),
    ];
}

/// A file about the whole machine that is no view of the memory manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SystemFile {
    /// Time that the CPU worked and did not.
    Stat,
    /// How many processes run.
    Loadavg,
    /// Time since boot.
    Uptime,
}

impl SystemFile {
    const ALL: [(&'static [u8], Self); 3] = [
        (b"stat", Self::Stat),
        (b"loadavg", Self::Loadavg),
        (b"uptime", Self::Uptime),
    ];
}

/// Something in /proc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcNode {
    /// /proc itself.
    Root,
    /// The directory of a process.
    Pid(u32),
    /// A view of the memory manager.
    View(ViewKind),
    /// The directory of its threads, of which it has one.
    Tasks(u32),
    /// Another text about the machine.
    System(SystemFile),
    /// A text of a process.
    PidFile(u32, PidFile),
    /// /proc/sys.
    Sys,
    /// /proc/sys/vm.
    SysVm,
    /// A setting there.
    Sysctl(Sysctl),
    /// The part of the process with this number in fault injection.
    Fail(u32, FailFile),
}

impl ProcNode {
    /// Whether it is a directory.
    pub(super) const fn is_dir(self) -> bool {
        matches!(
            self,
            Self::Root | Self::Pid(_) | Self::Tasks(_) | Self::Sys | Self::SysVm
        )
    }

    /// Whether it is made when it is opened.
    pub(super) const fn is_text(self) -> bool {
        match self {
            Self::View(_) | Self::System(_) => true,
            Self::PidFile(_, file) => !matches!(file, PidFile::Pagemap),
            _ => false,
        }
    }

    /// Its type, as `st_mode` has it.
    pub(super) const fn file_type(self) -> u32 {
        if self.is_dir() {
            linux::S_IFDIR
        } else {
            linux::S_IFREG
        }
    }

    /// The process that it is of.
    const fn process(self) -> Option<u32> {
        match self {
            Self::Pid(pid) | Self::Tasks(pid) | Self::PidFile(pid, _) | Self::Fail(pid, _) => {
                Some(pid)
            }
            _ => None,
        }
    }

    /// The process into which one must be allowed to look to open this (Linux: `proc_mem_open`).
    pub(super) const fn private_to(self) -> Option<u32> {
        match self {
            Self::PidFile(pid, PidFile::Maps | PidFile::Smaps | PidFile::Pagemap) => Some(pid),
            _ => None,
        }
    }

    const fn mode(self) -> u32 {
        match self {
            Self::Root | Self::Pid(_) | Self::Tasks(_) | Self::Sys | Self::SysVm => 0o555,
            Self::PidFile(_, PidFile::OomScoreAdj) | Self::Fail(..) | Self::Sysctl(_) => 0o644,
            Self::View(ViewKind::Slabinfo | ViewKind::Pagetypeinfo)
            | Self::PidFile(_, PidFile::Pagemap) => 0o400,
            Self::View(_) | Self::System(_) | Self::PidFile(..) => 0o444,
        }
    }
}

/// A number in decimal digits, without a sign or leading zeros.
fn number(name: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(name).ok()?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    is_plain.then(|| text.parse().ok()).flatten()
}

/// A number as text.
pub(super) struct Decimal {
    digits: [u8; 10],
    len: usize,
}

impl Decimal {
    fn of(number: u32) -> Self {
        let mut text = Self {
            digits: [0; 10],
            len: 0,
        };
        // Ten digits are enough for every number.
        let _ = write!(text, "{number}");
        text
    }

    fn bytes(&self) -> &[u8] {
        &self.digits[..self.len]
    }
}

impl Write for Decimal {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let to = self
            .digits
            .get_mut(self.len..self.len + text.len())
            .ok_or(fmt::Error)?;
        to.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// The entry of this name in a directory of /proc, for the process that walks.
///
/// # Errors
/// ENOMEM.
pub(super) fn look_up(
    directory: &Shared<Dentry>,
    node: ProcNode,
    name: &[u8],
    origin: &Origin<'_>,
) -> Result<Option<Shared<Dentry>>, Errno> {
    let kind = match node {
        ProcNode::Root => in_root(name, origin.pid)?,
        ProcNode::Pid(of) if of == origin.pid && name == b"exe" => match origin.exe {
            Some(exe) => Some(Kind::Symlink(path_of(exe, origin.root)?)),
            None => None,
        },
        ProcNode::Pid(of) if of == origin.pid || task::exists(of) => {
            of_process(of, name).map(Kind::Proc)
        }
        ProcNode::Sys if name == SYS_VM => Some(Kind::Proc(ProcNode::SysVm)),
        ProcNode::SysVm => Sysctl::ALL
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, setting)| Kind::Proc(ProcNode::Sysctl(setting))),
        ProcNode::Tasks(of) if number(name) == Some(of) => Some(Kind::Proc(ProcNode::Pid(of))),
        _ => None,
    };
    let Some(kind) = kind else { return Ok(None) };
    let mode = match &kind {
        Kind::Proc(node) => node.mode(),
        _ => 0o777,
    };
    let owner = match &kind {
        Kind::Proc(node) => node.process().and_then(task::owner),
        _ => None,
    };
    let inode = Inode::create(kind, mode)?;
    inode.nlink.store(1, Relaxed);
    if let Some((uid, gid)) = owner {
        inode.uid.store(uid, Relaxed);
        inode.gid.store(gid, Relaxed);
    }
    Dentry::create(name, inode, Some(directory.clone())).map(Some)
}

/// A file of this name of a process.
fn of_process(pid: u32, name: &[u8]) -> Option<ProcNode> {
    let files = PidFile::ALL.map(|(name, file)| (name, ProcNode::PidFile(pid, file)));
    let fails = FailFile::ALL.map(|(name, file)| (name, ProcNode::Fail(pid, file)));
    files
        .into_iter()
        .chain(fails)
        .chain([(TASKS, ProcNode::Tasks(pid))])
        .find(|(known, _)| *known == name)
        .map(|(_, node)| node)
}

/// A file's path. That of a file that was removed leads nowhere.
fn path_of(dentry: &Shared<Dentry>, root: &Shared<Dentry>) -> Result<Bytes, Errno> {
    let mut path = Bytes::zeroed(PATH_MAX)?;
    match dentry.path_to(root, &mut path) {
        Ok(start) => Bytes::copy(&path[start..]),
        Err(Errno::ENOENT) => Bytes::copy(b"(deleted)"),
        Err(errno) => Err(errno),
    }
}

fn in_root(name: &[u8], pid: u32) -> Result<Option<Kind>, Errno> {
    if name == b"self" {
        return Ok(Some(Kind::Symlink(Bytes::copy(Decimal::of(pid).bytes())?)));
    }
    if name == SYS {
        return Ok(Some(Kind::Proc(ProcNode::Sys)));
    }
    if let Some(of) = number(name).filter(|of| *of == pid || task::exists(*of)) {
        return Ok(Some(Kind::Proc(ProcNode::Pid(of))));
    }
    let system = SystemFile::ALL
        .into_iter()
        .find(|(known, _)| *known == name);
    if let Some((_, file)) = system {
        return Ok(Some(Kind::Proc(ProcNode::System(file))));
    }
    let view = ViewKind::ALL
        .into_iter()
        .find(|kind| kind.name().as_bytes() == name);
    Ok(view.map(|kind| Kind::Proc(ProcNode::View(kind))))
}

/// Place in a listing of /proc from which on processes are listed, by their numbers (Linux:
/// `TGID_OFFSET`).
const FIRST_PID: usize = 256;

/// An entry of a listing.
pub(super) enum Listed {
    /// Of a name that is always there.
    Name(&'static [u8]),
    /// Of a process.
    Pid(Decimal),
}

impl Listed {
    /// The name.
    pub(super) fn name(&self) -> &[u8] {
        match self {
            Self::Name(name) => name,
            Self::Pid(number) => number.bytes(),
        }
    }
}

/// What a listing of /proc or of a process's directory shows from a place in it on, and the place
/// after that.
pub(super) fn listed(node: ProcNode, place: usize) -> Option<(Listed, usize)> {
    let fixed = |name| (Listed::Name(name), place + 1);
    match node {
        ProcNode::Root => {
            let views = ViewKind::ALL.iter().map(|kind| kind.name().as_bytes());
            let system = SystemFile::ALL.iter().map(|(name, _)| *name);
            let mut names = views.chain(system).chain([&b"self"[..], SYS]);
            names.nth(place).map(fixed).or_else(|| {
                let pid = task::next(place.saturating_sub(FIRST_PID) as u32)?;
                let after = FIRST_PID + pid as usize + 1;
                Some((Listed::Pid(Decimal::of(pid)), after))
            })
        }
        ProcNode::Pid(_) => {
            let files = PidFile::ALL.iter().map(|(name, _)| *name);
            let fails = FailFile::ALL.iter().map(|(name, _)| *name);
            files.chain(fails).chain([TASKS]).nth(place).map(fixed)
        }
        ProcNode::Sys => [SYS_VM].get(place).copied().map(fixed),
        ProcNode::SysVm => Sysctl::ALL.get(place).map(|(name, _)| fixed(name)),
        _ => None,
    }
}

/// Makes a text. Files in it are named as seen from `root`.
///
/// # Errors
/// ENOMEM; ESRCH if the process has gone.
pub(super) fn text(
    node: ProcNode,
    root: &Shared<Dentry>,
    program: &mut dyn Program,
) -> Result<Content, Errno> {
    let content = Content::new()?;
    let mut out = Text {
        content,
        written: 0,
        buffer: [0; 256],
        buffered: 0,
    };
    let written = match node {
        ProcNode::View(kind) => mm().view(kind, &mut out).map_err(NoText::from),
        ProcNode::System(file) => system_text(file, &mut out).map_err(NoText::from),
        ProcNode::PidFile(pid, file) => program.proc_text(pid, file, root, &mut out),
        _ => Ok(()),
    };
    let written = written.and_then(|()| Ok(out.flush()?));
    match written {
        Ok(()) => Ok(out.content),
        Err(NoText::Gone) => Err(Errno::ESRCH),
        Err(NoText::Full) => Err(Errno::ENOMEM),
    }
}

/// A file that grows with what is written to it.
struct Text {
    content: Content,
    written: u64,
    buffer: [u8; 256],
    buffered: usize,
}

impl Text {
    fn push(&mut self, byte: u8) -> fmt::Result {
        if self.buffered == self.buffer.len() {
            self.flush()?;
        }
        self.buffer[self.buffered] = byte;
        self.buffered += 1;
        Ok(())
    }

    fn flush(&mut self) -> fmt::Result {
        let bytes = &self.buffer[..self.buffered];
        let written = mm().file_write(self.content.id(), self.written, bytes);
        if written != Ok(bytes.len()) {
            return Err(fmt::Error);
        }
        self.written += bytes.len() as u64;
        self.buffered = 0;
        Ok(())
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().try_for_each(|byte| self.push(byte))
    }

    /// One below 256 is a byte: names and arguments need not be text.
    fn write_char(&mut self, char: char) -> fmt::Result {
        match u8::try_from(char) {
            Ok(byte) => self.push(byte),
            Err(_) => self.write_str(char.encode_utf8(&mut [0; 4])),
        }
    }
}
