//! What is known of a file.

use super::{Caller, fd};
use crate::fs::{
    clock,
    inode::{Inode, Kind},
    memory::mm,
    path::AtEnd,
    transfer::Answer,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use linux_raw_sys::general as linux;
use pagelab_abi::{PAGE_SIZE, errno::Errno};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bytes that a read or write is best a multiple of.
const BLOCK_SIZE: u32 = PAGE_SIZE as u32;

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// Number of the device that all files are on.
const DEVICE: (u32, u32) = (0, 2);

/// C's `struct timespec`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Timespec {
    sec: u64,
    nsec: u64,
}

impl Timespec {
    fn of(time: &AtomicU64) -> Self {
        let time = time.load(Relaxed);
        Self {
            sec: time / SECOND,
            nsec: time % SECOND,
        }
    }
}

/// C's `struct stat`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Stat {
    dev: u64,
    ino: u64,
    nlink: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    pad: u32,
    rdev: u64,
    size: u64,
    blksize: u64,
    blocks: u64,
    atime: Timespec,
    mtime: Timespec,
    ctime: Timespec,
    unused: [u64; 3],
}

const _: () = assert!(size_of::<Stat>() == size_of::<linux::stat>());

/// A device number as `st_rdev` has it (Linux include/linux/kdev_t.h: `new_encode_dev`).
const fn encode((major, minor): (u32, u32)) -> u64 {
    (minor & 0xff | major << 8 | (minor & !0xff) << 12) as u64
}

/// Major and minor number of a device.
fn device_of(inode: &Inode) -> (u32, u32) {
    match &inode.kind {
        Kind::Device(device) => device.numbers(),
        _ => (0, 0),
    }
}

/// Blocks of 512 bytes that hold content, in memory or in swap.
fn blocks(inode: &Inode) -> u64 {
    match &inode.kind {
        Kind::Regular(content) => {
            let file = content.id();
            (mm().file_nrpages(file) + mm().file_nr_swapped(file)) * (PAGE_SIZE / 512)
        }
        _ => 0,
    }
}

impl Stat {
    fn of(inode: &Inode) -> Self {
        Self {
            dev: encode(DEVICE),
            ino: inode.ino,
            nlink: inode.nlink.load(Relaxed).into(),
            mode: inode.st_mode(),
            uid: inode.uid.load(Relaxed),
            gid: inode.gid.load(Relaxed),
            pad: 0,
            rdev: encode(device_of(inode)),
            size: inode.size(),
            blksize: BLOCK_SIZE.into(),
            blocks: blocks(inode),
            atime: Timespec::of(&inode.atime),
            mtime: Timespec::of(&inode.mtime),
            ctime: Timespec::of(&inode.ctime),
            unused: [0; 3],
        }
    }
}

pub(super) fn fstat(caller: &mut Caller<'_>, number: u64, to: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    caller.program.put(to, &Stat::of(&file.dentry.inode))?;
    Ok(0)
}

/// Flags that the calls of the stat family take.
const STAT_FLAGS: u32 = linux::AT_SYMLINK_NOFOLLOW
    | linux::AT_EMPTY_PATH
    | linux::AT_NO_AUTOMOUNT
    | linux::AT_STATX_SYNC_TYPE;

pub(super) fn newfstatat(
    caller: &mut Caller<'_>,
    dirfd: u64,
    path: u64,
    to: u64,
    flags: u64,
) -> Answer {
    let flags = u64::from(flags as u32);
    if flags & !u64::from(STAT_FLAGS) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let follow = flags & u64::from(linux::AT_SYMLINK_NOFOLLOW) == 0;
    let dentry = caller.existing_at(dirfd, path, flags, follow)?;
    caller.program.put(to, &Stat::of(&dentry.inode))?;
    Ok(0)
}

/// C's `struct statx_timestamp`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Timestamp {
    sec: u64,
    nsec: u32,
    reserved: u32,
}

impl Timestamp {
    fn of(time: &AtomicU64) -> Self {
        let Timespec { sec, nsec } = Timespec::of(time);
        Self {
            sec,
            nsec: nsec as u32,
            reserved: 0,
        }
    }
}

/// C's `struct statx`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Statx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    pad: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    atime: Timestamp,
    btime: Timestamp,
    ctime: Timestamp,
    mtime: Timestamp,
    rdev: [u32; 2],
    dev: [u32; 2],
    spare: [u64; 14],
}

const _: () = assert!(size_of::<Statx>() == size_of::<linux::statx>());

pub(super) fn statx(caller: &mut Caller<'_>, dirfd: u64, path: u64, flags: u64, to: u64) -> Answer {
    let flags = u64::from(flags as u32);
    if flags & !u64::from(STAT_FLAGS) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let follow = flags & u64::from(linux::AT_SYMLINK_NOFOLLOW) == 0;
    let dentry = caller.existing_at(dirfd, path, flags, follow)?;
    let inode = &dentry.inode;
    let (major, minor) = device_of(inode);
    let statx = Statx {
        mask: linux::STATX_BASIC_STATS,
        blksize: BLOCK_SIZE,
        attributes: 0,
        nlink: inode.nlink.load(Relaxed),
        uid: inode.uid.load(Relaxed),
        gid: inode.gid.load(Relaxed),
        mode: inode.st_mode() as u16,
        pad: 0,
        ino: inode.ino,
        size: inode.size(),
        blocks: blocks(inode),
        attributes_mask: 0,
        atime: Timestamp::of(&inode.atime),
        btime: Timestamp {
            sec: 0,
            nsec: 0,
            reserved: 0,
        },
        ctime: Timestamp::of(&inode.ctime),
        mtime: Timestamp::of(&inode.mtime),
        rdev: [major, minor],
        dev: [DEVICE.0, DEVICE.1],
        spare: [0; 14],
    };
    caller.program.put(to, &statx)?;
    Ok(0)
}

pub(super) fn faccessat(
    caller: &mut Caller<'_>,
    dirfd: u64,
    path: u64,
    mode: u64,
    flags: u64,
) -> Answer {
    let known = linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH | linux::AT_EACCESS;
    let all = linux::R_OK | linux::W_OK | linux::X_OK;
    let mode = mode as u32;
    if mode & !all != 0 || flags & !u64::from(known) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let follow = flags & u64::from(linux::AT_SYMLINK_NOFOLLOW) == 0;
    let cred = caller.cred;
    let who = if flags & u64::from(linux::AT_EACCESS) != 0 {
        cred.viewer()
    } else {
        cred.real_viewer()
    };
    let dentry = caller.existing_as(who, dirfd, path, flags, follow)?;
    if mode != 0 {
        who.may(mode, dentry.inode.guarded())?;
    }
    Ok(0)
}

pub(super) fn fchmodat(caller: &mut Caller<'_>, dirfd: u64, path: u64, mode: u64) -> Answer {
    let dentry = caller.walk_at(dirfd, path, AtEnd::Follow)?.existing()?;
    set_mode(caller, &dentry.inode, mode)
}

pub(super) fn fchmod(caller: &mut Caller<'_>, number: u64, mode: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    if file.has(linux::O_PATH) {
        return Err(Errno::EBADF.into());
    }
    set_mode(caller, &file.dentry.inode, mode)
}

fn set_mode(caller: &Caller<'_>, inode: &Inode, mode: u64) -> Answer {
    caller.check_owner(inode)?;
    if inode.is_transient() {
        return Err(Errno::EPERM.into());
    }
    let changed = inode.mode.load(Relaxed) ^ mode as u32;
    if changed & 0o111 != 0 && inode.is_sealed(linux::F_SEAL_EXEC) {
        return Err(Errno::EPERM.into());
    }
    let who = caller.cred.viewer();
    let mut mode = mode as u32 & 0o7777;
    if !who.is_in_group(inode.gid.load(Relaxed)) && !who.is_capable() {
        mode &= !linux::S_ISGID;
    }
    inode.mode.store(mode, Relaxed);
    inode.changed();
    Ok(0)
}

/// `tv_nsec` for the time now, and for the time as it is.
const UTIME_NOW: u64 = 0x3fff_ffff;
const UTIME_OMIT: u64 = 0x3fff_fffe;

pub(super) fn utimensat(
    caller: &mut Caller<'_>,
    dirfd: u64,
    path: u64,
    times: u64,
    flags: u64,
) -> Answer {
    if flags & !u64::from(linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let now = Timespec {
        sec: 0,
        nsec: UTIME_NOW,
    };
    let wanted: [Timespec; 2] = if times == 0 {
        [now; 2]
    } else {
        caller.program.get(times)?
    };
    let dentry = if path == 0 {
        caller.files.get(fd(dirfd))?.dentry.clone()
    } else {
        let follow = flags & u64::from(linux::AT_SYMLINK_NOFOLLOW) == 0;
        caller.existing_at(dirfd, path, flags, follow)?
    };
    let inode = &dentry.inode;
    if wanted.iter().all(|time| time.nsec == UTIME_OMIT) {
        return Ok(0);
    }
    // Whoever may write may say that it was now.
    if !wanted.iter().all(|time| time.nsec == UTIME_NOW) {
        caller.check_owner(inode)?;
    } else if caller.check_owner(inode).is_err() {
        caller.check(inode, linux::W_OK)?;
    }
    for (time, wanted) in [&inode.atime, &inode.mtime].into_iter().zip(wanted) {
        match wanted.nsec {
            UTIME_OMIT => {}
            UTIME_NOW => time.store(clock::now(), Relaxed),
            nsec if nsec < SECOND => {
                time.store(wanted.sec.wrapping_mul(SECOND).wrapping_add(nsec), Relaxed);
            }
            _ => return Err(Errno::EINVAL.into()),
        }
    }
    inode.changed();
    Ok(0)
}
