//! Names become descriptors.

use super::{Caller, Resolved};
use crate::fs::{
    dentry::Dentry,
    disk,
    file::{OpenFile, Opened},
    inode::{Content, Inode, Kind},
    memory::mm,
    object::Shared,
    path::AtEnd,
    pipe::{End, Pipe},
    proc, task,
    transfer::{Answer, Stop},
};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use pagelab_mm::page_cache::FileError;

/// What creat asks open for.
pub(super) const CREAT_FLAGS: u64 = (linux::O_CREAT | linux::O_WRONLY | linux::O_TRUNC) as u64;

/// The bit of `O_TMPFILE` that is its own.
const TMPFILE: u32 = linux::O_TMPFILE & !linux::O_DIRECTORY;

/// Longest name of a memfd (Linux mm/memfd.c: `MFD_NAME_MAX_LEN`).
const MEMFD_NAME_MAX: usize = 249;

pub(super) fn openat(
    caller: &mut Caller<'_>,
    dirfd: u64,
    at: u64,
    flags: u64,
    mode: u64,
) -> Answer {
    let path = caller.program.path(at)?;
    let flags = checked(flags as u32)?;
    // First, so that nothing is made in vain.
    let fd = caller.files.reserve(0, caller.nofile)?;
    let call = [dirfd, at, flags.into()];
    let file = caller.open(call, &path, flags, mode as u32)?;
    let closes = flags & linux::O_CLOEXEC != 0;
    drop(caller.files.put(fd, file, closes)?);
    Ok(fd.into())
}

/// Flags as the rest of open wants them.
fn checked(flags: u32) -> Result<u32, Errno> {
    if flags & linux::O_PATH != 0 {
        let kept = linux::O_PATH | linux::O_DIRECTORY | linux::O_NOFOLLOW | linux::O_CLOEXEC;
        return Ok(flags & kept);
    }
    if flags & TMPFILE != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if flags & linux::O_CREAT != 0 && flags & linux::O_DIRECTORY != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(flags)
}

impl Caller<'_> {
    fn open(
        &mut self,
        call: [u64; 3],
        path: &[u8],
        flags: u32,
        mode: u32,
    ) -> Result<Shared<OpenFile>, Stop> {
        let [dirfd, ..] = call;
        let creates = flags & linux::O_CREAT != 0;
        let is_exclusive = creates && flags & linux::O_EXCL != 0;
        let follow = flags & linux::O_NOFOLLOW == 0 && !is_exclusive;
        let at_end = match (creates, follow) {
            (true, true) => AtEnd::Create,
            (true, false) => AtEnd::CreateNew,
            (false, true) => AtEnd::Follow,
            (false, false) => AtEnd::Keep,
        };
        let resolved = self.walk(dirfd, path, at_end)?;
        match &resolved.found {
            Some(_) if is_exclusive => Err(Errno::EEXIST.into()),
            Some(dentry) => {
                let dentry = dentry.clone();
                self.check_open(&dentry.inode, flags)?;
                match &dentry.inode.kind {
                    Kind::Fifo(pipe) if flags & (linux::O_PATH | linux::O_DIRECTORY) == 0 => {
                        self.open_fifo(&dentry, pipe, flags, call)
                    }
                    _ => Ok(self.open_existing(&dentry, flags)?),
                }
            }
            None if creates => {
                let dentry = self.create(&resolved, mode)?;
                // What was just made is open for all that was asked.
                let opened = OpenFile::behind(&dentry.inode.kind).ok_or(Errno::ENXIO)?;
                let file = OpenFile::create(opened, dentry.clone(), flags);
                if file.is_err() {
                    disk::unlink(&dentry)?;
                }
                Ok(file?)
            }
            None => Err(Errno::ENOENT.into()),
        }
    }

    /// Makes an empty file.
    fn create(&self, at: &Resolved, mode: u32) -> Result<Shared<Dentry>, Errno> {
        self.check_parent(at)?;
        let mode = mode & 0o7777 & !self.files.umask;
        self.make(at, disk::New::Regular, mode)
    }

    /// Whether the caller may open something that is there (Linux fs/namei.c: `may_open`). What is no file
    /// to be opened is refused later.
    fn check_open(&self, inode: &Inode, flags: u32) -> Result<(), Errno> {
        if flags & linux::O_PATH != 0 || matches!(inode.kind, Kind::Symlink(_)) {
            return Ok(());
        }
        let mut wanted = match flags & linux::O_ACCMODE {
            linux::O_RDONLY => linux::R_OK,
            linux::O_WRONLY => linux::W_OK,
            _ => linux::R_OK | linux::W_OK,
        };
        if flags & linux::O_TRUNC != 0 {
            wanted |= linux::W_OK;
        }
        if inode.is_dir() && wanted & linux::W_OK != 0 {
            return Ok(());
        }
        if flags & linux::O_DIRECTORY != 0 && !inode.is_dir() {
            return Ok(());
        }
        self.check(inode, wanted)?;
        if flags & linux::O_NOATIME != 0 {
            self.check_owner(inode)?;
        }
        Ok(())
    }

    fn open_existing(
        &mut self,
        dentry: &Shared<Dentry>,
        flags: u32,
    ) -> Result<Shared<OpenFile>, Errno> {
        let inode = &dentry.inode;
        if flags & linux::O_DIRECTORY != 0 && !inode.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if flags & linux::O_PATH != 0 {
            return OpenFile::create(Opened::Path, dentry.clone(), flags);
        }
        let writes = flags & linux::O_ACCMODE != linux::O_RDONLY;
        if inode.is_dir() && (writes || flags & (linux::O_CREAT | linux::O_TRUNC) != 0) {
            return Err(Errno::EISDIR);
        }
        let opened = match &inode.kind {
            Kind::Symlink(_) => return Err(Errno::ELOOP),
            Kind::Proc(node)
                if let Some(pid) = node.private_to()
                    && !task::may_look_into(self.cred.viewer(), pid) =>
            {
                return Err(Errno::EACCES);
            }
            Kind::Proc(node) if node.is_text() => {
                Opened::Text(proc::text(*node, &self.files.root, self.program)?)
            }
            kind => OpenFile::behind(kind).ok_or(Errno::ENXIO)?,
        };
        let file = OpenFile::create(opened, dentry.clone(), flags)?;
        if flags & linux::O_TRUNC != 0
            && let Opened::Regular(content) = &file.opened
        {
            mm().truncate(content.id(), 0).map_err(FileError::errno)?;
            inode.modified();
        }
        Ok(file)
    }
}

impl Caller<'_> {
    /// Whether the caller can make a name there.
    ///
    /// # Errors
    /// ENOENT in a directory that was removed; EACCES in one that is made when it is looked at, or that the
    /// caller may not write to.
    pub(super) fn check_parent(&self, at: &Resolved) -> Result<(), Errno> {
        if at.parent.inode.is_transient() {
            return Err(Errno::EACCES);
        }
        if at.parent.inode.nlink.load(Relaxed) == 0 {
            return Err(Errno::ENOENT);
        }
        self.check(&at.parent.inode, linux::W_OK | linux::X_OK)
    }

    /// Makes what has no name the caller's.
    fn own_nameless(&self, inode: &Inode) {
        let who = self.cred.viewer();
        inode.uid.store(who.uid, Relaxed);
        inode.gid.store(who.gid, Relaxed);
    }
}

pub(super) fn memfd_create(caller: &mut Caller<'_>, name: u64, flags: u64) -> Answer {
    let known =
        linux::MFD_CLOEXEC | linux::MFD_ALLOW_SEALING | linux::MFD_NOEXEC_SEAL | linux::MFD_EXEC;
    if flags & !u64::from(known) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let given = match caller.program.path(name) {
        Err(Errno::ENAMETOOLONG) => return Err(Errno::EINVAL.into()),
        given => given?,
    };
    if given.len() > MEMFD_NAME_MAX {
        return Err(Errno::EINVAL.into());
    }
    const PREFIX: &[u8] = b"memfd:";
    let mut name = [0; MEMFD_NAME_MAX + PREFIX.len()];
    name[..PREFIX.len()].copy_from_slice(PREFIX);
    name[PREFIX.len()..PREFIX.len() + given.len()].copy_from_slice(&given);
    let both = u64::from(linux::MFD_EXEC | linux::MFD_NOEXEC_SEAL);
    if flags & both == both {
        return Err(Errno::EINVAL.into());
    }
    let (mode, seals) = if flags & u64::from(linux::MFD_NOEXEC_SEAL) != 0 {
        (0o666, linux::F_SEAL_EXEC)
    } else if flags & u64::from(linux::MFD_ALLOW_SEALING) != 0 {
        (0o777, 0)
    } else {
        (0o777, linux::F_SEAL_SEAL)
    };
    let content = Content::new_shmem()?;
    let inode = Inode::create(Kind::Regular(content.clone()), mode)?;
    inode.seals.store(seals, Relaxed);
    caller.own_nameless(&inode);
    let dentry = Dentry::create(&name[..PREFIX.len() + given.len()], inode, None)?;
    let file = OpenFile::create(Opened::Regular(content), dentry, linux::O_RDWR)?;
    let closes = flags & u64::from(linux::MFD_CLOEXEC) != 0;
    Ok(caller.files.add(file, 0, caller.nofile, closes)?.into())
}

pub(super) fn pipe2(caller: &mut Caller<'_>, fds: u64, flags: u64) -> Answer {
    let flags = flags as u32;
    if flags & !(linux::O_CLOEXEC | linux::O_NONBLOCK | linux::O_DIRECT) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let pipe = Pipe::create()?;
    let inode = Inode::create(Kind::Pipe(pipe.clone()), 0o600)?;
    caller.own_nameless(&inode);
    inode.nlink.store(1, Relaxed);
    let dentry = Dentry::create(b"pipe", inode, None)?;
    let kept = flags & (linux::O_NONBLOCK | linux::O_DIRECT);
    let end =
        |end, mode| OpenFile::create(Opened::Pipe(pipe.clone(), end), dentry.clone(), kept | mode);
    let (reader, writer) = (
        end(End::Read, linux::O_RDONLY)?,
        end(End::Write, linux::O_WRONLY)?,
    );
    let closes = flags & linux::O_CLOEXEC != 0;
    let first = caller.files.add(reader, 0, caller.nofile, closes)?;
    let added = caller
        .files
        .add(writer, 0, caller.nofile, closes)
        .and_then(|second| match caller.program.put(fds, &[first, second]) {
            Ok(()) => Ok(0),
            Err(errno) => {
                caller.files.close(second)?;
                Err(errno)
            }
        });
    if added.is_err() {
        caller.files.close(first)?;
    }
    Ok(added?)
}
