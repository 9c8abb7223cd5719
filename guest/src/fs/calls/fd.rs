//! Descriptors.

use super::{Caller, fd, lock, seal};
use crate::fs::{
    file::{CHANGEABLE, OpenFile, Opened},
    object::Shared,
    pipe,
    table::MAX_FILES,
    transfer::Answer,
};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::{general as linux, ioctl};
use pagelab_abi::errno::Errno;

/// Flags of close_range (Linux include/uapi/linux/close_range.h).
const CLOSE_RANGE_UNSHARE: u32 = 1 << 1;
const CLOSE_RANGE_CLOEXEC: u32 = 1 << 2;

pub(super) fn close(caller: &mut Caller<'_>, number: u64) -> Answer {
    caller.files.close(fd(number))?;
    Ok(0)
}

pub(super) fn close_range(caller: &mut Caller<'_>, first: u64, last: u64, flags: u64) -> Answer {
    let (first, last, flags) = (first as u32, last as u32, flags as u32);
    if flags & !(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE) != 0 || first > last {
        return Err(Errno::EINVAL.into());
    }
    let end = u64::from(last).saturating_add(1).min(MAX_FILES) as u32;
    for number in first..end {
        if flags & CLOSE_RANGE_CLOEXEC == 0 {
            // Those that are not open stay so.
            let _ = caller.files.close(number);
        } else if caller.files.get(number).is_ok() {
            caller.files.set_close_on_exec(number, true);
        }
    }
    Ok(0)
}

pub(super) fn dup(caller: &mut Caller<'_>, number: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    Ok(caller.files.add(file, 0, caller.nofile, false)?.into())
}

pub(super) fn dup2(caller: &mut Caller<'_>, old: u64, new: u64) -> Answer {
    let file = caller.files.get(fd(old))?;
    if fd(old) == fd(new) {
        return Ok(fd(new).into());
    }
    replace(caller, file, fd(new), false)
}

pub(super) fn dup3(caller: &mut Caller<'_>, old: u64, new: u64, flags: u64) -> Answer {
    let flags = flags as u32;
    if flags & !linux::O_CLOEXEC != 0 || fd(old) == fd(new) {
        return Err(Errno::EINVAL.into());
    }
    let file = caller.files.get(fd(old))?;
    replace(caller, file, fd(new), flags & linux::O_CLOEXEC != 0)
}

fn replace(
    caller: &mut Caller<'_>,
    file: Shared<OpenFile>,
    number: u32,
    closes_on_exec: bool,
) -> Answer {
    if u64::from(number) >= caller.nofile.min(MAX_FILES) {
        return Err(Errno::EBADF.into());
    }
    drop(caller.files.put(number, file, closes_on_exec)?);
    Ok(number.into())
}

pub(super) fn fcntl(caller: &mut Caller<'_>, number: u64, command: u64, arg: u64) -> Answer {
    let number = fd(number);
    let file = caller.files.get(number)?;
    let answer = match command as u32 {
        linux::F_DUPFD => return duplicate(caller, file, arg, false),
        linux::F_DUPFD_CLOEXEC => return duplicate(caller, file, arg, true),
        linux::F_GETFD => u64::from(caller.files.is_close_on_exec(number)),
        linux::F_SETFD => {
            let closes = arg & u64::from(linux::FD_CLOEXEC) != 0;
            caller.files.set_close_on_exec(number, closes);
            0
        }
        linux::F_GETFL => file.flags().into(),
        linux::F_SETFL => {
            let kept = file.flags() & !CHANGEABLE;
            file.flags.store(kept | arg as u32 & CHANGEABLE, Relaxed);
            0
        }
        linux::F_GETPIPE_SZ => match &file.opened {
            Opened::Pipe(..) => pipe::CAPACITY as u64,
            _ => return Err(Errno::EBADF.into()),
        },
        linux::F_GETLK
        | linux::F_SETLK
        | linux::F_SETLKW
        | linux::F_OFD_GETLK
        | linux::F_OFD_SETLK
        | linux::F_OFD_SETLKW => {
            if file.has(linux::O_PATH) {
                return Err(Errno::EBADF.into());
            }
            return lock::record(caller, &file, command as u32, arg);
        }
        linux::F_GET_SEALS => return seal::get(&file),
        linux::F_ADD_SEALS => return seal::add(caller, &file, arg),
        linux::F_GETOWN | linux::F_SETOWN => 0,
        _ => return Err(Errno::EINVAL.into()),
    };
    Ok(answer)
}

fn duplicate(caller: &mut Caller<'_>, file: Shared<OpenFile>, min: u64, closes: bool) -> Answer {
    let min = min as u32;
    if u64::from(min) >= caller.nofile {
        return Err(Errno::EINVAL.into());
    }
    Ok(caller.files.add(file, min, caller.nofile, closes)?.into())
}

pub(super) fn ioctl(caller: &mut Caller<'_>, number: u64, command: u64, arg: u64) -> Answer {
    let number = fd(number);
    let file = caller.files.get(number)?;
    if file.has(linux::O_PATH) {
        return Err(Errno::EBADF.into());
    }
    match command as u32 {
        ioctl::FIOCLEX => caller.files.set_close_on_exec(number, true),
        ioctl::FIONCLEX => caller.files.set_close_on_exec(number, false),
        ioctl::FIONBIO => {
            let on: i32 = caller.program.get(arg)?;
            if on != 0 {
                file.flags.fetch_or(linux::O_NONBLOCK, Relaxed);
            } else {
                file.flags.fetch_and(!linux::O_NONBLOCK, Relaxed);
            }
        }
        ioctl::FIONREAD => match &file.opened {
            Opened::Pipe(pipe, _) => {
                caller.program.put(arg, &(pipe.len() as i32))?;
            }
            Opened::Regular(_) => {
                let left = file
                    .dentry
                    .inode
                    .size()
                    .saturating_sub(file.position.load(Relaxed));
                caller.program.put(arg, &(left as i32))?;
            }
            _ => return Err(Errno::ENOTTY.into()),
        },
        // TCGETS, TIOCGWINSZ and all others: what a program's output goes to is a line, but no
        // terminal.
        _ => return Err(Errno::ENOTTY.into()),
    }
    Ok(0)
}
