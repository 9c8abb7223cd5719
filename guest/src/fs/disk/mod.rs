//! Files on a disk: an ext2 file system, mounted at [`MOUNT`].
//!
//! Content and the file system's own blocks are in the page cache: each file has its own pages, and the
//! disk as a whole is a file too, whose pages are bitmaps, inodes, directories and the like, as in Linux.
//! Names are read once, when the disk is mounted, and then live in memory like all others; what
//! changes them changes the directories on the disk as well. What else is known of a file goes to its
//! inode when somebody asks for it, by fsync or sync, and at the end.
//!
//! * `device`: the disk as a file. `store`: files, for the page cache.
//! * `load`: mounting. `names`: names come and go. `sync`: all that is in memory goes to the disk.

mod device;
mod load;
mod names;
mod store;
mod sync;

use super::inode::Inode;
use crate::root;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use device::Blocks;
use pagelab_abi::errno::Errno;
use pagelab_ext2::{Error, Ext2};
use pagelab_mm::page_cache::{FileError, StoreId};
use spin::Once;

pub(crate) use load::{MountError, mount};
pub(super) use names::{New, add_new, link, rename, unlink};
pub(crate) use sync::unmount;
pub(super) use sync::{fsync, sync};

/// What can go wrong on the disk.
type DiskError = Error<FileError>;

/// A disk that is mounted.
struct Mount {
    fs: Ext2<Blocks>,
    /// For the content of files.
    store: StoreId,
}

/// There is one mount in a machine's life.
static MOUNT: Once<Mount> = Once::new();

/// Whether it still is.
static IS_MOUNTED: AtomicBool = AtomicBool::new(false);

/// The file system, as long as it is mounted.
fn mounted() -> Option<&'static Mount> {
    MOUNT.get().filter(|_| IS_MOUNTED.load(Relaxed))
}

/// The file system that an inode of a disk is on.
fn of_disk() -> Result<&'static Mount, Errno> {
    mounted().ok_or(Errno::EIO)
}

/// The error of a system call that meets one of the disk.
fn errno(error: DiskError) -> Errno {
    reported(file_error(error).errno())
}

/// Counts an error that a system call returns, if the disk's failing is behind it.
pub(super) fn reported(errno: Errno) -> Errno {
    if errno == Errno::EIO {
        let counter = &root::file_io().reported;
        counter.store(counter.load(Relaxed) + 1, Relaxed);
    }
    errno
}

/// The same for the page cache.
fn file_error(error: DiskError) -> FileError {
    match error {
        Error::Device(error) => error,
        Error::NoSpace | Error::NoInodes => FileError::NoSpace,
        Error::TooLarge => FileError::TooLarge,
        Error::NotExt2
        | Error::Unsupported(_)
        | Error::Corrupt(_)
        | Error::BadName
        | Error::NotFound => {
            log::warn!("disk: {error}");
            FileError::Corrupt
        }
    }
}

/// An inode of the disk that nobody leads to any more: its blocks are free.
pub(super) fn forget(inode: &Inode) {
    let Some(mount) = mounted() else { return };
    let now = seconds(super::clock::now());
    if let Err(error) = mount.fs.delete_inode(inode.disk, now) {
        log::warn!("disk: inode {} cannot be given back: {error}", inode.disk);
    }
}

/// Seconds of a time in nanoseconds, as far as the disk can tell them.
const fn seconds(time: u64) -> u32 {
    (time / 1_000_000_000) as u32
}
