//! Seals: what a file of memfd_create allows no more (Linux mm/memfd.c).

use super::Caller;
use crate::fs::{
    file::{OpenFile, Opened},
    inode::NEVER_SEALED,
    memory::mm,
    transfer::Answer,
};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

const ALL: u32 = linux::F_SEAL_SEAL
    | linux::F_SEAL_SHRINK
    | linux::F_SEAL_GROW
    | linux::F_SEAL_WRITE
    | linux::F_SEAL_FUTURE_WRITE
    | linux::F_SEAL_EXEC;

/// Seals that forbid to write.
pub(super) const WRITES: u32 = linux::F_SEAL_WRITE | linux::F_SEAL_FUTURE_WRITE;

pub(super) fn get(file: &OpenFile) -> Answer {
    match file.dentry.inode.seals.load(Relaxed) {
        NEVER_SEALED => Err(Errno::EINVAL.into()),
        seals => Ok(seals.into()),
    }
}

pub(super) fn add(_: &mut Caller<'_>, file: &OpenFile, seals: u64) -> Answer {
    let inode = &file.dentry.inode;
    let mut seals = seals as u32;
    if !file.is_writable() {
        return Err(Errno::EPERM.into());
    }
    if seals & !ALL != 0 {
        return Err(Errno::EINVAL.into());
    }
    let on = inode.seals.load(Relaxed);
    if on == NEVER_SEALED {
        return Err(Errno::EINVAL.into());
    }
    if on & linux::F_SEAL_SEAL != 0 {
        return Err(Errno::EPERM.into());
    }
    if seals & linux::F_SEAL_WRITE != 0
        && on & linux::F_SEAL_WRITE == 0
        && let Opened::Regular(content) = &file.opened
        && mm().file_may_be_stored_to(content.id())
    {
        return Err(Errno::EBUSY.into());
    }
    // Code that cannot change is what this one is for.
    if seals & linux::F_SEAL_EXEC != 0 && inode.mode.load(Relaxed) & 0o111 != 0 {
        seals |= linux::F_SEAL_SHRINK | linux::F_SEAL_GROW | WRITES;
    }
    inode.seals.store(on | seals, Relaxed);
    Ok(0)
}
