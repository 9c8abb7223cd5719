//! Open file descriptions: what descriptors lead to (Linux: `struct file`).

use super::{
    dentry::Dentry,
    device::Device,
    fail::FailFile,
    inode::{Content, Kind},
    knob::Knob,
    locks::{self, Owner},
    memory::{Pools, mm},
    object::{Pooled, Shared},
    pipe::{End, Pipe},
    proc::{PidFile, ProcNode},
    reading::Reading,
};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use pagelab_mm::slab::KmemCache;

/// What is behind an open file.
pub(crate) enum Opened {
    /// A file's content.
    Regular(Content),
    /// A directory.
    Directory,
    /// A device.
    Device(Device),
    /// One end of a pipe.
    Pipe(Shared<Pipe>, End),
    /// A text of /proc, as it was when it was opened.
    Text(Content),
    /// The part of a process in fault injection.
    Fail(u32, FailFile),
    /// A setting.
    Knob(Knob),
    /// The pages of a process's memory, by its number.
    Pagemap(u32),
    /// A name without anything behind it (`O_PATH`).
    Path,
}

/// An open file.
pub(crate) struct OpenFile {
    /// What is behind it.
    pub(crate) opened: Opened,
    /// Its name, or one that was made up for it.
    pub(crate) dentry: Shared<Dentry>,
    /// Flags of open, without those that matter only then.
    pub(super) flags: AtomicU32,
    /// Where the next read or write is.
    pub(super) position: AtomicU64,
    /// How it is read.
    pub(super) reading: Reading,
    /// Errors of writing that it has been told of (Linux: `f_wb_err`).
    pub(super) wb_err: AtomicU32,
}

/// Flags that an open file keeps (Linux: `SETFL_MASK` and the access mode).
const KEPT: u32 = linux::O_ACCMODE
    | linux::O_APPEND
    | linux::O_NONBLOCK
    | linux::O_DIRECT
    | linux::O_NOATIME
    | linux::O_DSYNC
    | linux::O_SYNC
    | linux::O_NOFOLLOW
    | linux::O_DIRECTORY
    | linux::O_PATH
    | linux::O_LARGEFILE;

/// Flags that fcntl can change.
pub(super) const CHANGEABLE: u32 =
    linux::O_APPEND | linux::O_NONBLOCK | linux::O_DIRECT | linux::O_NOATIME;

impl OpenFile {
    /// Opens something.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn create(
        opened: Opened,
        dentry: Shared<Dentry>,
        flags: u32,
    ) -> Result<Shared<Self>, Errno> {
        if let Opened::Pipe(pipe, end) = &opened {
            pipe.open(*end);
        }
        let seen = match &opened {
            Opened::Regular(content) => mm().file_sample_wb_err(content.id()),
            _ => 0,
        };
        // If that fails, the end is closed by `drop`.
        Shared::new(Self {
            opened,
            dentry,
            flags: AtomicU32::new(flags & KEPT),
            position: AtomicU64::new(0),
            reading: Reading::new(),
            wb_err: AtomicU32::new(seen),
        })
    }

    /// What opening this inode leads to; none for what has to be made first.
    pub(super) fn behind(kind: &Kind) -> Option<Opened> {
        Some(match kind {
            Kind::Regular(content) => Opened::Regular(content.clone()),
            Kind::Directory | Kind::Cgroup(_) => Opened::Directory,
            Kind::CgroupFile(group, file) => Opened::Knob(Knob::Cgroup(*group, *file)),
            Kind::Device(device) => Opened::Device(*device),
            Kind::Proc(node) if node.is_dir() => Opened::Directory,
            Kind::Proc(ProcNode::Fail(pid, file)) => Opened::Fail(*pid, *file),
            Kind::Proc(ProcNode::Sysctl(setting)) => Opened::Knob(Knob::Sysctl(*setting)),
            Kind::Proc(ProcNode::PidFile(pid, PidFile::Pagemap)) => Opened::Pagemap(*pid),
            Kind::Symlink(_) | Kind::Pipe(_) | Kind::Fifo(_) | Kind::Proc(_) => return None,
        })
    }

    /// Whose its locks are.
    pub(super) fn owner(&self) -> Owner {
        Owner::File(core::ptr::from_ref(self) as u64)
    }

    /// Flags, as fcntl gives them.
    pub(super) fn flags(&self) -> u32 {
        self.flags.load(Relaxed)
    }

    /// Whether it has one of these flags.
    pub(super) fn has(&self, flags: u32) -> bool {
        self.flags() & flags != 0
    }

    /// Whether one may read.
    pub(super) fn is_readable(&self) -> bool {
        let mode = self.flags() & linux::O_ACCMODE;
        mode != linux::O_WRONLY && !self.has(linux::O_PATH)
    }

    /// Whether one may write.
    pub(super) fn is_writable(&self) -> bool {
        self.flags() & linux::O_ACCMODE != linux::O_RDONLY && !self.has(linux::O_PATH)
    }

    /// Whether it has positions.
    pub(super) fn seeks(&self) -> bool {
        match &self.opened {
            Opened::Regular(_)
            | Opened::Directory
            | Opened::Text(_)
            | Opened::Fail(..)
            | Opened::Knob(_)
            | Opened::Pagemap(_) => true,
            Opened::Device(device) => device.seeks(),
            Opened::Pipe(..) | Opened::Path => false,
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        locks::release(self.owner(), None);
        if let Opened::Pipe(pipe, end) = &self.opened {
            pipe.close(*end);
        }
    }
}

impl Pooled for OpenFile {
    fn pool(pools: &Pools) -> &KmemCache {
        &pools.filp
    }
}
