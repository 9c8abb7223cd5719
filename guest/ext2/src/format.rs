//! An empty file system (mke2fs).

use crate::{
    BLOCK_SIZE, Device, Error, Ext2, FileKind, Geometry, ROOT_INO,
    group::has_super,
    layout::{
        GroupDesc, INCOMPAT_FILETYPE, Inode, LOG_BLOCK_SIZE, MAGIC, RO_COMPAT_LARGE_FILE,
        RO_COMPAT_SPARSE_SUPER, STATE_CLEAN, SUPER_OFFSET, SuperBlock,
    },
    mount::BITS,
};
use core::{fmt, sync::atomic::AtomicU32};
use zerocopy::{FromZeros, IntoBytes, little_endian::U16};

/// First inode that is not reserved.
const FIRST_INO: u32 = 11;

/// Bytes of an inode.
const INODE_SIZE: u32 = 128;

/// Blocks for each inode.
const BLOCKS_PER_INODE: u32 = 4;

/// Blocks of data that a group has at least: a last group with fewer is left out.
const MIN_DATA: u32 = 16;

/// Why there is no file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError<E> {
    /// The disk has too few blocks, or more than 2^31.
    Size,
    /// The disk failed.
    Disk(Error<E>),
}

impl<E> From<Error<E>> for FormatError<E> {
    fn from(error: Error<E>) -> Self {
        Self::Disk(error)
    }
}

impl<E: fmt::Display> fmt::Display for FormatError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => f.write_str("a disk of this size cannot have an ext2 file system"),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for FormatError<E> {}

/// The geometry for so many blocks, of which a few at the end may be left out.
fn geometry(blocks: u64) -> Option<Geometry> {
    let blocks = u32::try_from(blocks)
        .ok()
        .filter(|blocks| *blocks <= 1 << 31)?;
    let groups = blocks.div_ceil(BITS);
    let per_block = BLOCK_SIZE as u32 / INODE_SIZE;
    let inodes = (blocks / BLOCKS_PER_INODE).div_ceil(groups.max(1));
    let inodes_per_group = inodes.next_multiple_of(per_block).clamp(per_block, BITS);
    let mut geometry = Geometry {
        blocks_count: blocks,
        inodes_count: inodes_per_group * groups,
        first_ino: FIRST_INO,
        inode_size: INODE_SIZE,
        blocks_per_group: BITS,
        inodes_per_group,
        groups,
    };
    let last = groups.checked_sub(1)?;
    if geometry.blocks_in(last) < overhead(&geometry, last) + MIN_DATA {
        geometry.blocks_count = geometry.first_block(last);
        geometry.groups = last;
        geometry.inodes_count = inodes_per_group * last;
    }
    (geometry.groups > 0).then_some(geometry)
}

/// Blocks of a group that are the file system's own.
fn overhead(g: &Geometry, group: u32) -> u32 {
    let copies = if has_super(group) {
        1 + g.desc_blocks()
    } else {
        0
    };
    copies + 2 + g.table_blocks()
}

/// Blocks of data that an empty file system on a disk of so many blocks has; none if it is too small or
/// too large for one.
pub fn usable_blocks(blocks: u64) -> Option<u32> {
    let g = geometry(blocks)?;
    let taken: u32 = (0..g.groups).map(|group| overhead(&g, group)).sum();
    // The root and lost+found.
    Some(g.blocks_count - taken - 2)
}

/// Makes an empty file system on a disk of so many blocks, which are all zeros.
///
/// # Errors
/// [`FormatError`].
pub fn format<D: Device>(
    device: D,
    blocks: u64,
    uuid: [u8; 16],
    now: u32,
) -> Result<Ext2<D>, FormatError<D::Error>> {
    let geometry = geometry(blocks).ok_or(FormatError::Size)?;
    let fs = Ext2 {
        device,
        geometry,
        goal: AtomicU32::new(0),
    };
    let mut free = [0; 2];
    for group in 0..geometry.groups {
        let desc = fs.format_group(group)?;
        free[0] += u32::from(desc.free_blocks_count.get());
        free[1] += u32::from(desc.free_inodes_count.get());
    }
    let superblock = superblock(&geometry, free, uuid, now);
    fs.write_object(SUPER_OFFSET, &superblock)?;
    fs.make_root(now)?;
    fs.write_copies()?;
    Ok(fs)
}

fn superblock(g: &Geometry, free: [u32; 2], uuid: [u8; 16], now: u32) -> SuperBlock {
    let mut sb = SuperBlock::new_zeroed();
    for (field, value) in [
        (&mut sb.inodes_count, g.inodes_count),
        (&mut sb.blocks_count, g.blocks_count),
        (&mut sb.free_blocks_count, free[0]),
        (&mut sb.free_inodes_count, free[1]),
        (&mut sb.log_block_size, LOG_BLOCK_SIZE),
        (&mut sb.log_frag_size, LOG_BLOCK_SIZE),
        (&mut sb.blocks_per_group, g.blocks_per_group),
        (&mut sb.frags_per_group, g.blocks_per_group),
        (&mut sb.inodes_per_group, g.inodes_per_group),
        (&mut sb.wtime, now),
        (&mut sb.lastcheck, now),
        (&mut sb.rev_level, 1),
        (&mut sb.first_ino, FIRST_INO),
        (&mut sb.feature_incompat, INCOMPAT_FILETYPE),
        (
            &mut sb.feature_ro_compat,
            RO_COMPAT_SPARSE_SUPER | RO_COMPAT_LARGE_FILE,
        ),
    ] {
        field.set(value);
    }
    sb.max_mnt_count = U16::new(u16::MAX);
    sb.magic = MAGIC.into();
    sb.state = STATE_CLEAN.into();
    sb.errors = 1.into();
    sb.inode_size = (INODE_SIZE as u16).into();
    sb.uuid = uuid;
    sb
}

impl<D: Device> Ext2<D> {
    /// Writes a group's bitmaps and its descriptor. The disk is all zeros, and so are its inodes.
    fn format_group(&self, group: u32) -> Result<GroupDesc, Error<D::Error>> {
        let g = &self.geometry;
        let used = overhead(g, group);
        let bitmap = g.first_block(group) + used - 2 - g.table_blocks();
        let reserved = if group == 0 { FIRST_INO - 1 } else { 0 };
        let desc = GroupDesc {
            block_bitmap: bitmap.into(),
            inode_bitmap: (bitmap + 1).into(),
            inode_table: (bitmap + 2).into(),
            free_blocks_count: ((g.blocks_in(group) - used) as u16).into(),
            free_inodes_count: ((g.inodes_per_group - reserved) as u16).into(),
            ..GroupDesc::new_zeroed()
        };
        self.write_bitmap(bitmap, used, g.blocks_in(group))?;
        self.write_bitmap(bitmap + 1, reserved, g.inodes_per_group)?;
        self.set_group(group, &desc)?;
        Ok(desc)
    }

    /// Sets the first `used` bits, and those from `end` on, which stand for nothing.
    fn write_bitmap(&self, block: u32, used: u32, end: u32) -> Result<(), Error<D::Error>> {
        for start in (0..BITS).step_by(512) {
            let mut bytes = [0_u8; 64];
            for (index, byte) in (start / 8..).zip(&mut bytes) {
                for bit in 0..8 {
                    let number = index * 8 + bit;
                    *byte |= u8::from(number < used || number >= end) << bit;
                }
            }
            let at = u64::from(block) * BLOCK_SIZE + u64::from(start / 8);
            self.device.write(at, &bytes)?;
        }
        Ok(())
    }

    /// Makes the root, and lost+found for what a check finds.
    fn make_root(&self, now: u32) -> Result<(), Error<D::Error>> {
        let mut root = Inode::new_zeroed();
        root.mode.set(FileKind::Directory.mode() | 0o755);
        root.links_count.set(3);
        for time in [&mut root.atime, &mut root.ctime, &mut root.mtime] {
            time.set(now);
        }
        self.set_inode(ROOT_INO, &root)?;
        let mut desc = self.group(0)?;
        desc.used_dirs_count.set(1);
        self.set_group(0, &desc)?;
        self.init_directory(ROOT_INO, ROOT_INO)?;
        let lost = self.new_inode(ROOT_INO, FileKind::Directory, 0o700, now)?;
        self.update_inode(lost, None, |inode| inode.links_count.set(2))?;
        self.init_directory(lost, ROOT_INO)?;
        self.add_entry(ROOT_INO, b"lost+found", lost, FileKind::Directory)
    }

    /// Copies the superblock and the descriptors to the groups that have a copy.
    fn write_copies(&self) -> Result<(), Error<D::Error>> {
        let g = &self.geometry;
        let mut superblock: SuperBlock = self.read_object(SUPER_OFFSET)?;
        for group in (1..g.groups).filter(|group| has_super(*group)) {
            let first = u64::from(g.first_block(group)) * BLOCK_SIZE;
            superblock.block_group_nr = (group as u16).into();
            self.device.write(first, superblock.as_bytes())?;
            let mut bytes = [0; 64];
            let end = u64::from(g.desc_blocks()) * BLOCK_SIZE;
            for at in (0..end).step_by(bytes.len()) {
                self.device.read(BLOCK_SIZE + at, &mut bytes)?;
                self.device.write(first + BLOCK_SIZE + at, &bytes)?;
            }
        }
        Ok(())
    }
}
