//! The second extended file system, revision 1, with blocks of 4 KiB (Linux fs/ext2, and
//! Documentation/filesystems/ext2.rst): so that files of the guest live on a disk that mke2fs can make and
//! e2fsck, debugfs and Linux can read.
//!
//! The guest keeps its files in it, and the host makes disks with it. It allocates no memory: all of
//! its state is on the disk, behind [`Device`], where the guest's page cache holds what is in use. What
//! it reads there is doubted: a number that cannot be is [`Error::Corrupt`], never a panic, and every
//! walk has an end.
//!
//! * `layout`: the structures. `mount`: geometry. `format`: an empty file system.
//! * `group`: descriptors of groups. `alloc`: which blocks and inodes are free.
//! * `inode`: inodes; `map`: their blocks; `truncate`: and the end of those. `dir`: names. `link`: symbolic
//!   links.
//!
//! An operation that fails midway leaves at worst a block or an inode that is marked as used and is
//! not: the marks come first when something is taken, and last when it is given back.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod alloc;
mod device;
mod dir;
mod format;
mod group;
mod inode;
pub mod layout;
mod link;
mod map;
mod mount;
#[cfg(test)]
mod tests;
mod truncate;

pub use device::{Device, Error};
pub use dir::Entry;
pub use format::{FormatError, format, usable_blocks};
pub use inode::FileKind;
pub use mount::{Ext2, Geometry};

/// Bytes of a block.
pub const BLOCK_SIZE: u64 = 4096;

/// Number of the root directory (Linux: `EXT2_ROOT_INO`).
pub const ROOT_INO: u32 = 2;
