//! Groups: their descriptors, and the blocks that belong to the file system itself.

use crate::{BLOCK_SIZE, Device, Error, Ext2, Geometry, layout::GroupDesc};

/// Bytes of a descriptor.
const DESC: u64 = size_of::<GroupDesc>() as u64;

/// Whether a group has a copy of the superblock and of all descriptors (`RO_COMPAT_SPARSE_SUPER`).
pub(crate) const fn has_super(group: u32) -> bool {
    const fn is_power(of: u32, number: u32) -> bool {
        let mut power = of as u64;
        while power < number as u64 {
            power *= of as u64;
        }
        power == number as u64
    }
    group <= 1 || is_power(3, group) || is_power(5, group) || is_power(7, group)
}

impl Geometry {
    /// Blocks of the descriptors.
    pub(crate) const fn desc_blocks(&self) -> u32 {
        (self.groups as u64 * DESC).div_ceil(BLOCK_SIZE) as u32
    }

    /// Blocks of a group's inodes.
    pub(crate) const fn table_blocks(&self) -> u32 {
        (self.inodes_per_group as u64 * self.inode_size as u64).div_ceil(BLOCK_SIZE) as u32
    }

    /// First block of a group.
    pub(crate) const fn first_block(&self, group: u32) -> u32 {
        group * self.blocks_per_group
    }

    /// Blocks of a group; the last one may have fewer.
    pub(crate) fn blocks_in(&self, group: u32) -> u32 {
        let left = self.blocks_count - self.first_block(group);
        left.min(self.blocks_per_group)
    }

    /// Whether a block is in the file system, and not its superblock or a descriptor.
    pub(crate) const fn is_block(&self, block: u32) -> bool {
        block > self.desc_blocks() && block < self.blocks_count
    }
}

impl<D: Device> Ext2<D> {
    pub(crate) fn group(&self, group: u32) -> Result<GroupDesc, Error<D::Error>> {
        self.read_object(BLOCK_SIZE + u64::from(group) * DESC)
    }

    pub(crate) fn set_group(&self, group: u32, desc: &GroupDesc) -> Result<(), Error<D::Error>> {
        self.write_object(BLOCK_SIZE + u64::from(group) * DESC, desc)
    }

    /// Checks that what a group says is in the file system.
    pub(crate) fn check_group(&self, group: u32) -> Result<(), Error<D::Error>> {
        let (desc, g) = (self.group(group)?, &self.geometry);
        let table = desc.inode_table.get();
        let table_end = table.checked_add(g.table_blocks() - 1);
        let sound = g.is_block(desc.block_bitmap.get())
            && g.is_block(desc.inode_bitmap.get())
            && g.is_block(table)
            && table_end.is_some_and(|last| g.is_block(last));
        if sound {
            Ok(())
        } else {
            Err(Error::Corrupt("a group is not on the disk"))
        }
    }

    /// Whether a block belongs to the file system itself.
    pub(crate) fn is_system(&self, block: u32) -> Result<bool, Error<D::Error>> {
        let g = &self.geometry;
        if !g.is_block(block) {
            return Ok(true);
        }
        let group = block / g.blocks_per_group;
        let desc = self.group(group)?;
        let table = desc.inode_table.get();
        let in_table = block >= table && block - table < g.table_blocks();
        Ok(in_table || block == desc.block_bitmap.get() || block == desc.inode_bitmap.get())
    }
}
