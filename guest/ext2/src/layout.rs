//! The structures on the disk, with Linux's names (fs/ext2/ext2.h). All numbers are little-endian.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout,
    little_endian::{U16, U32},
};

/// Byte at which the superblock is.
pub const SUPER_OFFSET: u64 = 1024;

/// [`SuperBlock::magic`].
pub const MAGIC: u16 = 0xef53;

/// [`SuperBlock::state`] of a file system that was unmounted in order.
pub const STATE_CLEAN: u16 = 1;

/// [`SuperBlock::log_block_size`] for blocks of 4 KiB.
pub const LOG_BLOCK_SIZE: u32 = 2;

/// A feature of `feature_incompat`: entries of directories say what they lead to.
pub const INCOMPAT_FILETYPE: u32 = 1 << 1;

/// A feature of `feature_ro_compat`: few groups have a copy of the superblock.
pub const RO_COMPAT_SPARSE_SUPER: u32 = 1 << 0;

/// A feature of `feature_ro_compat`: a file is larger than 2 GiB.
pub const RO_COMPAT_LARGE_FILE: u32 = 1 << 1;

/// Pointers in an inode: direct ones.
pub const DIRECT: usize = 12;

/// Pointers in a block.
pub const POINTERS: u64 = 1024;

/// A flag of [`Inode::flags`]: the directory has an index.
pub const FLAG_INDEX: u32 = 1 << 12;

/// The superblock.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SuperBlock {
    /// Inodes.
    pub inodes_count: U32,
    /// Blocks.
    pub blocks_count: U32,
    /// Blocks for the superuser alone.
    pub r_blocks_count: U32,
    /// Free blocks.
    pub free_blocks_count: U32,
    /// Free inodes.
    pub free_inodes_count: U32,
    /// The block that the superblock is in; 0 with blocks of 4 KiB.
    pub first_data_block: U32,
    /// Binary logarithm of the block size, less 10.
    pub log_block_size: U32,
    /// The same of fragments, which there are not.
    pub log_frag_size: U32,
    /// Blocks in a group.
    pub blocks_per_group: U32,
    /// Fragments in a group.
    pub frags_per_group: U32,
    /// Inodes in a group.
    pub inodes_per_group: U32,
    /// When it was mounted last.
    pub mtime: U32,
    /// When it was written last.
    pub wtime: U32,
    /// Mounts since the last check.
    pub mnt_count: U16,
    /// Mounts after which it should be checked; 0xffff for never.
    pub max_mnt_count: U16,
    /// [`MAGIC`].
    pub magic: U16,
    /// [`STATE_CLEAN`], or not.
    pub state: U16,
    /// What to do about errors: 1 for going on.
    pub errors: U16,
    /// Minor revision.
    pub minor_rev_level: U16,
    /// When it was checked last.
    pub lastcheck: U32,
    /// Seconds between checks; 0 for none.
    pub checkinterval: U32,
    /// 0 for Linux.
    pub creator_os: U32,
    /// 1; 0 for inodes of 128 bytes and no features.
    pub rev_level: U32,
    /// User of the reserved blocks.
    pub def_resuid: U16,
    /// Group of the reserved blocks.
    pub def_resgid: U16,
    /// First inode that is not reserved.
    pub first_ino: U32,
    /// Bytes of an inode.
    pub inode_size: U16,
    /// The group that this copy is in.
    pub block_group_nr: U16,
    /// Features that do no harm to who does not know them.
    pub feature_compat: U32,
    /// Features without which nothing can be read.
    pub feature_incompat: U32,
    /// Features without which nothing may be written.
    pub feature_ro_compat: U32,
    /// Number of the file system.
    pub uuid: [u8; 16],
    /// Its name.
    pub volume_name: [u8; 16],
    /// Where it was mounted last.
    pub last_mounted: [u8; 64],
    /// Compression, which there is not.
    pub algo_bitmap: U32,
    /// Blocks to allocate ahead for files and directories.
    pub prealloc: [u8; 2],
    /// Blocks kept for more group descriptors.
    pub reserved_gdt_blocks: U16,
    /// Of later versions.
    pub rest: [u8; 816],
}

/// The descriptor of a group.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct GroupDesc {
    /// The block that says which blocks are in use.
    pub block_bitmap: U32,
    /// The block that says which inodes are in use.
    pub inode_bitmap: U32,
    /// First block of the inodes.
    pub inode_table: U32,
    /// Free blocks.
    pub free_blocks_count: U16,
    /// Free inodes.
    pub free_inodes_count: U16,
    /// Inodes that are directories.
    pub used_dirs_count: U16,
    /// Not in use.
    pub pad: U16,
    /// Not in use.
    pub reserved: [u8; 12],
}

/// An inode, as far as revision 0 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Inode {
    /// Type and permissions, as `st_mode`.
    pub mode: U16,
    /// Owner.
    pub uid: U16,
    /// Bytes, low half.
    pub size: U32,
    /// Last access, seconds since 1970, as the three that follow.
    pub atime: U32,
    /// Last change of the inode.
    pub ctime: U32,
    /// Last change of the content.
    pub mtime: U32,
    /// When it was deleted.
    pub dtime: U32,
    /// Group.
    pub gid: U16,
    /// Names.
    pub links_count: U16,
    /// Sectors of 512 bytes in use.
    pub blocks: U32,
    /// Flags.
    pub flags: U32,
    /// Of the operating system.
    pub osd1: U32,
    /// Twelve pointers to blocks, then to a block of pointers, to one of those, and to one of those; or a
    /// short symbolic link.
    pub block: [U32; 15],
    /// Version, for NFS.
    pub generation: U32,
    /// Block of attributes.
    pub file_acl: U32,
    /// Bytes of a regular file, high half.
    pub size_high: U32,
    /// Not in use.
    pub faddr: U32,
    /// Of the operating system.
    pub osd2: [u8; 12],
}

/// An entry of a directory, without its name.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct DirEntry {
    /// The inode; 0 for none.
    pub inode: U32,
    /// Bytes to the next entry.
    pub rec_len: U16,
    /// Bytes of the name.
    pub name_len: u8,
    /// What the inode is: see [`crate::FileKind`].
    pub file_type: u8,
}

const _: () = assert!(size_of::<SuperBlock>() == 1024);
const _: () = assert!(size_of::<GroupDesc>() == 32);
const _: () = assert!(size_of::<Inode>() == 128);
const _: () = assert!(size_of::<DirEntry>() == 8);
