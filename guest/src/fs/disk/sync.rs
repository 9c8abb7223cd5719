//! What is in memory goes to the disk.

use super::{IS_MOUNTED, MOUNT, Mount, errno, mounted, reported, seconds};
use crate::{
    drivers::block,
    fs::{
        dentry::Dentry,
        file::{OpenFile, Opened},
        inode::{Inode, Kind},
        memory::mm,
        object::Shared,
    },
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::errno::Errno;
use pagelab_mm::page_cache::FileError;

impl Mount {
    /// Writes what is known of a file to its inode, if that changed (Linux: `write_inode`).
    fn write_inode(&self, inode: &Inode) -> Result<(), Errno> {
        let len = match &inode.kind {
            Kind::Regular(content) => Some(mm().file_size(content.id())),
            _ => None,
        };
        let written = self.fs.update_inode(inode.disk, len, |raw| {
            let kind = raw.kind().mode();
            raw.mode
                .set(kind | inode.mode.load(Relaxed) as u16 & 0o7777);
            raw.uid.set(inode.uid.load(Relaxed) as u16);
            raw.gid.set(inode.gid.load(Relaxed) as u16);
            raw.links_count.set(inode.nlink.load(Relaxed) as u16);
            raw.atime.set(seconds(inode.atime.load(Relaxed)));
            raw.mtime.set(seconds(inode.mtime.load(Relaxed)));
            raw.ctime.set(seconds(inode.ctime.load(Relaxed)));
        });
        written.map_err(errno)
    }

    /// Writes the blocks of the file system itself, and waits until all that was written stays.
    fn write_blocks(&self) -> Result<(), Errno> {
        let file = self.fs.device().file;
        let written = mm().filemap_write(file, 0..u64::MAX);
        written.map_err(FileError::errno)?;
        block::FILES.flush().map_err(|_| Errno::EIO)
    }
}

/// fsync: all of a file goes to the disk, and errors since it was opened, or since the last call, are
/// told once (Linux fs/ext2/file.c: `ext2_fsync`).
///
/// # Errors
/// EIO, ENOSPC, EUCLEAN.
pub(in crate::fs) fn fsync(file: &OpenFile) -> Result<(), Errno> {
    let inode = &file.dentry.inode;
    if inode.disk == 0 {
        return Ok(());
    }
    let mount = super::of_disk()?;
    let mut result = Ok(());
    if let Opened::Regular(content) = &file.opened {
        // What fails is noted in the file, and comes back from there.
        let _ = mm().filemap_write(content.id(), 0..u64::MAX);
        let noted = mm().file_check_wb_err(content.id(), &file.wb_err);
        result = noted.map_err(|number| reported(Errno::from_number(number).unwrap_or(Errno::EIO)));
    }
    let inode = mount.write_inode(inode);
    let blocks = mount.write_blocks();
    result.and(inode).and(blocks)
}

/// sync: all files go to the disk. Errors are told by fsync.
pub(in crate::fs) fn sync(root: &Shared<Dentry>) {
    let Some(mount) = mounted() else { return };
    if let Err(error) = mount.sync(root) {
        log::warn!("disk: not all is written: {}", error.name());
    }
}

impl Mount {
    fn sync(&self, root: &Shared<Dentry>) -> Result<(), Errno> {
        let mut result = Ok(());
        let mut next = Some(root.clone());
        while let Some(dentry) = next {
            if dentry.inode.disk != 0 {
                result = result.and(self.write_inode(&dentry.inode));
            }
            next = dentry.following(root);
        }
        let files = mm().sync_files().map_err(FileError::errno);
        result.and(files).and(self.write_blocks())
    }
}

/// Takes the disk away, with everything written. `root` is that of all names; nothing is open.
pub(crate) fn unmount(ramfs: &crate::fs::Ramfs) {
    let Some(mount) = mounted() else { return };
    let done = mount.sync(ramfs.root()).and_then(|()| {
        mount.fs.set_clean(true).map_err(errno)?;
        mount.write_blocks()
    });
    if let Err(error) = done {
        log::error!("disk: {}: what could not be written is lost", error.name());
    }
    IS_MOUNTED.store(false, Relaxed);
    if let Some(mount) = MOUNT.get() {
        mm().file_put(mount.fs.device().file);
    }
}
