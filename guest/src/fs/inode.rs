//! Inodes: what a name stands for.

use super::{
    cgroup::{CgroupDir, CgroupFile},
    clock,
    device::Device,
    disk,
    memory::{Pools, mm},
    object::{Bytes, Pooled, Shared},
    pipe::Pipe,
    proc::ProcNode,
};
use crate::cred::Guarded;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use pagelab_ext2::layout;
use pagelab_mm::{FileId, page_cache::StoreId, slab::KmemCache};

/// A reference to a file of the page cache.
pub(crate) struct Content(FileId);

impl Content {
    /// A new, empty file.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn new() -> Result<Self, Errno> {
        mm().file_new().map(Self).map_err(|_| Errno::ENOMEM)
    }

    /// The same for memory that is shared by name.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn new_shmem() -> Result<Self, Errno> {
        mm().file_new_shmem().map(Self).map_err(|_| Errno::ENOMEM)
    }

    /// The content of a file that a store has.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn on_disk(store: StoreId, ino: u32, len: u64) -> Result<Self, Errno> {
        let file = mm().file_with_store(store, ino.into(), len);
        file.map(Self).map_err(|_| Errno::ENOMEM)
    }

    /// Its number, good as long as this value lives.
    pub(crate) const fn id(&self) -> FileId {
        self.0
    }
}

impl Clone for Content {
    fn clone(&self) -> Self {
        mm().file_get(self.0);
        Self(self.0)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        mm().file_put(self.0);
    }
}

/// What an inode is.
pub(crate) enum Kind {
    /// A file with content.
    Regular(Content),
    /// A directory; its names hang from its dentry.
    Directory,
    /// Another path.
    Symlink(Bytes),
    /// A character device.
    Device(Device),
    /// A pipe, which has no name.
    Pipe(Shared<Pipe>),
    /// A pipe that has one.
    Fifo(Shared<Pipe>),
    /// Something that /proc makes when it is looked at.
    Proc(ProcNode),
    /// The directory of a memory group.
    Cgroup(CgroupDir),
    /// A file of a memory group, by its number.
    CgroupFile(u32, CgroupFile),
}

/// Value of [`Inode::seals`] of a file without seals.
pub(super) const NEVER_SEALED: u32 = u32::MAX;

/// An inode.
pub(crate) struct Inode {
    /// Its number, never used twice.
    pub(crate) ino: u64,
    /// Its number on the disk; 0 if it is not on one.
    pub(crate) disk: u32,
    /// What it is.
    pub(crate) kind: Kind,
    /// Permissions (07777).
    pub(super) mode: AtomicU32,
    /// Names that lead to it; a directory has one for itself and one for each subdirectory, too.
    pub(super) nlink: AtomicU32,
    pub(super) uid: AtomicU32,
    pub(super) gid: AtomicU32,
    /// What is forbidden for good (`F_SEAL_SEAL` and its kin); [`NEVER_SEALED`] of a file that has no
    /// such bits.
    pub(super) seals: AtomicU32,
    /// Times in nanoseconds since 1970.
    pub(super) atime: AtomicU64,
    pub(super) mtime: AtomicU64,
    pub(super) ctime: AtomicU64,
}

/// Number of the next inode.
static NEXT_INO: AtomicU64 = AtomicU64::new(1);

impl Inode {
    /// An inode that no name leads to yet.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn create(kind: Kind, mode: u32) -> Result<Shared<Self>, Errno> {
        let now = clock::now();
        Self::with(0, kind, mode, now)
    }

    /// An inode of the disk, as it stands there, that no name leads to yet. If that does not change,
    /// it goes away on the disk with its last reference.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn on_disk(
        disk: u32,
        kind: Kind,
        raw: &layout::Inode,
    ) -> Result<Shared<Self>, Errno> {
        let inode = Self::with(disk, kind, raw.mode.get().into(), 0)?;
        inode.uid.store(raw.uid.get().into(), Relaxed);
        inode.gid.store(raw.gid.get().into(), Relaxed);
        inode.set_times(raw);
        Ok(inode)
    }

    /// Gives it the times that its inode on the disk has.
    pub(super) fn set_times(&self, raw: &layout::Inode) {
        for (time, seconds) in [
            (&self.atime, raw.atime),
            (&self.mtime, raw.mtime),
            (&self.ctime, raw.ctime),
        ] {
            time.store(u64::from(seconds.get()) * 1_000_000_000, Relaxed);
        }
    }

    fn with(disk: u32, kind: Kind, mode: u32, now: u64) -> Result<Shared<Self>, Errno> {
        Shared::new(Self {
            ino: NEXT_INO.fetch_add(1, Relaxed),
            disk,
            kind,
            mode: AtomicU32::new(mode & 0o7777),
            nlink: AtomicU32::new(0),
            uid: AtomicU32::new(0),
            gid: AtomicU32::new(0),
            seals: AtomicU32::new(NEVER_SEALED),
            atime: AtomicU64::new(now),
            mtime: AtomicU64::new(now),
            ctime: AtomicU64::new(now),
        })
    }

    /// What decides who may do what with it.
    pub(crate) fn guarded(&self) -> Guarded {
        Guarded {
            uid: self.uid.load(Relaxed),
            gid: self.gid.load(Relaxed),
            mode: self.mode.load(Relaxed),
            is_dir: self.is_dir(),
        }
    }

    /// Whether it is a directory.
    pub(crate) fn is_dir(&self) -> bool {
        match &self.kind {
            Kind::Directory | Kind::Cgroup(_) => true,
            Kind::Proc(node) => node.is_dir(),
            _ => false,
        }
    }

    /// Whether it is made when it is looked for, and so in no directory's list.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Proc(_) | Kind::CgroupFile(..))
    }

    /// Type and permissions, as `st_mode` has them.
    pub(crate) fn st_mode(&self) -> u32 {
        let kind = match &self.kind {
            Kind::Regular(_) | Kind::CgroupFile(..) => linux::S_IFREG,
            Kind::Directory | Kind::Cgroup(_) => linux::S_IFDIR,
            Kind::Symlink(_) => linux::S_IFLNK,
            Kind::Device(_) => linux::S_IFCHR,
            Kind::Pipe(_) | Kind::Fifo(_) => linux::S_IFIFO,
            Kind::Proc(node) => node.file_type(),
        };
        kind | self.mode.load(Relaxed)
    }

    /// Bytes, as `st_size` has them.
    pub(crate) fn size(&self) -> u64 {
        match &self.kind {
            Kind::Regular(content) => mm().file_size(content.id()),
            Kind::Symlink(target) => target.len() as u64,
            _ => 0,
        }
    }

    /// Whether one of these seals is on it.
    pub(super) fn is_sealed(&self, seals: u32) -> bool {
        let on = self.seals.load(Relaxed);
        on != NEVER_SEALED && on & seals != 0
    }

    /// Its content changed now.
    pub(super) fn modified(&self) {
        let now = clock::now();
        self.mtime.store(now, Relaxed);
        self.ctime.store(now, Relaxed);
    }

    /// What is known of it changed now.
    pub(super) fn changed(&self) {
        self.ctime.store(clock::now(), Relaxed);
    }

    /// Its content was read now.
    pub(super) fn accessed(&self) {
        self.atime.store(clock::now(), Relaxed);
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        if self.disk != 0 && *self.nlink.get_mut() == 0 {
            disk::forget(self);
        }
    }
}

impl Pooled for Inode {
    fn pool(pools: &Pools) -> &KmemCache {
        &pools.inode
    }
}
