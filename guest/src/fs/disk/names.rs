//! Names come and go, in memory and, below the mount point, on the disk.

use super::{DiskError, Mount, errno, mounted, of_disk, seconds};
use crate::fs::{
    Content, clock,
    dentry::Dentry,
    inode::{Inode, Kind},
    object::{Bytes, Shared},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::errno::Errno;
use pagelab_ext2::FileKind;

/// What is to be made.
pub(in crate::fs) enum New {
    /// An empty file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link to there.
    Symlink(Bytes),
}

impl New {
    const fn kind(&self) -> FileKind {
        match self {
            Self::Regular => FileKind::Regular,
            Self::Directory => FileKind::Directory,
            Self::Symlink(_) => FileKind::Symlink,
        }
    }
}

/// What an inode is, for the disk.
fn kind_of(inode: &Inode) -> FileKind {
    match &inode.kind {
        Kind::Regular(_) => FileKind::Regular,
        Kind::Directory => FileKind::Directory,
        Kind::Symlink(_) => FileKind::Symlink,
        Kind::Device(_)
        | Kind::Pipe(_)
        | Kind::Fifo(_)
        | Kind::Proc(_)
        | Kind::Cgroup(_)
        | Kind::CgroupFile(..) => FileKind::Other,
    }
}

/// Makes something new with a name that is not taken.
///
/// # Errors
/// ENOMEM; ENOSPC, EIO and EUCLEAN of the disk; EACCES and EAGAIN of a memory group. Nothing is left of
/// it.
pub(in crate::fs) fn add_new(
    parent: &Shared<Dentry>,
    name: &[u8],
    new: New,
    mode: u32,
) -> Result<Shared<Dentry>, Errno> {
    if parent.inode.disk == 0 {
        let kind = match new {
            New::Directory if let Kind::Cgroup(group) = &parent.inode.kind => {
                Kind::Cgroup(group.new_child()?)
            }
            // A group has the files that it has.
            _ if matches!(parent.inode.kind, Kind::Cgroup(_)) => return Err(Errno::EACCES),
            New::Regular => Kind::Regular(Content::new()?),
            New::Directory => Kind::Directory,
            New::Symlink(target) => Kind::Symlink(target),
        };
        return parent.add(name, Inode::create(kind, mode)?);
    }
    let mount = of_disk()?;
    let kind = new.kind();
    let inode = mount.new_inode(parent, new, mode)?;
    // Until it has a name, it goes away with its last reference.
    let added = mount
        .fs
        .add_entry(parent.inode.disk, name, inode.disk, kind);
    added.map_err(errno)?;
    match parent.add(name, inode) {
        Ok(dentry) => {
            note_links(&[&dentry.inode, &parent.inode]);
            Ok(dentry)
        }
        Err(error) => {
            drop_name(mount.fs.remove_entry(parent.inode.disk, name));
            Err(error)
        }
    }
}

impl Mount {
    fn new_inode(
        &self,
        parent: &Shared<Dentry>,
        new: New,
        mode: u32,
    ) -> Result<Shared<Inode>, Errno> {
        let (fs, dir) = (&self.fs, parent.inode.disk);
        let now = seconds(clock::now());
        let ino = fs
            .new_inode(dir, new.kind(), mode as u16, now)
            .map_err(errno)?;
        let filled = match &new {
            New::Regular => Ok(()),
            New::Directory => fs.init_directory(ino, dir),
            New::Symlink(target) => fs.set_link(ino, target),
        };
        let made = filled.map_err(errno).and_then(|()| {
            let kind = match new {
                New::Regular => Kind::Regular(Content::on_disk(self.store, ino, 0)?),
                New::Directory => Kind::Directory,
                New::Symlink(target) => Kind::Symlink(target),
            };
            let raw = fs.inode(ino).map_err(errno)?;
            Inode::on_disk(ino, kind, &raw)
        });
        if made.is_err() {
            drop_name(fs.delete_inode(ino, now));
        }
        made
    }
}

/// Gives an inode another name.
///
/// # Errors
/// EXDEV if it is elsewhere; otherwise as [`add_new`].
pub(in crate::fs) fn link(
    parent: &Shared<Dentry>,
    name: &[u8],
    inode: &Shared<Inode>,
) -> Result<(), Errno> {
    check_same(parent, inode)?;
    if inode.disk == 0 {
        return parent.add(name, inode.clone()).map(|_| ());
    }
    let (mount, dir) = (of_disk()?, parent.inode.disk);
    if inode.nlink.load(Relaxed) >= MAX_LINKS {
        return Err(Errno::EMLINK);
    }
    let added = mount.fs.add_entry(dir, name, inode.disk, kind_of(inode));
    added.map_err(errno)?;
    if let Err(error) = parent.add(name, inode.clone()) {
        drop_name(mount.fs.remove_entry(dir, name));
        return Err(error);
    }
    note_links(&[inode]);
    Ok(())
}

/// Takes a name away.
///
/// # Errors
/// EBUSY for the mount point, and for a memory group with processes; EIO and EUCLEAN of the disk.
pub(in crate::fs) fn unlink(dentry: &Shared<Dentry>) -> Result<(), Errno> {
    let parent = dentry.parent();
    check_mount_point(dentry)?;
    if let Kind::Cgroup(group) = &dentry.inode.kind {
        let is_top = !matches!(parent.inode.kind, Kind::Cgroup(_));
        if is_top || group.has_members() {
            return Err(Errno::EBUSY);
        }
    }
    if dentry.inode.disk != 0 {
        let (fs, dir) = (&of_disk()?.fs, parent.inode.disk);
        let removed = dentry.with_name(|name| fs.remove_entry(dir, name));
        removed.map_err(errno)?;
    }
    dentry.remove();
    note_links(&[&dentry.inode, &parent.inode]);
    Ok(())
}

/// Gives something another name, in the place of `other` if that is there.
///
/// # Errors
/// EXDEV if that is elsewhere; EBUSY for the mount point; ENOMEM; ENOSPC, EIO and EUCLEAN of the disk.
pub(in crate::fs) fn rename(
    moved: &Shared<Dentry>,
    to: &Shared<Dentry>,
    name: &[u8],
    other: Option<&Shared<Dentry>>,
) -> Result<(), Errno> {
    let new_name = Bytes::copy(name)?;
    let from = moved.parent();
    check_mount_point(moved)?;
    check_same(to, &moved.inode)?;
    if let Some(other) = other {
        check_mount_point(other)?;
    }
    if moved.inode.disk != 0 {
        let mount = of_disk()?;
        mount
            .rename(moved, &from, to, name, other.is_some())
            .map_err(errno)?;
    }
    if let Some(other) = other {
        other.remove();
        note_links(&[&other.inode]);
    }
    moved.rename(to, new_name);
    note_links(&[&from.inode, &to.inode]);
    Ok(())
}

impl Mount {
    /// The new name first: whatever fails, there is one.
    fn rename(
        &self,
        moved: &Shared<Dentry>,
        from: &Shared<Dentry>,
        to: &Shared<Dentry>,
        name: &[u8],
        replaces: bool,
    ) -> Result<(), DiskError> {
        let (fs, ino) = (&self.fs, moved.inode.disk);
        let kind = kind_of(&moved.inode);
        if replaces {
            fs.set_entry(to.inode.disk, name, ino, kind)?;
        } else {
            fs.add_entry(to.inode.disk, name, ino, kind)?;
        }
        moved.with_name(|old| fs.remove_entry(from.inode.disk, old))?;
        if kind == FileKind::Directory && !from.is(to) {
            fs.set_entry(ino, b"..", to.inode.disk, FileKind::Directory)?;
        }
        Ok(())
    }
}

/// Names that an inode can have (Linux fs/ext2/ext2.h: `EXT2_LINK_MAX`).
const MAX_LINKS: u32 = 32000;

fn check_same(parent: &Shared<Dentry>, inode: &Inode) -> Result<(), Errno> {
    let is_group = |inode: &Inode| matches!(inode.kind, Kind::Cgroup(_));
    match (is_group(&parent.inode), is_group(inode)) {
        (true, true) => return Err(Errno::EPERM),
        (false, false) => {}
        _ => return Err(Errno::EXDEV),
    }
    if (parent.inode.disk == 0) == (inode.disk == 0) {
        Ok(())
    } else {
        Err(Errno::EXDEV)
    }
}

/// The mount point is an inode of the disk in a directory that is not.
fn check_mount_point(dentry: &Shared<Dentry>) -> Result<(), Errno> {
    if dentry.inode.disk != 0 && dentry.parent().inode.disk == 0 {
        Err(Errno::EBUSY)
    } else {
        Ok(())
    }
}

/// Writes to the disk how many names inodes have. One that has none is given back when it is not open
/// any more.
fn note_links(inodes: &[&Shared<Inode>]) {
    let Some(mount) = mounted() else { return };
    for inode in inodes.iter().filter(|inode| inode.disk != 0) {
        let links = inode.nlink.load(Relaxed) as u16;
        let set = |raw: &mut pagelab_ext2::layout::Inode| raw.links_count.set(links);
        drop_name(mount.fs.update_inode(inode.disk, None, set));
    }
}

/// What fails on the way back, or beside the point, is told and no more.
fn drop_name(done: Result<(), DiskError>) {
    if let Err(error) = done {
        log::warn!("disk: {error}");
    }
}
