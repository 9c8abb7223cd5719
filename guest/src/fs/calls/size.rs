//! Sizes and positions.

use super::{AT_FDCWD, Caller, fd, seal::WRITES};
use crate::fs::{
    disk,
    file::Opened,
    inode::{Inode, Kind},
    memory::mm,
    path::AtEnd,
    transfer::{Answer, MAX_SIZE},
};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use linux_raw_sys::general as linux;
use pagelab_abi::{PAGE_SIZE, errno::Errno};
use pagelab_mm::{
    AllocError, FileId,
    page_cache::{FILE_GFP, FileError},
};

pub(super) fn lseek(caller: &mut Caller<'_>, number: u64, offset: u64, whence: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    if !file.seeks() {
        return Err(match file.opened {
            Opened::Path => Errno::EBADF,
            _ => Errno::ESPIPE,
        }
        .into());
    }
    if matches!(file.opened, Opened::Device(_)) {
        return Ok(0);
    }
    let offset = offset as i64;
    let size = file.dentry.inode.size() as i64;
    let here = file.position.load(Relaxed) as i64;
    let inside = (0..size).contains(&offset);
    let target = match whence as u32 {
        linux::SEEK_SET => Some(offset),
        linux::SEEK_CUR => here.checked_add(offset),
        linux::SEEK_END if matches!(file.opened, Opened::Directory) => None,
        linux::SEEK_END => size.checked_add(offset),
        linux::SEEK_DATA | linux::SEEK_HOLE if !inside => return Err(Errno::ENXIO.into()),
        linux::SEEK_DATA => Some(offset),
        linux::SEEK_HOLE => Some(size),
        _ => None,
    };
    let target = target.filter(|&at| at >= 0).ok_or(Errno::EINVAL)? as u64;
    file.position.store(target, Relaxed);
    Ok(target)
}

pub(super) fn ftruncate(caller: &mut Caller<'_>, number: u64, size: u64) -> Answer {
    if size > MAX_SIZE {
        return Err(Errno::EINVAL.into());
    }
    let file = caller.files.get(fd(number))?;
    if file.has(linux::O_PATH) {
        return Err(Errno::EBADF.into());
    }
    if !file.is_writable() || !matches!(file.opened, Opened::Regular(_)) {
        return Err(Errno::EINVAL.into());
    }
    set_size(&file.dentry.inode, size)
}

pub(super) fn truncate(caller: &mut Caller<'_>, path: u64, size: u64) -> Answer {
    if size > MAX_SIZE {
        return Err(Errno::EINVAL.into());
    }
    let dentry = caller.walk_at(AT_FDCWD, path, AtEnd::Follow)?.existing()?;
    if dentry.inode.is_dir() {
        return Err(Errno::EISDIR.into());
    }
    if matches!(dentry.inode.kind, Kind::Regular(_)) {
        caller.check(&dentry.inode, linux::W_OK)?;
    }
    set_size(&dentry.inode, size)
}

fn set_size(inode: &Inode, size: u64) -> Answer {
    let Kind::Regular(content) = &inode.kind else {
        return Err(Errno::EINVAL.into());
    };
    let old = inode.size();
    if size < old && inode.is_sealed(linux::F_SEAL_SHRINK)
        || size > old && inode.is_sealed(linux::F_SEAL_GROW)
    {
        return Err(Errno::EPERM.into());
    }
    mm().truncate(content.id(), size)
        .map_err(FileError::errno)?;
    inode.modified();
    Ok(0)
}

pub(super) fn fallocate(
    caller: &mut Caller<'_>,
    number: u64,
    mode: u64,
    offset: u64,
    len: u64,
) -> Answer {
    let file = caller.files.get(fd(number))?;
    let mode = mode as u32;
    if offset > MAX_SIZE || len > MAX_SIZE || len == 0 {
        return Err(Errno::EINVAL.into());
    }
    const PUNCH: u32 = linux::FALLOC_FL_PUNCH_HOLE | linux::FALLOC_FL_KEEP_SIZE;
    if !matches!(mode, 0 | linux::FALLOC_FL_KEEP_SIZE | PUNCH) {
        return Err(Errno::EOPNOTSUPP.into());
    }
    if !file.is_writable() {
        return Err(Errno::EBADF.into());
    }
    let content = match &file.opened {
        Opened::Regular(content) => content.id(),
        Opened::Pipe(..) => return Err(Errno::ESPIPE.into()),
        _ => return Err(Errno::ENODEV.into()),
    };
    if file.dentry.inode.disk != 0 {
        // As Linux's ext2.
        return Err(Errno::EOPNOTSUPP.into());
    }
    let end = offset + len;
    if end > MAX_SIZE {
        return Err(Errno::EFBIG.into());
    }
    let inode = &file.dentry.inode;
    if mode == PUNCH && inode.is_sealed(WRITES)
        || mode == 0 && end > inode.size() && inode.is_sealed(linux::F_SEAL_GROW)
    {
        return Err(Errno::EPERM.into());
    }
    if mode == PUNCH {
        mm().punch_hole(content, offset, end)
            .map_err(FileError::errno)?;
    } else {
        reserve(content, offset..end, mode == 0)?;
    }
    file.dentry.inode.modified();
    Ok(0)
}

/// Makes pages of a range of a file. It becomes as long as the range if it `grows`; otherwise pages
/// behind its end are not made, for nobody could see them. The size comes first, so that no page is
/// ever behind it; if memory runs out, both are as before.
fn reserve(file: FileId, range: Range<u64>, grows: bool) -> Result<(), Errno> {
    let old = mm().file_size(file);
    let size = if grows { old.max(range.end) } else { old };
    mm().truncate(file, size).map_err(FileError::errno)?;
    for page in range.start / PAGE_SIZE..range.end.min(size).div_ceil(PAGE_SIZE) {
        let made = mm().file_page(file, page, true, FILE_GFP);
        let errno = match made {
            Ok(Some(pfn)) => {
                mm().put_page(pfn);
                continue;
            }
            Err(FileError::Memory(AllocError::BadRequest)) => Errno::EFBIG,
            Err(FileError::Io) => Errno::EIO,
            _ => Errno::ENOSPC,
        };
        // Making it shorter again needs no memory.
        let _ = mm().truncate(file, old);
        return Err(errno);
    }
    Ok(())
}

pub(super) fn fsync(caller: &mut Caller<'_>, number: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    match file.opened {
        Opened::Regular(_) | Opened::Directory => {
            disk::fsync(&file)?;
            Ok(0)
        }
        Opened::Path => Err(Errno::EBADF.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(super) fn sync(caller: &mut Caller<'_>) -> u64 {
    disk::sync(&caller.files.root);
    0
}

/// There is one file system that has anything to write.
pub(super) fn syncfs(caller: &mut Caller<'_>, number: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    if file.has(linux::O_PATH) {
        return Err(Errno::EBADF.into());
    }
    Ok(sync(caller))
}
