//! From a disk to a directory.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use pagelab_ext2::{BLOCK_SIZE, Device, Error, Ext2, FileKind, ROOT_INO, layout::Inode};

use super::error::StoreError;
use crate::devices::block::Backing;

/// Directories below each other that are followed: more than a path can have.
const MAX_DEPTH: usize = 2048;

type Disk<'a> = Ext2<&'a Backing>;

/// Copies what is on a disk into a directory, which is made if it is not there. The disk is not trusted: a
/// name on it is a name and no path, and links are copied, not followed.
///
/// # Errors
/// [`StoreError`].
pub fn unpack(disk: &Backing, to: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(to).map_err(StoreError::host(to))?;
    let mut there = fs::read_dir(to).map_err(StoreError::host(to))?;
    if there.next().is_some() {
        return Err(StoreError::NotEmpty(to.to_owned()));
    }
    let disk = Ext2::mount(disk, disk.size() / BLOCK_SIZE).map_err(unreadable)?;
    directory(&disk, ROOT_INO, to, 0)
}

fn unreadable(error: Error<io::Error>) -> StoreError {
    StoreError::Unreadable(error.to_string())
}

fn directory(disk: &Disk<'_>, ino: u32, to: &Path, depth: usize) -> Result<(), StoreError> {
    if depth > MAX_DEPTH {
        return Err(StoreError::Unreadable("directories have no end".into()));
    }
    let mut position = 0;
    while let Some(entry) = disk.entry(ino, position).map_err(unreadable)? {
        position = entry.next;
        let own = depth == 0 && entry.name() == b"lost+found";
        if own || matches!(entry.name(), b"." | b"..") {
            continue;
        }
        let to = to.join(OsStr::from_bytes(entry.name()));
        let inode = disk.inode(entry.ino).map_err(unreadable)?;
        match inode.kind() {
            FileKind::Directory => {
                fs::create_dir(&to).map_err(StoreError::host(&to))?;
                directory(disk, entry.ino, &to, depth + 1)?;
            }
            FileKind::Symlink => {
                let mut target = vec![0; BLOCK_SIZE as usize];
                let len = disk.read_link(&inode, 0, &mut target).map_err(unreadable)?;
                symlink(OsStr::from_bytes(&target[..len]), &to).map_err(StoreError::host(&to))?;
                continue;
            }
            FileKind::Regular => file(disk, &inode, &to)?,
            FileKind::Other => continue,
        }
        let mode = Permissions::from_mode(u32::from(inode.mode.get()) & 0o777);
        fs::set_permissions(&to, mode).map_err(StoreError::host(&to))?;
    }
    Ok(())
}

/// Copies a file; its holes stay holes.
fn file(disk: &Disk<'_>, inode: &Inode, to: &Path) -> Result<(), StoreError> {
    let file = File::create_new(to).map_err(StoreError::host(to))?;
    file.set_len(inode.len()).map_err(StoreError::host(to))?;
    let mut bytes = vec![0; BLOCK_SIZE as usize];
    let mut blocks = u64::from(inode.blocks.get()) * 512 / BLOCK_SIZE;
    for index in 0..inode.len().div_ceil(BLOCK_SIZE) {
        if blocks == 0 {
            break;
        }
        let Some(block) = disk.block_in(inode, index).map_err(unreadable)? else {
            continue;
        };
        blocks -= 1;
        let part = (inode.len() - index * BLOCK_SIZE).min(BLOCK_SIZE) as usize;
        disk.device()
            .read(u64::from(block) * BLOCK_SIZE, &mut bytes)
            .map_err(StoreError::host(to))?;
        file.write_all_at(&bytes[..part], index * BLOCK_SIZE)
            .map_err(StoreError::host(to))?;
    }
    Ok(())
}
