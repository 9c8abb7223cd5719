//! The geometry of a file system, checked so that arithmetic with it cannot go wrong.

use crate::{
    BLOCK_SIZE, Device, Error,
    layout::{
        INCOMPAT_FILETYPE, LOG_BLOCK_SIZE, MAGIC, RO_COMPAT_LARGE_FILE, RO_COMPAT_SPARSE_SUPER,
        STATE_CLEAN, SUPER_OFFSET, SuperBlock,
    },
};
use core::{mem::offset_of, sync::atomic::AtomicU32};
use zerocopy::{
    FromBytes, FromZeros, Immutable, IntoBytes,
    little_endian::{U16, U32},
};

/// Most blocks and inodes of a group: bits of a bitmap.
pub(crate) const BITS: u32 = BLOCK_SIZE as u32 * 8;

/// Where everything is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Blocks.
    pub blocks_count: u32,
    /// Inodes.
    pub inodes_count: u32,
    /// First inode that is not reserved.
    pub first_ino: u32,
    /// Bytes of an inode.
    pub inode_size: u32,
    /// Blocks in a group.
    pub blocks_per_group: u32,
    /// Inodes in a group.
    pub inodes_per_group: u32,
    /// Groups.
    pub groups: u32,
}

/// A file system on a disk.
#[derive(Debug)]
pub struct Ext2<D> {
    pub(crate) device: D,
    pub(crate) geometry: Geometry,
    /// Where to look for a free block first.
    pub(crate) goal: AtomicU32,
}

impl<D: Device> Ext2<D> {
    /// Looks at the file system on a disk of so many blocks.
    ///
    /// # Errors
    /// [`Error`].
    pub fn mount(device: D, device_blocks: u64) -> Result<Self, Error<D::Error>> {
        let mut superblock = SuperBlock::new_zeroed();
        let bytes = superblock.as_mut_bytes();
        if device_blocks == 0 {
            return Err(Error::NotExt2);
        }
        device.read(SUPER_OFFSET, bytes)?;
        let geometry = geometry_of(&superblock, device_blocks)?;
        let this = Self {
            device,
            geometry,
            goal: AtomicU32::new(0),
        };
        for group in 0..geometry.groups {
            this.check_group(group)?;
        }
        Ok(this)
    }

    /// Where everything is.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The disk.
    pub const fn device(&self) -> &D {
        &self.device
    }

    /// Says whether the file system is in order, as it is when nobody is changing it.
    ///
    /// # Errors
    /// The disk's.
    pub fn set_clean(&self, clean: bool) -> Result<(), Error<D::Error>> {
        let state = U16::new(if clean { STATE_CLEAN } else { 0 });
        let at = SUPER_OFFSET + offset_of!(SuperBlock, state) as u64;
        self.write_object(at, &state)
    }

    /// Free blocks.
    ///
    /// # Errors
    /// The disk's.
    pub fn free_blocks(&self) -> Result<u32, Error<D::Error>> {
        self.super_word(offset_of!(SuperBlock, free_blocks_count))
    }

    pub(crate) fn super_word(&self, field: usize) -> Result<u32, Error<D::Error>> {
        let word: U32 = self.read_object(SUPER_OFFSET + field as u64)?;
        Ok(word.get())
    }

    /// Adds to a word of the superblock.
    pub(crate) fn add_super(&self, field: usize, delta: i32) -> Result<(), Error<D::Error>> {
        let word = self.super_word(field)?.saturating_add_signed(delta);
        self.write_object(SUPER_OFFSET + field as u64, &U32::new(word))
    }

    pub(crate) fn read_object<T: FromBytes + IntoBytes>(
        &self,
        at: u64,
    ) -> Result<T, Error<D::Error>> {
        let mut object = T::new_zeroed();
        self.device.read(at, object.as_mut_bytes())?;
        Ok(object)
    }

    pub(crate) fn write_object<T: IntoBytes + Immutable>(
        &self,
        at: u64,
        object: &T,
    ) -> Result<(), Error<D::Error>> {
        Ok(self.device.write(at, object.as_bytes())?)
    }
}

fn geometry_of<E>(superblock: &SuperBlock, device_blocks: u64) -> Result<Geometry, Error<E>> {
    let sb = superblock;
    if sb.magic.get() != MAGIC {
        return Err(Error::NotExt2);
    }
    if sb.log_block_size.get() != LOG_BLOCK_SIZE {
        return Err(Error::Unsupported(
            "blocks of another size than 4 KiB; make it with mke2fs -b 4096",
        ));
    }
    let (first_ino, inode_size) = match sb.rev_level.get() {
        0 => (11, 128),
        1 => (sb.first_ino.get(), u32::from(sb.inode_size.get())),
        _ => return Err(Error::Unsupported("an unknown revision")),
    };
    let known_ro = RO_COMPAT_SPARSE_SUPER | RO_COMPAT_LARGE_FILE;
    if sb.rev_level.get() == 1
        && (sb.feature_incompat.get() & !INCOMPAT_FILETYPE != 0
            || sb.feature_ro_compat.get() & !known_ro != 0)
    {
        return Err(Error::Unsupported(
            "features of ext3 or ext4; make it with mke2fs -t ext2",
        ));
    }
    let geometry = Geometry {
        blocks_count: sb.blocks_count.get(),
        inodes_count: sb.inodes_count.get(),
        first_ino,
        inode_size,
        blocks_per_group: sb.blocks_per_group.get(),
        inodes_per_group: sb.inodes_per_group.get(),
        groups: sb
            .blocks_count
            .get()
            .checked_div(sb.blocks_per_group.get())
            .map_or(0, |whole| {
                whole
                    + u32::from(
                        !sb.blocks_count
                            .get()
                            .is_multiple_of(sb.blocks_per_group.get()),
                    )
            }),
    };
    let g = &geometry;
    let inodes = u64::from(g.inodes_per_group) * u64::from(g.groups);
    let reasons = [
        (
            sb.first_data_block.get() != 0,
            "the first block of a disk with blocks of 4 KiB is not 0",
        ),
        (
            g.blocks_per_group < 8 || g.blocks_per_group > BITS,
            "a group has an impossible number of blocks",
        ),
        (
            g.inodes_per_group < 8 || g.inodes_per_group > BITS,
            "a group has an impossible number of inodes",
        ),
        (
            !(128..=BLOCK_SIZE as u32).contains(&inode_size) || !inode_size.is_power_of_two(),
            "an inode has an impossible size",
        ),
        (
            u64::from(g.inodes_count) != inodes,
            "the groups have more or fewer inodes than there are",
        ),
        (
            u64::from(g.blocks_count) > device_blocks,
            "it has more blocks than the disk",
        ),
        (g.groups == 0, "it has no blocks"),
        (
            first_ino < 11 || first_ino > g.inodes_count,
            "the first inode is impossible",
        ),
    ];
    match reasons.iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, what)) => Err(Error::Corrupt(what)),
        None => Ok(geometry),
    }
}
