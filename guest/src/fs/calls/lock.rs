//! Locks: flock, and fcntl's.

use super::{Caller, fd};
use crate::fs::{
    file::OpenFile,
    locks::{self, Kind, LAST, Lock, Owner, Tried},
    object::Shared,
    transfer::{Answer, Stop},
};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// C's `struct flock`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Flock {
    kind: i16,
    whence: i16,
    pad: u32,
    start: i64,
    len: i64,
    pid: i32,
    pad_end: u32,
}

const _: () = assert!(size_of::<Flock>() == size_of::<linux::flock>());

pub(super) fn flock(caller: &mut Caller<'_>, number: u64, operation: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    if file.has(linux::O_PATH) {
        return Err(Errno::EBADF.into());
    }
    let operation = operation as u32;
    let waits = operation & linux::LOCK_NB == 0;
    let mut wanted = Lock {
        ino: file.dentry.inode.ino,
        kind: Kind::Whole,
        owner: file.owner(),
        exclusive: false,
        start: 0,
        end: LAST,
        pid: caller.pid,
    };
    match operation & !linux::LOCK_NB {
        linux::LOCK_UN => {
            locks::unlock(&wanted)?;
            return Ok(0);
        }
        linux::LOCK_SH => {}
        linux::LOCK_EX => wanted.exclusive = true,
        _ => return Err(Errno::EINVAL.into()),
    }
    match locks::lock(&wanted)? {
        Tried::Done => Ok(0),
        Tried::Conflict(_) => {
            // As Linux: who has another one loses it, and who waits holds up nobody.
            locks::unlock(&wanted)?;
            Err(if waits {
                Stop::Wait
            } else {
                Errno::EAGAIN.into()
            })
        }
    }
}

/// fcntl with a command on records.
pub(super) fn record(
    caller: &mut Caller<'_>,
    file: &Shared<OpenFile>,
    command: u32,
    at: u64,
) -> Answer {
    let mut asked: Flock = caller.program.get(at)?;
    let is_of_file = matches!(
        command,
        linux::F_OFD_GETLK | linux::F_OFD_SETLK | linux::F_OFD_SETLKW
    );
    if is_of_file && asked.pid != 0 {
        return Err(Errno::EINVAL.into());
    }
    let owner = if is_of_file {
        file.owner()
    } else {
        caller.files.owner()
    };
    let (start, end) = range(file, &asked)?;
    let wanted = Lock {
        ino: file.dentry.inode.ino,
        kind: Kind::Record,
        owner,
        exclusive: asked.kind == linux::F_WRLCK as i16,
        start,
        end,
        pid: caller.pid,
    };
    let gets = matches!(command, linux::F_GETLK | linux::F_OFD_GETLK);
    match u32::from(asked.kind as u16) {
        linux::F_UNLCK if gets => return Err(Errno::EINVAL.into()),
        linux::F_RDLCK | linux::F_WRLCK if gets => {
            match locks::in_the_way(&wanted) {
                Some(other) => asked.tell(&other),
                None => asked.kind = linux::F_UNLCK as i16,
            }
            caller.program.put(at, &asked)?;
            return Ok(0);
        }
        linux::F_UNLCK => {
            locks::unlock(&wanted)?;
            return Ok(0);
        }
        linux::F_RDLCK if file.is_readable() => {}
        linux::F_WRLCK if file.is_writable() => {}
        linux::F_RDLCK | linux::F_WRLCK => return Err(Errno::EBADF.into()),
        _ => return Err(Errno::EINVAL.into()),
    }
    match locks::lock(&wanted)? {
        Tried::Done => Ok(0),
        Tried::Conflict(other) => {
            if matches!(command, linux::F_SETLK | linux::F_OFD_SETLK) {
                return Err(Errno::EAGAIN.into());
            }
            // An open file can be several processes', so none of them is known to wait for itself.
            if !is_of_file {
                locks::wait_for(owner, other.owner)?;
            }
            Err(Stop::Wait)
        }
    }
}

impl Flock {
    /// Says who is in the way.
    fn tell(&mut self, other: &Lock) {
        let kind = if other.exclusive {
            linux::F_WRLCK
        } else {
            linux::F_RDLCK
        };
        self.kind = kind as i16;
        self.whence = linux::SEEK_SET as i16;
        self.start = other.start as i64;
        self.len = match other.end {
            LAST => 0,
            end => (end - other.start + 1) as i64,
        };
        self.pid = match other.owner {
            Owner::Process(_) => other.pid as i32,
            Owner::File(_) => -1,
        };
    }
}

/// The first and the last byte that is meant (Linux: `flock64_to_posix_lock`).
fn range(file: &OpenFile, asked: &Flock) -> Result<(u64, u64), Errno> {
    let base = match u32::from(asked.whence as u16) {
        linux::SEEK_SET => 0,
        linux::SEEK_CUR => file.position.load(Relaxed) as i64,
        linux::SEEK_END => file.dentry.inode.size() as i64,
        _ => return Err(Errno::EINVAL),
    };
    let start = base.checked_add(asked.start).ok_or(Errno::EOVERFLOW)?;
    if start < 0 {
        return Err(Errno::EINVAL);
    }
    let (start, end) = match asked.len {
        0 => (start, i64::MAX),
        len @ 1.. => (start, start.checked_add(len - 1).ok_or(Errno::EOVERFLOW)?),
        len => (start + len, start - 1),
    };
    if start < 0 {
        return Err(Errno::EINVAL);
    }
    Ok((start as u64, end as u64))
}
