//! What is known of a file system.

use super::{AT_FDCWD, Caller, fd};
use crate::fs::{dentry::Dentry, memory::mm, path::AtEnd, transfer::Answer};
use pagelab_abi::PAGE_SIZE;
use zerocopy::{FromZeros, Immutable, IntoBytes};

/// Kinds of file systems (Linux include/uapi/linux/magic.h).
const RAMFS_MAGIC: u64 = 0x8584_58f6;
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Longest name.
const NAME_MAX: u64 = 255;

/// `struct statfs`.
#[derive(FromZeros, IntoBytes, Immutable)]
#[repr(C)]
struct Statfs {
    kind: u64,
    block_size: u64,
    blocks: u64,
    free: u64,
    available: u64,
    files: u64,
    free_files: u64,
    id: [u32; 2],
    name_length: u64,
    fragment_size: u64,
    flags: u64,
    spare: [u64; 4],
}

pub(super) fn statfs(caller: &mut Caller<'_>, path: u64, at: u64) -> Answer {
    let dentry = caller.walk_at(AT_FDCWD, path, AtEnd::Follow)?.existing()?;
    fill(caller, &dentry, at)
}

pub(super) fn fstatfs(caller: &mut Caller<'_>, number: u64, at: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    fill(caller, &file.dentry, at)
}

fn fill(caller: &mut Caller<'_>, dentry: &Dentry, at: u64) -> Answer {
    let mut found = Statfs::new_zeroed();
    found.block_size = PAGE_SIZE;
    found.fragment_size = PAGE_SIZE;
    found.name_length = NAME_MAX;
    if dentry.inode.is_transient() {
        found.kind = PROC_SUPER_MAGIC;
    } else {
        found.kind = RAMFS_MAGIC;
        found.free = mm().free_pages_total();
        found.available = found.free;
        found.blocks = managed_pages();
    }
    caller.program.put(at, &found)?;
    Ok(0)
}

/// A file system in memory may grow to all of it.
fn managed_pages() -> u64 {
    let managed = |zone: &pagelab_abi::zone::Zone| -> u64 {
        zone.managed
            .load(core::sync::atomic::Ordering::Relaxed)
            .into()
    };
    mm().zones().iter().map(managed).sum()
}
