//! Directories: their names, and being in one.

use super::{AT_FDCWD, Caller, fd};
use crate::fs::{
    dentry::{Dentry, NAME_MAX},
    file::Opened,
    inode::{Inode, Kind},
    object::{Bytes, Shared},
    path::{AtEnd, PATH_MAX},
    proc,
    transfer::Answer,
};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

/// Bytes of an entry before its name: inode, offset, length, type.
const HEADER: usize = 19;

/// The longest entry.
const LONGEST: usize = (HEADER + NAME_MAX + 1).next_multiple_of(8);

/// What an entry says.
struct Entry<'n> {
    ino: u64,
    /// Position of the entry after it.
    next: u64,
    kind: u8,
    name: &'n [u8],
}

impl Entry<'_> {
    /// As `struct linux_dirent64`; how long it is.
    fn write(&self, to: &mut [u8; LONGEST]) -> usize {
        let len = (HEADER + self.name.len() + 1).next_multiple_of(8);
        to.fill(0);
        to[..8].copy_from_slice(&self.ino.to_le_bytes());
        to[8..16].copy_from_slice(&self.next.to_le_bytes());
        to[16..18].copy_from_slice(&(len as u16).to_le_bytes());
        to[18] = self.kind;
        to[HEADER..HEADER + self.name.len()].copy_from_slice(self.name);
        len
    }
}

/// `d_type` of an inode.
fn d_type(inode: &Inode) -> u8 {
    (inode.st_mode() >> 12) as u8
}

pub(super) fn getdents64(caller: &mut Caller<'_>, number: u64, buf: u64, len: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    if !matches!(file.opened, Opened::Directory) {
        return Err(match file.opened {
            Opened::Path => Errno::EBADF,
            _ => Errno::ENOTDIR,
        }
        .into());
    }
    if file.dentry.inode.nlink.load(Relaxed) == 0 {
        return Err(Errno::ENOENT.into());
    }
    let room = u64::from(len as u32);
    let mut done = 0;
    let mut bytes = [0; LONGEST];
    loop {
        let position = file.position.load(Relaxed);
        let Some((len, next)) = entry(&file.dentry, position, &mut bytes) else {
            return Ok(done);
        };
        if done + len as u64 > room {
            return if done > 0 {
                Ok(done)
            } else {
                Err(Errno::EINVAL.into())
            };
        }
        match caller.program.put(buf.wrapping_add(done), &bytes[..len]) {
            Err(_) if done > 0 => return Ok(done),
            stored => stored?,
        }
        done += len as u64;
        file.position.store(next, Relaxed);
    }
}

/// Writes the first entry from a position on: its length, and the position after it.
fn entry(
    directory: &Shared<Dentry>,
    position: u64,
    to: &mut [u8; LONGEST],
) -> Option<(usize, u64)> {
    let own = |inode: &Inode, next, name, to: &mut _| {
        let entry = Entry {
            ino: inode.ino,
            next,
            kind: d_type(inode),
            name,
        };
        (entry.write(to), next)
    };
    match position {
        0 => return Some(own(&directory.inode, 1, b".", to)),
        1 => return Some(own(&directory.parent().inode, 2, b"..", to)),
        _ => {}
    }
    if let Kind::Proc(node) = directory.inode.kind {
        let (listed, after) = proc::listed(node, usize::try_from(position - 2).ok()?)?;
        let next = after as u64 + 2;
        let entry = Entry {
            ino: position,
            next,
            kind: 0,
            name: listed.name(),
        };
        return Some((entry.write(to), next));
    }
    if let Kind::Cgroup(group) = &directory.inode.kind {
        // Its files come before the groups in it, whose positions are far above.
        let place = usize::try_from(position - 2).ok()?;
        if let Some((name, _)) = group.files().nth(place) {
            let entry = Entry {
                ino: position,
                next: position + 1,
                kind: (linux::S_IFREG >> 12) as u8,
                name,
            };
            return Some((entry.write(to), position + 1));
        }
    }
    let listed = directory.next_listed(position)?;
    let next = listed.cookie + 1;
    let len = listed.dentry.with_name(|name| {
        let entry = Entry {
            ino: listed.dentry.inode.ino,
            next,
            kind: d_type(&listed.dentry.inode),
            name,
        };
        entry.write(to)
    });
    Some((len, next))
}

pub(super) fn getcwd(caller: &mut Caller<'_>, buf: u64, len: u64) -> Answer {
    let mut path = Bytes::zeroed(PATH_MAX)?;
    let end = PATH_MAX - 1;
    let start = match caller
        .files
        .cwd
        .path_to(&caller.files.root, &mut path[..end])
    {
        Err(Errno::ERANGE) => return Err(Errno::ENAMETOOLONG.into()),
        start => start?,
    };
    // With the NUL behind it.
    let text = &path[start..];
    if text.len() as u64 > len {
        return Err(Errno::ERANGE.into());
    }
    caller.program.put(buf, text)?;
    Ok(text.len() as u64)
}

pub(super) fn chdir(caller: &mut Caller<'_>, path: u64) -> Answer {
    let dentry = caller.walk_at(AT_FDCWD, path, AtEnd::Follow)?.existing()?;
    enter(caller, dentry)
}

pub(super) fn fchdir(caller: &mut Caller<'_>, number: u64) -> Answer {
    let dentry = caller.files.get(fd(number))?.dentry.clone();
    enter(caller, dentry)
}

fn enter(caller: &mut Caller<'_>, dentry: Shared<Dentry>) -> Answer {
    if !dentry.inode.is_dir() {
        return Err(Errno::ENOTDIR.into());
    }
    caller.check(&dentry.inode, linux::X_OK)?;
    caller.files.cwd = dentry;
    Ok(0)
}

pub(super) fn umask(caller: &mut Caller<'_>, mask: u64) -> u64 {
    let old = core::mem::replace(&mut caller.files.umask, mask as u32 & 0o777);
    old.into()
}

const _: () = assert!(linux::DT_DIR == linux::S_IFDIR >> 12);
