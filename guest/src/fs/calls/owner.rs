//! Whose files are.

use super::{AT_FDCWD, Caller, fd};
use crate::fs::{inode::Inode, transfer::Answer};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

/// The user or group that stays as it is.
const KEEP: u32 = u32::MAX;

pub(super) fn chown(caller: &mut Caller<'_>, path: u64, uid: u64, gid: u64) -> Answer {
    fchownat(caller, [AT_FDCWD, path, uid, gid, 0])
}

pub(super) fn lchown(caller: &mut Caller<'_>, path: u64, uid: u64, gid: u64) -> Answer {
    let flags = linux::AT_SYMLINK_NOFOLLOW.into();
    fchownat(caller, [AT_FDCWD, path, uid, gid, flags])
}

pub(super) fn fchownat(caller: &mut Caller<'_>, args: [u64; 5]) -> Answer {
    let [dirfd, path, uid, gid, flags] = args;
    let flags = u64::from(flags as u32);
    if flags & !u64::from(linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let follow = flags & u64::from(linux::AT_SYMLINK_NOFOLLOW) == 0;
    let dentry = caller.existing_at(dirfd, path, flags, follow)?;
    give(caller, &dentry.inode, uid as u32, gid as u32)
}

pub(super) fn fchown(caller: &mut Caller<'_>, number: u64, uid: u64, gid: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    if file.has(linux::O_PATH) {
        return Err(Errno::EBADF.into());
    }
    give(caller, &file.dentry.inode, uid as u32, gid as u32)
}

/// root may give files to anybody, an owner to a group that he is in (Linux fs/attr.c: `setattr_prepare`).
fn give(caller: &Caller<'_>, inode: &Inode, uid: u32, gid: u32) -> Answer {
    let who = caller.cred.viewer();
    let (owner, group) = (inode.uid.load(Relaxed), inode.gid.load(Relaxed));
    let is_own = who.uid == owner;
    let keeps_owner = uid == KEEP || is_own && uid == owner;
    let keeps_group = gid == KEEP || is_own && (gid == group || who.is_in_group(gid));
    if inode.is_transient() || !(keeps_owner && keeps_group || who.is_capable()) {
        return Err(Errno::EPERM.into());
    }
    if uid != KEEP {
        inode.uid.store(uid, Relaxed);
    }
    if gid != KEEP {
        inode.gid.store(gid, Relaxed);
    }
    if !inode.is_dir() {
        // Whoever gets a program does not get its rights (Linux: `ATTR_KILL_SUID`).
        let mode = inode.mode.load(Relaxed);
        let group = if mode & linux::S_IXGRP != 0 {
            linux::S_ISGID
        } else {
            0
        };
        inode.mode.store(mode & !(linux::S_ISUID | group), Relaxed);
    }
    inode.changed();
    Ok(0)
}
