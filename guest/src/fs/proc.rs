//! /proc: texts that are made when they are opened.

use super::{
    dentry::Dentry,
    fail::FailFile,
    inode::{Content, Inode, Kind},
    memory::mm,
    object::{Bytes, Shared},
    path::{Origin, PATH_MAX},
    user::Program,
};
use core::fmt::{self, Write};
use linux_raw_sys::general as linux;
use pagelab_abi::{errno::Errno, view::ViewKind};

/// Name of the directory of a process's threads.
const TASKS: &[u8] = b"task";

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
    /// How the OOM killer sees it.
    OomScoreAdj,
}

impl PidFile {
    const ALL: [(&'static [u8], Self); 6] = [
        (b"maps", Self::Maps),
        (b"status", Self::Status),
        (b"statm", Self::Statm),
        (b"stat", Self::Stat),
        (b"comm", Self::Comm),
        (b"oom_score_adj", Self::OomScoreAdj),
    ];
}

/// Something in /proc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcNode {
    /// /proc itself.
    Root,
    /// The directory of the process that looks.
    Pid(u32),
    /// A view of the memory manager.
    View(ViewKind),
    /// The directory of its threads, of which it has one.
    Tasks(u32),
    /// A text of the process that looks.
    PidFile(PidFile),
    /// The part of the process with this number in fault injection.
    Fail(u32, FailFile),
}

impl ProcNode {
    /// Whether it is a directory.
    pub(super) const fn is_dir(self) -> bool {
        matches!(self, Self::Root | Self::Pid(_) | Self::Tasks(_))
    }

    /// Whether it is made when it is opened.
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::View(_) | Self::PidFile(_))
    }

    /// Its type, as `st_mode` has it.
    pub(super) const fn file_type(self) -> u32 {
        if self.is_dir() {
            linux::S_IFDIR
        } else {
            linux::S_IFREG
        }
    }

    const fn mode(self) -> u32 {
        match self {
            Self::Root | Self::Pid(_) | Self::Tasks(_) => 0o555,
            Self::PidFile(PidFile::OomScoreAdj) | Self::Fail(..) => 0o644,
            Self::View(ViewKind::Slabinfo | ViewKind::Pagetypeinfo) => 0o400,
            Self::View(_) | Self::PidFile(_) => 0o444,
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
struct Decimal {
    digits: [u8; 10],
    len: usize,
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
        ProcNode::Pid(of) if of == origin.pid => of_process(of, name).map(Kind::Proc),
        ProcNode::Tasks(of) if of == origin.pid && number(name) == Some(of) => {
            Some(Kind::Proc(ProcNode::Pid(of)))
        }
        _ => None,
    };
    let Some(kind) = kind else { return Ok(None) };
    let mode = match &kind {
        Kind::Proc(node) => node.mode(),
        _ => 0o777,
    };
    let inode = Inode::create(kind, mode)?;
    inode.nlink.store(1, core::sync::atomic::Ordering::Relaxed);
    Dentry::create(name, inode, Some(directory.clone())).map(Some)
}

/// A file of this name of a process.
fn of_process(pid: u32, name: &[u8]) -> Option<ProcNode> {
    let files = PidFile::ALL.map(|(name, file)| (name, ProcNode::PidFile(file)));
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
        let mut text = Decimal {
            digits: [0; 10],
            len: 0,
        };
        // Ten digits are enough for every number.
        let _ = write!(text, "{pid}");
        return Ok(Some(Kind::Symlink(Bytes::copy(&text.digits[..text.len])?)));
    }
    if number(name) == Some(pid) {
        return Ok(Some(Kind::Proc(ProcNode::Pid(pid))));
    }
    let view = ViewKind::ALL
        .into_iter()
        .find(|kind| kind.name().as_bytes() == name);
    Ok(view.map(|kind| Kind::Proc(ProcNode::View(kind))))
}

/// What a listing of /proc or of a process's directory shows at a place in it.
pub(super) fn listed(node: ProcNode, place: usize) -> Option<&'static [u8]> {
    match node {
        ProcNode::Root => {
            let views = ViewKind::ALL.iter().map(|kind| kind.name().as_bytes());
            views.chain([&b"self"[..]]).nth(place)
        }
        ProcNode::Pid(_) => {
            let files = PidFile::ALL.iter().map(|(name, _)| *name);
            let fails = FailFile::ALL.iter().map(|(name, _)| *name);
            files.chain(fails).chain([TASKS]).nth(place)
        }
        _ => None,
    }
}

/// Makes a text.
///
/// # Errors
/// ENOMEM.
pub(super) fn text(node: ProcNode, program: &mut dyn Program) -> Result<Content, Errno> {
    let content = Content::new()?;
    let mut out = Text {
        content,
        written: 0,
        buffer: [0; 256],
        buffered: 0,
    };
    let written = match node {
        ProcNode::View(kind) => write_view(kind, &mut out),
        ProcNode::PidFile(file) => program.proc_text(file, &mut out),
        ProcNode::Root | ProcNode::Pid(_) | ProcNode::Tasks(_) | ProcNode::Fail(..) => Ok(()),
    };
    written
        .and_then(|()| out.flush())
        .map_err(|fmt::Error| Errno::ENOMEM)?;
    Ok(out.content)
}

fn write_view(kind: ViewKind, out: &mut dyn Write) -> fmt::Result {
    let mm = mm();
    match kind {
        ViewKind::Buddyinfo => mm.buddyinfo(out),
        ViewKind::Zoneinfo => mm.zoneinfo(out),
        ViewKind::Slabinfo => mm.slabinfo(out),
        ViewKind::Meminfo => mm.meminfo(out),
        ViewKind::Vmstat => mm.vmstat(out),
        ViewKind::Pagetypeinfo => mm.pagetypeinfo(out),
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
        for &byte in text.as_bytes() {
            if self.buffered == self.buffer.len() {
                self.flush()?;
            }
            self.buffer[self.buffered] = byte;
            self.buffered += 1;
        }
        Ok(())
    }
}
