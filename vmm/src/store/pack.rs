//! From a directory to a disk. Names are taken in their order, so that the same directory makes the same
//! disk.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pagelab_ext2::{BLOCK_SIZE, Device, Ext2, FileKind, ROOT_INO, format};

use super::error::StoreError;
use crate::devices::block::Backing;

/// Bytes that a disk made of a directory has free, at least.
const ROOM: u64 = 16 << 20;

/// Number of a file system that was made here; the same each time, as everything is.
const UUID: [u8; 16] = *b"pagelab-disk\0\0\0\0";

type Disk<'a> = Ext2<&'a Backing>;

/// An empty file system.
pub(super) fn empty(size: u64) -> Result<Backing, StoreError> {
    let backing = Backing::anonymous(size)?;
    format(&backing, size / BLOCK_SIZE, UUID, 0).map_err(StoreError::format(size))?;
    Ok(backing)
}

/// A file system with a copy of a directory.
pub(super) fn directory(path: &Path) -> Result<Backing, StoreError> {
    let taken = blocks_of(path)? * BLOCK_SIZE;
    // Twice over: a share of the disk is inodes and bitmaps.
    let size = (2 * taken + 2 * ROOM).next_multiple_of(ROOM);
    let backing = empty(size)?;
    {
        let disk = Ext2::mount(&backing, size / BLOCK_SIZE)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        fill(&disk, path, ROOT_INO)?;
        let metadata = path.metadata().map_err(StoreError::host(path))?;
        copy_attributes(&disk, ROOT_INO, &metadata).map_err(StoreError::entry(path))?;
    }
    Ok(backing)
}

/// Blocks that a directory's entries need, each with an inode.
fn blocks_of(path: &Path) -> Result<u64, StoreError> {
    let mut blocks = 0;
    for entry in sorted(path)? {
        let metadata = entry.symlink_metadata().map_err(StoreError::host(&entry))?;
        // Content, an inode, a name, and a pointer to each block.
        blocks += 2 + metadata.len().div_ceil(BLOCK_SIZE) * 513 / 512;
        if metadata.is_dir() {
            blocks += blocks_of(&entry)?;
        }
    }
    Ok(blocks)
}

fn sorted(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(path).map_err(StoreError::host(path))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<_> = paths
        .collect::<Result<_, _>>()
        .map_err(StoreError::host(path))?;
    paths.sort();
    Ok(paths)
}

/// Copies what is in a directory.
fn fill(disk: &Disk<'_>, path: &Path, dir: u32) -> Result<(), StoreError> {
    for entry in sorted(path)? {
        let metadata = entry.symlink_metadata().map_err(StoreError::host(&entry))?;
        let name = entry.file_name().unwrap_or_default().as_bytes();
        // A disk has its own.
        if dir == ROOT_INO && name == b"lost+found" {
            continue;
        }
        let kind = match metadata.file_type() {
            it if it.is_dir() => FileKind::Directory,
            it if it.is_file() => FileKind::Regular,
            it if it.is_symlink() => FileKind::Symlink,
            _ => {
                let reason = "only files, directories and symbolic links can be".to_owned();
                return Err(StoreError::Entry {
                    path: entry,
                    reason,
                });
            }
        };
        let failed = |error| StoreError::entry(&entry)(error);
        let ino = disk.new_inode(dir, kind, 0, 0).map_err(failed)?;
        match kind {
            FileKind::Directory => {
                disk.init_directory(ino, dir).map_err(failed)?;
                disk.update_inode(dir, None, |parent| parent.links_count += 1)
                    .map_err(failed)?;
            }
            FileKind::Symlink => {
                let target = fs::read_link(&entry).map_err(StoreError::host(&entry))?;
                disk.set_link(ino, target.as_os_str().as_bytes())
                    .map_err(failed)?;
            }
            _ => copy_content(disk, &entry, ino)?,
        }
        let links = if kind == FileKind::Directory { 2 } else { 1 };
        disk.update_inode(ino, None, |inode| inode.links_count.set(links))
            .map_err(failed)?;
        disk.add_entry(dir, name, ino, kind).map_err(failed)?;
        if kind == FileKind::Directory {
            fill(disk, &entry, ino)?;
        }
        copy_attributes(disk, ino, &metadata).map_err(failed)?;
    }
    Ok(())
}

fn copy_attributes(
    disk: &Disk<'_>,
    ino: u32,
    metadata: &Metadata,
) -> Result<(), pagelab_ext2::Error<std::io::Error>> {
    disk.update_inode(ino, None, |inode| {
        let kind = inode.kind().mode();
        inode.mode.set(kind | (metadata.mode() & 0o7777) as u16);
        // Who runs in the guest is root, and owns it all. Times differ from host to host.
        inode.uid.set(0);
        inode.gid.set(0);
    })
}

/// Copies a file, block by block; blocks of zeros become holes.
fn copy_content(disk: &Disk<'_>, path: &Path, ino: u32) -> Result<(), StoreError> {
    let mut file = File::open(path).map_err(StoreError::host(path))?;
    let mut len = 0;
    for index in 0.. {
        let mut bytes = Vec::new();
        let part = file.by_ref().take(BLOCK_SIZE);
        let mut part = part;
        part.read_to_end(&mut bytes)
            .map_err(StoreError::host(path))?;
        if bytes.is_empty() {
            break;
        }
        len += bytes.len() as u64;
        if bytes.iter().all(|byte| *byte == 0) {
            continue;
        }
        let block = disk
            .make_block(ino, index)
            .map_err(StoreError::entry(path))?;
        bytes.resize(BLOCK_SIZE as usize, 0);
        disk.device()
            .write(u64::from(block) * BLOCK_SIZE, &bytes)
            .map_err(StoreError::host(path))?;
    }
    disk.update_inode(ino, Some(len), |_| ())
        .map_err(StoreError::entry(path))
}
