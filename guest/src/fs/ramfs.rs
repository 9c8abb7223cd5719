//! The one file system there is, and how it comes to its first files.

use super::{
    cgroup::CgroupDir,
    clock,
    cpio::{CpioError, Entries, Entry},
    dentry::Dentry,
    device::Device,
    file::{OpenFile, Opened},
    inode::{Content, Inode, Kind},
    memory::mm,
    object::{Bytes, Shared},
    path::{AtEnd, Last, Origin, Resolved, resolve},
    pipe::Pipe,
    proc::ProcNode,
    table::Files,
};
use crate::cred::Viewer;
use core::{fmt, sync::atomic::Ordering::Relaxed};
use linux_raw_sys::general as linux;
use pagelab_abi::{PAGE_SIZE, errno::Errno};
use pagelab_mm::{FileId, memcg::GroupId};

/// Why there is no file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RamfsError {
    /// The archive is corrupt.
    Cpio(CpioError),
    /// An entry cannot be made: which, by its number from 1, and why.
    Entry(usize, Errno),
    /// There is no memory for even the first directories.
    NoMemory,
}

impl fmt::Display for RamfsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpio(error) => error.fmt(f),
            Self::Entry(number, errno) => write!(
                f,
                "entry {number} of the initial ramfs cannot be unpacked: {errno}"
            ),
            Self::NoMemory => f.write_str("too little memory for a file system"),
        }
    }
}

impl core::error::Error for RamfsError {}

impl From<CpioError> for RamfsError {
    fn from(error: CpioError) -> Self {
        Self::Cpio(error)
    }
}

/// The file system. Its value owns all that has a name.
pub(crate) struct Ramfs {
    root: Shared<Dentry>,
}

impl Ramfs {
    /// A file system with the entries of an archive, and with /dev and /proc. Nothing is left of it
    /// if that fails.
    ///
    /// # Errors
    /// [`RamfsError`].
    pub(crate) fn mount(archive: &[u8]) -> Result<Self, RamfsError> {
        let fs = Self::empty().map_err(|_| RamfsError::NoMemory)?;
        let mut links = Links::new(archive);
        for (index, entry) in Entries::of(archive).enumerate() {
            let entry = entry?;
            fs.add(&entry, &mut links)
                .map_err(|errno| RamfsError::Entry(index + 1, errno))?;
        }
        fs.add_special().map_err(|_| RamfsError::NoMemory)?;
        Ok(fs)
    }

    fn empty() -> Result<Self, Errno> {
        let inode = Inode::create(Kind::Directory, 0o755)?;
        inode.nlink.store(2, Relaxed);
        let root = Dentry::create(b"/", inode, None)?;
        Ok(Self { root })
    }

    /// What the first process has: nothing to read, and two lines to write to.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn first_files(&self) -> Result<Files, Errno> {
        let mut files = Files::empty(self.root.clone());
        let streams = [
            (Device::Null, linux::O_RDONLY),
            (Device::Tty, linux::O_WRONLY),
            (Device::Stderr, linux::O_WRONLY),
        ];
        for (fd, (device, flags)) in (0..).zip(streams) {
            let inode = Inode::create(Kind::Device(device), 0o600)?;
            inode.nlink.store(1, Relaxed);
            let dentry = Dentry::create(b"stream", inode, None)?;
            let file = OpenFile::create(Opened::Device(device), dentry, flags)?;
            drop(files.put(fd, file, false)?);
        }
        Ok(files)
    }

    /// The content of a regular file, which lives as long as the result.
    ///
    /// # Errors
    /// Those of a walk; EACCES if it is something else.
    pub(crate) fn content(&self, path: &[u8]) -> Result<Content, Errno> {
        match &self.walk(path)?.existing()?.inode.kind {
            Kind::Regular(content) => Ok(content.clone()),
            _ => Err(Errno::EACCES),
        }
    }

    /// The root of all names.
    pub(super) fn root(&self) -> &Shared<Dentry> {
        &self.root
    }

    /// Puts a directory into the root, in the place of what is there.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn mount_point(
        &self,
        path: &str,
        inode: Shared<Inode>,
    ) -> Result<Shared<Dentry>, Errno> {
        let place = self.walk(path.as_bytes())?;
        if let Some(old) = &place.found {
            // What the archive has there is covered, as by a mount.
            old.clear();
            old.remove();
        }
        self.root
            .add(path.trim_start_matches('/').as_bytes(), inode)
    }

    fn walk(&self, path: &[u8]) -> Result<Resolved, Errno> {
        let origin = Origin {
            root: &self.root,
            start: &self.root,
            pid: 0,
            who: Viewer::ROOT,
            exe: None,
        };
        resolve(&origin, path, AtEnd::Follow)
    }

    /// Where a new name belongs. Directories on the way that are missing are made, as an archive
    /// may leave them out.
    fn place(&self, path: &[u8]) -> Result<Resolved, Errno> {
        for (at, _) in path.iter().enumerate().filter(|&(_, &byte)| byte == b'/') {
            if at == 0 {
                continue;
            }
            let above = self.walk(&path[..at])?;
            if above.found.is_none() {
                let inode = Inode::create(Kind::Directory, 0o755)?;
                above.parent.add(above.name(), inode)?;
            }
        }
        let origin = Origin {
            root: &self.root,
            start: &self.root,
            pid: 0,
            who: Viewer::ROOT,
            exe: None,
        };
        resolve(&origin, path, AtEnd::Keep)
    }

    /// Makes what an entry says. As Linux's own unpacking does it, a later entry takes the place of
    /// an earlier one.
    fn add(&self, entry: &Entry<'_>, links: &mut Links<'_>) -> Result<(), Errno> {
        let place = self.place(entry.name)?;
        let kind = entry.mode & linux::S_IFMT;
        let mtime = u64::from(entry.mtime) * 1_000_000_000;
        if place.last != Last::Name {
            return Ok(());
        }
        if let Some(old) = &place.found {
            if old.inode.is_dir() && kind == linux::S_IFDIR {
                old.inode.mode.store(entry.mode & 0o7777, Relaxed);
                return Ok(());
            }
            if old.inode.is_dir() && !old.is_empty() {
                return Err(Errno::ENOTEMPTY);
            }
            old.remove();
        }
        if kind == linux::S_IFREG
            && let Some(first) = links.first_of(entry)
        {
            let first = self.walk(first)?.existing()?;
            if !entry.content.is_empty()
                && let Kind::Regular(content) = &first.inode.kind
            {
                fill(content.id(), entry.content)?;
            }
            place.parent.add(place.name(), first.inode.clone())?;
            return Ok(());
        }
        let kind = match kind {
            linux::S_IFDIR => Kind::Directory,
            linux::S_IFLNK => Kind::Symlink(Bytes::copy(entry.content)?),
            linux::S_IFREG => {
                let content = Content::new()?;
                fill(content.id(), entry.content)?;
                Kind::Regular(content)
            }
            linux::S_IFCHR => {
                let device = Device::NAMED.iter().find(|it| it.1.numbers() == entry.rdev);
                // Others would open nothing.
                let Some((_, device)) = device else {
                    return Ok(());
                };
                Kind::Device(*device)
            }
            linux::S_IFIFO => Kind::Fifo(Pipe::create()?),
            // Block devices and sockets are not there to be used.
            _ => return Ok(()),
        };
        let inode = Inode::create(kind, entry.mode)?;
        inode.uid.store(entry.uid, Relaxed);
        inode.gid.store(entry.gid, Relaxed);
        let dentry = place.parent.add(place.name(), inode)?;
        dentry.inode.mtime.store(mtime.max(clock::now()), Relaxed);
        Ok(())
    }

    /// /dev and /proc, /tmp.
    fn add_special(&self) -> Result<(), Errno> {
        let dev = self.directory(b"/dev", 0o755)?;
        for (name, device) in Device::NAMED {
            if dev.child(name.as_bytes()).is_none() {
                let inode = Inode::create(Kind::Device(device), 0o666)?;
                dev.add(name.as_bytes(), inode)?;
            }
        }
        self.directory(b"/tmp", 0o1777)?;
        let proc = self.walk(b"/proc")?;
        if let Some(old) = &proc.found {
            // What the archive has there is covered, as by a mount.
            old.clear();
            old.remove();
        }
        let inode = Inode::create(Kind::Proc(ProcNode::Root), 0o555)?;
        self.root.add(b"proc", inode)?;
        Ok(())
    }

    /// /sys/fs/cgroup, whose top is a memory group, or the root group.
    ///
    /// # Errors
    /// ENOMEM; ENOTDIR if the archive has something else in the way.
    pub(crate) fn add_cgroup(&self, top: Option<GroupId>) -> Result<(), Errno> {
        self.directory(b"/sys", 0o555)?;
        let fs = self.directory(b"/sys/fs", 0o755)?;
        if let Some(old) = fs.child(b"cgroup") {
            // What the archive has there is covered, as by a mount.
            old.clear();
            old.remove();
        }
        let inode = Inode::create(Kind::Cgroup(CgroupDir::top(top)), 0o755)?;
        fs.add(b"cgroup", inode)?;
        Ok(())
    }

    /// A directory, made if it is not there.
    fn directory(&self, path: &[u8], mode: u32) -> Result<Shared<Dentry>, Errno> {
        let place = self.walk(path)?;
        match &place.found {
            Some(dentry) => Ok(dentry.clone()),
            None => {
                let inode = Inode::create(Kind::Directory, mode)?;
                place.parent.add(place.name(), inode)
            }
        }
    }
}

impl Drop for Ramfs {
    fn drop(&mut self) {
        self.root.clear();
    }
}

/// Writes a file's whole content. Pages that are all zeros stay holes, as memory is scarce.
fn fill(file: FileId, content: &[u8]) -> Result<(), Errno> {
    let page = PAGE_SIZE as usize;
    for (index, bytes) in content.chunks(page).enumerate() {
        let written = mm().file_write(file, (index * page) as u64, bytes);
        if written != Ok(bytes.len()) {
            return Err(Errno::ENOMEM);
        }
    }
    Ok(())
}

/// Files of several names: in an archive, entries of one inode.
struct Links<'a> {
    archive: &'a [u8],
}

impl<'a> Links<'a> {
    const fn new(archive: &'a [u8]) -> Self {
        Self { archive }
    }

    /// The name of an earlier entry for the same file. Looked for in the archive itself, since few
    /// files have several names.
    fn first_of(&mut self, entry: &Entry<'_>) -> Option<&'a [u8]> {
        if entry.nlink < 2 || entry.mode & linux::S_IFMT == linux::S_IFDIR {
            return None;
        }
        let first = Entries::of(self.archive)
            .flatten()
            .find(|other| other.ino == entry.ino && other.mode & linux::S_IFMT == linux::S_IFREG)?;
        (first.name != entry.name).then_some(first.name)
    }
}
