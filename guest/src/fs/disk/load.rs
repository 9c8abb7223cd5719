//! Mounting: all names of the disk are read.

use super::{Blocks, DiskError, IS_MOUNTED, MOUNT, Mount, device::Raw, store::Store};
use crate::{
    drivers::block,
    fs::{
        Content,
        dentry::Dentry,
        inode::{Inode, Kind},
        memory::mm,
        object::{Bytes, Shared},
        ramfs::Ramfs,
    },
};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{PAGE_SIZE, errno::Errno, program::DISK_MOUNT};
use pagelab_ext2::{Error, Ext2, FileKind, ROOT_INO, layout};

/// Why the disk is not mounted.
#[derive(Debug)]
pub(crate) enum MountError {
    /// There is no disk.
    NoDisk,
    /// What is on it cannot be used.
    Disk(DiskError),
    /// There is no memory for its names.
    NoMemory,
    /// It is there already.
    Busy,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDisk => f.write_str("there is no disk"),
            Self::Disk(error) => error.fmt(f),
            Self::NoMemory => f.write_str("too little memory for its names"),
            Self::Busy => f.write_str("there is a disk already"),
        }
    }
}

impl From<DiskError> for MountError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<Errno> for MountError {
    fn from(_: Errno) -> Self {
        Self::NoMemory
    }
}

static RAW: Raw = Raw;
static STORE: Store = Store;

/// Mounts the disk for files. After an error nothing of it is left but what [`super::unmount`] takes
/// away.
///
/// # Errors
/// [`MountError`].
pub(crate) fn mount(ramfs: &Ramfs) -> Result<(), MountError> {
    let pages = block::FILES.pages();
    if pages == 0 {
        return Err(MountError::NoDisk);
    }
    if MOUNT.is_completed() {
        return Err(MountError::Busy);
    }
    let raw = mm().register_store(&RAW).map_err(|_| MountError::Busy)?;
    let store = mm().register_store(&STORE).map_err(|_| MountError::Busy)?;
    let file = mm()
        .file_with_store(raw, 0, pages * PAGE_SIZE)
        .map_err(|_| MountError::NoMemory)?;
    let fs = match Ext2::mount(Blocks { file }, pages) {
        Ok(fs) => fs,
        Err(error) => {
            mm().file_put(file);
            return Err(error.into());
        }
    };
    let mount = MOUNT.call_once(|| Mount { fs, store });
    IS_MOUNTED.store(true, Relaxed);
    mount.fs.set_clean(false)?;
    let raw = mount.fs.inode(ROOT_INO)?;
    if raw.kind() != FileKind::Directory {
        return Err(Error::Corrupt("the root is no directory").into());
    }
    let top = ramfs.mount_point(DISK_MOUNT, Inode::on_disk(ROOT_INO, Kind::Directory, &raw)?)?;
    let mut next = Some(top.clone());
    while let Some(dentry) = next {
        if dentry.inode.is_dir() {
            mount.load(&dentry, &top)?;
        }
        next = dentry.following(&top);
    }
    Ok(())
}

impl Mount {
    /// Reads the names of a directory.
    fn load(&self, dir: &Shared<Dentry>, top: &Shared<Dentry>) -> Result<(), MountError> {
        let ino = dir.inode.disk;
        let mut position = 0;
        while let Some(entry) = self.fs.entry(ino, position)? {
            position = entry.next;
            let name = entry.name();
            if name == b"." || name == b".." {
                continue;
            }
            if dir.child(name).is_some() {
                return Err(Error::Corrupt("a name stands twice in a directory").into());
            }
            let raw = self.fs.inode(entry.ino)?;
            if raw.links_count.get() == 0 {
                return Err(Error::Corrupt("a name leads to an inode that is not in use").into());
            }
            if let Some(inode) = self.inode(entry.ino, &raw, dir, top)? {
                let dentry = dir.add(name, inode)?;
                // It was not changed just now.
                dentry.inode.set_times(&raw);
            }
        }
        dir.inode.set_times(&self.fs.inode(ino)?);
        Ok(())
    }

    /// The inode behind a name in a directory; none for what cannot be used here.
    fn inode(
        &self,
        ino: u32,
        raw: &layout::Inode,
        dir: &Shared<Dentry>,
        top: &Shared<Dentry>,
    ) -> Result<Option<Shared<Inode>>, MountError> {
        let kind = match raw.kind() {
            FileKind::Regular => {
                if raw.links_count.get() > 1
                    && let Some(inode) = find(top, ino)
                {
                    return Ok(Some(inode));
                }
                Kind::Regular(Content::on_disk(self.store, ino, raw.len())?)
            }
            FileKind::Symlink => Kind::Symlink(self.target(raw)?),
            FileKind::Directory => {
                // So each directory is read once at most, and there is no circle.
                let is_here = self.fs.look_up(ino, b"..")? == dir.inode.disk && ino != ROOT_INO;
                if !is_here || dir.has_child_on_disk(ino) {
                    let what = "a directory is in another one than it says, or twice";
                    return Err(Error::Corrupt(what).into());
                }
                Kind::Directory
            }
            FileKind::Other => return Ok(None),
        };
        Ok(Some(Inode::on_disk(ino, kind, raw)?))
    }

    /// What a symbolic link leads to.
    fn target(&self, raw: &layout::Inode) -> Result<Bytes, MountError> {
        let len = raw.len().min(PAGE_SIZE) as usize;
        let mut target = Bytes::zeroed(len)?;
        let read = self.fs.read_link(raw, 0, &mut target)?;
        if read != len || len == 0 {
            return Err(Error::Corrupt("a symbolic link has no content").into());
        }
        Ok(target)
    }
}

/// An inode that has a name already.
fn find(top: &Shared<Dentry>, ino: u32) -> Option<Shared<Inode>> {
    let mut next = Some(top.clone());
    while let Some(dentry) = next {
        if dentry.inode.disk == ino {
            return Some(dentry.inode.clone());
        }
        next = dentry.following(top);
    }
    None
}
