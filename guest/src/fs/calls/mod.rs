//! System calls on files.
//!
//! * `open`: names become descriptors. `fd`: descriptors. `io`: bytes. `size`: sizes and positions.
//! * `owner`: whose files are. `statfs`: file systems.
//! * `name`: names come, go and change. `stat`: what is known of a file. `list`: directories.
//! * `copy`: from file to file. `node`: FIFOs and devices. `lock`: locks. `seal`: what memfds forbid. `advise`: how files will be used.

mod advise;
mod copy;
mod fd;
mod io;
mod list;
mod lock;
mod name;
mod node;
mod open;
mod owner;
mod seal;
mod size;
mod stat;
mod statfs;

use super::{
    dentry::Dentry,
    disk,
    inode::Inode,
    object::{Bytes, Shared},
    path::{AtEnd, Origin, Resolved, resolve},
    table::Files,
    transfer::Answer,
    user::Program,
};
use crate::cred::{Cred, Viewer};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

/// Who makes a call.
pub(crate) struct Caller<'a> {
    /// Its files.
    pub(crate) files: &'a mut Files,
    /// Its memory.
    pub(crate) program: &'a mut dyn Program,
    /// Its number.
    pub(crate) pid: u32,
    /// Whose it is.
    pub(crate) cred: &'a Cred,
    /// Descriptors that it may have.
    pub(crate) nofile: u64,
}

/// Arguments, in the order of the registers RDI, RSI, RDX, R10, R8, R9.
pub(crate) type Args = [u64; 6];

/// The current directory, where a descriptor of a directory is expected.
const AT_FDCWD: u64 = linux::AT_FDCWD as u64;

/// A descriptor, as C's `int`.
const fn fd(arg: u64) -> u32 {
    arg as u32
}

impl Caller<'_> {
    /// Where a relative path begins: the current directory, or that of a descriptor.
    fn start(&self, dirfd: u64) -> Result<Shared<Dentry>, Errno> {
        if dirfd as u32 == linux::AT_FDCWD as u32 {
            return Ok(self.files.cwd.clone());
        }
        Ok(self.files.get(fd(dirfd))?.dentry.clone())
    }

    /// Walks a path.
    fn walk(&self, dirfd: u64, path: &[u8], at_end: AtEnd) -> Result<Resolved, Errno> {
        self.walk_as(self.cred.viewer(), dirfd, path, at_end)
    }

    /// Walks a path as somebody.
    fn walk_as(
        &self,
        who: Viewer<'_>,
        dirfd: u64,
        path: &[u8],
        at_end: AtEnd,
    ) -> Result<Resolved, Errno> {
        let is_absolute = path.first() == Some(&b'/');
        let start = if is_absolute {
            self.files.root.clone()
        } else {
            self.start(dirfd)?
        };
        let origin = Origin {
            root: &self.files.root,
            start: &start,
            pid: self.pid,
            who,
            exe: self.files.exe.as_ref(),
        };
        if !path.is_empty() && !start.inode.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        resolve(&origin, path, at_end)
    }

    /// Walks a path in the program's memory.
    fn walk_at(&mut self, dirfd: u64, path: u64, at_end: AtEnd) -> Result<Resolved, Errno> {
        let path = self.program.path(path)?;
        self.walk(dirfd, &path, at_end)
    }

    /// What a path in the program's memory leads to. With `AT_EMPTY_PATH` among the flags and an
    /// empty path, what the descriptor leads to.
    fn existing_at(
        &mut self,
        dirfd: u64,
        path: u64,
        flags: u64,
        follow: bool,
    ) -> Result<Shared<Dentry>, Errno> {
        self.existing_as(self.cred.viewer(), dirfd, path, flags, follow)
    }

    /// The same for somebody.
    fn existing_as(
        &mut self,
        who: Viewer<'_>,
        dirfd: u64,
        path: u64,
        flags: u64,
        follow: bool,
    ) -> Result<Shared<Dentry>, Errno> {
        let path: Bytes = if path == 0 && flags & u64::from(linux::AT_EMPTY_PATH) != 0 {
            Bytes::zeroed(0)?
        } else {
            self.program.path(path)?
        };
        if path.is_empty() && flags & u64::from(linux::AT_EMPTY_PATH) != 0 {
            return self.start(dirfd);
        }
        let at_end = if follow { AtEnd::Follow } else { AtEnd::Keep };
        self.walk_as(who, dirfd, &path, at_end)?.existing()
    }

    /// Whether the caller may do with something what `wanted` has of `R_OK`, `W_OK` and `X_OK`.
    ///
    /// # Errors
    /// EACCES.
    fn check(&self, inode: &Inode, wanted: u32) -> Result<(), Errno> {
        self.cred.viewer().may(wanted, inode.guarded())
    }

    /// Whether something is the caller's to dispose of.
    ///
    /// # Errors
    /// EPERM.
    fn check_owner(&self, inode: &Inode) -> Result<(), Errno> {
        if self.cred.viewer().owns(inode.uid.load(Relaxed)) {
            Ok(())
        } else {
            Err(Errno::EPERM)
        }
    }

    /// Whether the caller may take a name away (Linux fs/namei.c: `may_delete`): from a directory with the
    /// sticky bit only what is its own, or out of its own directory.
    ///
    /// # Errors
    /// EACCES, EPERM.
    fn check_remove(&self, parent: &Inode, inode: &Inode) -> Result<(), Errno> {
        self.check(parent, linux::W_OK | linux::X_OK)?;
        let is_sticky = parent.mode.load(Relaxed) & linux::S_ISVTX != 0;
        if is_sticky && self.check_owner(parent).is_err() {
            self.check_owner(inode)?;
        }
        Ok(())
    }

    /// Makes something new where `at` leads, which is the caller's.
    fn make(&self, at: &Resolved, new: disk::New, mode: u32) -> Result<Shared<Dentry>, Errno> {
        let is_dir = matches!(new, disk::New::Directory);
        let dentry = disk::add_new(&at.parent, at.name(), new, mode)?;
        self.own(&at.parent.inode, &dentry.inode, is_dir);
        Ok(dentry)
    }

    /// Gives something new its owner (Linux fs/inode.c: `inode_init_owner`): in a directory with the bit
    /// for it the group is the directory's.
    fn own(&self, parent: &Inode, new: &Inode, is_dir: bool) {
        let who = self.cred.viewer();
        new.uid.store(who.uid, Relaxed);
        let gives_group = parent.mode.load(Relaxed) & linux::S_ISGID != 0;
        let gid = if gives_group {
            parent.gid.load(Relaxed)
        } else {
            who.gid
        };
        new.gid.store(gid, Relaxed);
        if gives_group && is_dir {
            new.mode.fetch_or(linux::S_ISGID, Relaxed);
        } else if gives_group && !who.is_in_group(gid) && !who.is_capable() {
            let mode = new.mode.load(Relaxed);
            if mode & linux::S_IXGRP != 0 {
                new.mode.store(mode & !linux::S_ISGID, Relaxed);
            }
        }
    }
}

/// Makes a system call. None if it is not one on files.
pub(crate) fn call(caller: &mut Caller<'_>, number: u32, args: &Args) -> Option<Answer> {
    let [a, b, c, d, e, _] = *args;
    Some(match number {
        linux::__NR_open => open::openat(caller, AT_FDCWD, a, b, c),
        linux::__NR_openat => open::openat(caller, a, b, c, d),
        linux::__NR_creat => open::openat(caller, AT_FDCWD, a, open::CREAT_FLAGS, b),
        linux::__NR_memfd_create => open::memfd_create(caller, a, b),
        linux::__NR_pipe => open::pipe2(caller, a, 0),
        linux::__NR_pipe2 => open::pipe2(caller, a, b),

        linux::__NR_close => fd::close(caller, a),
        linux::__NR_close_range => fd::close_range(caller, a, b, c),
        linux::__NR_dup => fd::dup(caller, a),
        linux::__NR_dup2 => fd::dup2(caller, a, b),
        linux::__NR_dup3 => fd::dup3(caller, a, b, c),
        linux::__NR_fcntl => fd::fcntl(caller, a, b, c),
        linux::__NR_flock => lock::flock(caller, a, b),
        linux::__NR_ioctl => fd::ioctl(caller, a, b, c),

        linux::__NR_read => io::read(caller, args),
        linux::__NR_write => io::write(caller, number, args),
        linux::__NR_pread64 => io::pread64(caller, args),
        linux::__NR_pwrite64 => io::pwrite64(caller, args),
        linux::__NR_readv => io::readv(caller, args),
        linux::__NR_writev => io::writev(caller, number, args),
        linux::__NR_preadv => io::preadv(caller, args),
        linux::__NR_pwritev => io::pwritev(caller, args),
        linux::__NR_sendfile => copy::sendfile(caller, a, b, c, d),

        linux::__NR_lseek => size::lseek(caller, a, b, c),
        linux::__NR_ftruncate => size::ftruncate(caller, a, b),
        linux::__NR_truncate => size::truncate(caller, a, b),
        linux::__NR_fallocate => size::fallocate(caller, a, b, c, d),
        linux::__NR_fsync | linux::__NR_fdatasync => size::fsync(caller, a),
        linux::__NR_syncfs => size::syncfs(caller, a),
        linux::__NR_sync => Ok(size::sync(caller)),
        linux::__NR_fadvise64 => advise::fadvise64(caller, a, b, c, d),
        linux::__NR_readahead => advise::readahead(caller, a, b, c),

        linux::__NR_stat => stat::newfstatat(caller, AT_FDCWD, a, b, 0),
        linux::__NR_lstat => {
            stat::newfstatat(caller, AT_FDCWD, a, b, linux::AT_SYMLINK_NOFOLLOW.into())
        }
        linux::__NR_fstat => stat::fstat(caller, a, b),
        linux::__NR_newfstatat => stat::newfstatat(caller, a, b, c, d),
        linux::__NR_statx => stat::statx(caller, a, b, c, e),
        linux::__NR_access => stat::faccessat(caller, AT_FDCWD, a, b, 0),
        linux::__NR_faccessat => stat::faccessat(caller, a, b, c, 0),
        linux::__NR_faccessat2 => stat::faccessat(caller, a, b, c, d),
        linux::__NR_chmod => stat::fchmodat(caller, AT_FDCWD, a, b),
        linux::__NR_fchmodat => stat::fchmodat(caller, a, b, c),
        linux::__NR_fchmod => stat::fchmod(caller, a, b),
        linux::__NR_utimensat => stat::utimensat(caller, a, b, c, d),

        linux::__NR_chown => owner::chown(caller, a, b, c),
        linux::__NR_lchown => owner::lchown(caller, a, b, c),
        linux::__NR_fchown => owner::fchown(caller, a, b, c),
        linux::__NR_fchownat => owner::fchownat(caller, [a, b, c, d, e]),
        linux::__NR_statfs => statfs::statfs(caller, a, b),
        linux::__NR_fstatfs => statfs::fstatfs(caller, a, b),

        linux::__NR_unlink => name::unlinkat(caller, AT_FDCWD, a, 0),
        linux::__NR_unlinkat => name::unlinkat(caller, a, b, c),
        linux::__NR_rmdir => name::unlinkat(caller, AT_FDCWD, a, linux::AT_REMOVEDIR.into()),
        linux::__NR_mknod => node::mknodat(caller, AT_FDCWD, a, b, c),
        linux::__NR_mknodat => node::mknodat(caller, a, b, c, d),
        linux::__NR_mkdir => name::mkdirat(caller, AT_FDCWD, a, b),
        linux::__NR_mkdirat => name::mkdirat(caller, a, b, c),
        linux::__NR_rename => name::renameat2(caller, [AT_FDCWD, a, AT_FDCWD, b, 0]),
        linux::__NR_renameat => name::renameat2(caller, [a, b, c, d, 0]),
        linux::__NR_renameat2 => name::renameat2(caller, [a, b, c, d, e]),
        linux::__NR_link => name::linkat(caller, [AT_FDCWD, a, AT_FDCWD, b, 0]),
        linux::__NR_linkat => name::linkat(caller, [a, b, c, d, e]),
        linux::__NR_symlink => name::symlinkat(caller, a, AT_FDCWD, b),
        linux::__NR_symlinkat => name::symlinkat(caller, a, b, c),
        linux::__NR_readlink => name::readlinkat(caller, AT_FDCWD, a, b, c),
        linux::__NR_readlinkat => name::readlinkat(caller, a, b, c, d),

        linux::__NR_getdents64 => list::getdents64(caller, a, b, c),
        linux::__NR_getcwd => list::getcwd(caller, a, b),
        linux::__NR_chdir => list::chdir(caller, a),
        linux::__NR_fchdir => list::fchdir(caller, a),
        linux::__NR_umask => Ok(list::umask(caller, a)),
        _ => return None,
    })
}
