//! Names come, go and change.

use super::{Caller, Resolved};
use crate::fs::{
    dentry::Dentry,
    disk,
    inode::{Inode, Kind},
    object::{Bytes, Shared},
    path::{AtEnd, Last, PATH_MAX},
    transfer::Answer,
};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

impl Caller<'_> {
    /// Whether a new name can be made there.
    fn check_new(&self, at: &Resolved) -> Result<(), Errno> {
        if at.found.is_some() {
            return Err(Errno::EEXIST);
        }
        self.check_parent(at)
    }
}

pub(super) fn mkdirat(caller: &mut Caller<'_>, dirfd: u64, path: u64, mode: u64) -> Answer {
    let at = caller.walk_at(dirfd, path, AtEnd::Name)?;
    caller.check_new(&at)?;
    // The sticky bit and permissions.
    let mode = mode as u32 & 0o1777 & !caller.files.umask;
    caller.make(&at, disk::New::Directory, mode)?;
    Ok(0)
}

pub(super) fn symlinkat(caller: &mut Caller<'_>, target: u64, dirfd: u64, path: u64) -> Answer {
    let target = caller.program.path(target)?;
    if target.is_empty() {
        return Err(Errno::ENOENT.into());
    }
    let at = caller.walk_at(dirfd, path, AtEnd::Name)?;
    caller.check_new(&at)?;
    if at.has_slash {
        return Err(Errno::ENOENT.into());
    }
    caller.make(&at, disk::New::Symlink(target), 0o777)?;
    Ok(0)
}

pub(super) fn linkat(caller: &mut Caller<'_>, args: [u64; 5]) -> Answer {
    let [old_dirfd, old, new_dirfd, new, flags] = args;
    if flags & !u64::from(linux::AT_SYMLINK_FOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let follow = flags & u64::from(linux::AT_SYMLINK_FOLLOW) != 0;
    let dentry = caller.existing_at(old_dirfd, old, flags, follow)?;
    let at = caller.walk_at(new_dirfd, new, AtEnd::Name)?;
    caller.check_new(&at)?;
    if at.has_slash {
        return Err(Errno::ENOENT.into());
    }
    if dentry.inode.is_dir() {
        return Err(Errno::EPERM.into());
    }
    if dentry.inode.is_transient() || matches!(dentry.inode.kind, Kind::Pipe(_)) {
        return Err(Errno::EXDEV.into());
    }
    if dentry
        .inode
        .nlink
        .load(core::sync::atomic::Ordering::Relaxed)
        == 0
    {
        return Err(Errno::ENOENT.into());
    }
    disk::link(&at.parent, at.name(), &dentry.inode)?;
    Ok(0)
}

pub(super) fn unlinkat(caller: &mut Caller<'_>, dirfd: u64, path: u64, flags: u64) -> Answer {
    if flags & !u64::from(linux::AT_REMOVEDIR) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let removes_dir = flags != 0;
    let at = caller.walk_at(dirfd, path, AtEnd::Name)?;
    match at.last {
        Last::Dot if removes_dir && at.name() == b"." => return Err(Errno::EINVAL.into()),
        Last::Dot if removes_dir => return Err(Errno::EBUSY.into()),
        Last::DotDot if removes_dir => return Err(Errno::ENOTEMPTY.into()),
        Last::Dot | Last::DotDot => return Err(Errno::EISDIR.into()),
        Last::Name => {}
    }
    let (is_transient, has_slash) = (at.parent.inode.is_transient(), at.has_slash);
    let parent = at.parent.clone();
    let dentry = at.existing()?;
    if removes_dir || dentry.inode.is_dir() || !has_slash {
        caller.check_remove(&parent.inode, &dentry.inode)?;
    }
    if is_transient || matches!(dentry.inode.kind, Kind::CgroupFile(..)) {
        return Err(Errno::EPERM.into());
    }
    if removes_dir {
        if !dentry.inode.is_dir() {
            return Err(Errno::ENOTDIR.into());
        }
        if dentry.inode.is_transient() {
            return Err(Errno::EBUSY.into());
        }
        if !dentry.is_empty() {
            return Err(match dentry.inode.kind {
                Kind::Cgroup(_) => Errno::EBUSY,
                _ => Errno::ENOTEMPTY,
            }
            .into());
        }
    } else if dentry.inode.is_dir() {
        return Err(Errno::EISDIR.into());
    } else if has_slash {
        return Err(Errno::ENOTDIR.into());
    }
    disk::unlink(&dentry)?;
    Ok(0)
}

pub(super) fn renameat2(caller: &mut Caller<'_>, args: [u64; 5]) -> Answer {
    let [old_dirfd, old, new_dirfd, new, flags] = args;
    if flags & !u64::from(linux::RENAME_NOREPLACE) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let from = caller.walk_at(old_dirfd, old, AtEnd::Name)?;
    let to = caller.walk_at(new_dirfd, new, AtEnd::Name)?;
    if from.last != Last::Name || to.last != Last::Name {
        return Err(Errno::EBUSY.into());
    }
    if from.parent.inode.is_transient() || to.parent.inode.is_transient() {
        return Err(Errno::EXDEV.into());
    }
    let moved = from.found.clone().ok_or(Errno::ENOENT)?;
    if flags != 0 && to.found.is_some() {
        return Err(Errno::EEXIST.into());
    }
    if from.has_slash && !moved.inode.is_dir() {
        return Err(Errno::ENOTDIR.into());
    }
    caller.check_remove(&from.parent.inode, &moved.inode)?;
    match &to.found {
        Some(other) => caller.check_remove(&to.parent.inode, &other.inode)?,
        None => caller.check_parent(&to)?,
    }
    if moved.inode.is_dir() && !from.parent.is(&to.parent) {
        caller.check(&moved.inode, linux::W_OK)?;
    }
    check_move(&moved, &to)?;
    if let Some(other) = &to.found
        && other.inode.is(&moved.inode)
    {
        return Ok(0);
    }
    caller.check_parent(&to)?;
    disk::rename(&moved, &to.parent, to.name(), to.found.as_ref())?;
    Ok(0)
}

/// Whether something can go where `to` leads, in the place of what is there.
fn check_move(moved: &Shared<Dentry>, to: &Resolved) -> Result<(), Errno> {
    let is_dir = moved.inode.is_dir();
    if !is_dir && to.has_slash {
        return Err(Errno::ENOTDIR);
    }
    if moved.inode.is_transient() {
        return Err(Errno::EBUSY);
    }
    if is_dir && to.parent.is_below(moved) {
        return Err(Errno::EINVAL);
    }
    let Some(other) = &to.found else {
        return Ok(());
    };
    if moved.is_below(other) && !moved.is(other) {
        return Err(Errno::ENOTEMPTY);
    }
    if other.inode.is(&moved.inode) {
        return Ok(());
    }
    if other.inode.is_transient() {
        return Err(Errno::EBUSY);
    }
    match (is_dir, other.inode.is_dir()) {
        (false, true) => Err(Errno::EISDIR),
        (true, false) => Err(Errno::ENOTDIR),
        (true, true) if !other.is_empty() => Err(Errno::ENOTEMPTY),
        _ => Ok(()),
    }
}

pub(super) fn readlinkat(
    caller: &mut Caller<'_>,
    dirfd: u64,
    path: u64,
    buf: u64,
    len: u64,
) -> Answer {
    let len = len as i32;
    if len <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = caller.program.path(path)?;
    let dentry = if path.is_empty() {
        let dentry = caller.start(dirfd)?;
        if !matches!(dentry.inode.kind, Kind::Symlink(_)) {
            return Err(Errno::ENOENT.into());
        }
        dentry
    } else {
        caller.walk(dirfd, &path, AtEnd::Keep)?.existing()?
    };
    let Kind::Symlink(target) = &dentry.inode.kind else {
        return Err(Errno::EINVAL.into());
    };
    let part = &target[..target.len().min(len as usize).min(PATH_MAX)];
    caller.program.put(buf, part)?;
    Ok(part.len() as u64)
}
