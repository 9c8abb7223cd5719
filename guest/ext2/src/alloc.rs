//! Which blocks and inodes are free.

use crate::{
    BLOCK_SIZE, Device, Error, Ext2,
    layout::{GroupDesc, SuperBlock},
};
use core::{mem::offset_of, sync::atomic::Ordering::Relaxed};

/// Bytes of a bitmap that are looked at together.
const CHUNK: usize = 64;

impl<D: Device> Ext2<D> {
    /// Takes a free block, behind the one that was taken last if possible.
    pub(crate) fn take_block(&self) -> Result<u32, Error<D::Error>> {
        let g = &self.geometry;
        let goal = self.goal.load(Relaxed).min(g.blocks_count - 1);
        let home = goal / g.blocks_per_group;
        for step in 0..=g.groups {
            let group = (home + step) % g.groups;
            let mut desc = self.group(group)?;
            if desc.free_blocks_count.get() == 0 {
                continue;
            }
            // The home group comes again at the end, from its start.
            let from = if step == 0 {
                goal % g.blocks_per_group
            } else {
                0
            };
            let Some(bit) = self.take_bit(desc.block_bitmap.get(), from, g.blocks_in(group))?
            else {
                continue;
            };
            let block = g.first_block(group) + bit;
            if self.is_system(block)? {
                return Err(Error::Corrupt(
                    "a block of the file system's own is marked free",
                ));
            }
            desc.free_blocks_count -= 1;
            self.set_group(group, &desc)?;
            self.add_super(offset_of!(SuperBlock, free_blocks_count), -1)?;
            self.goal.store(block + 1, Relaxed);
            return Ok(block);
        }
        Err(Error::NoSpace)
    }

    /// Gives a block back that nothing leads to any more.
    pub(crate) fn free_block(&self, block: u32) -> Result<(), Error<D::Error>> {
        if self.is_system(block)? {
            return Err(Error::Corrupt(
                "a block of the file system's own is in a file",
            ));
        }
        let g = &self.geometry;
        let (group, bit) = (block / g.blocks_per_group, block % g.blocks_per_group);
        let mut desc = self.group(group)?;
        if !self.clear_bit(desc.block_bitmap.get(), bit)? {
            return Err(Error::Corrupt("a free block is in a file"));
        }
        let free = desc.free_blocks_count.get().saturating_add(1);
        desc.free_blocks_count.set(free);
        self.set_group(group, &desc)?;
        self.add_super(offset_of!(SuperBlock, free_blocks_count), 1)
    }

    /// Takes a free inode, in the group of another one if possible.
    pub(crate) fn take_inode(&self, near: u32, is_dir: bool) -> Result<u32, Error<D::Error>> {
        let g = &self.geometry;
        let home = near.saturating_sub(1) / g.inodes_per_group;
        for step in 0..g.groups {
            let group = (home + step) % g.groups;
            let mut desc = self.group(group)?;
            if desc.free_inodes_count.get() == 0 {
                continue;
            }
            let reserved = if group == 0 { g.first_ino - 1 } else { 0 };
            let bitmap = desc.inode_bitmap.get();
            let Some(bit) = self.take_bit(bitmap, reserved, g.inodes_per_group)? else {
                continue;
            };
            desc.free_inodes_count -= 1;
            count_dirs(&mut desc, is_dir, 1);
            self.set_group(group, &desc)?;
            self.add_super(offset_of!(SuperBlock, free_inodes_count), -1)?;
            return Ok(group * g.inodes_per_group + bit + 1);
        }
        Err(Error::NoInodes)
    }

    /// Gives an inode back that no name leads to any more.
    pub(crate) fn give_inode(&self, ino: u32, is_dir: bool) -> Result<(), Error<D::Error>> {
        let g = &self.geometry;
        if ino < g.first_ino || ino > g.inodes_count {
            return Err(Error::Corrupt("a reserved inode is a file"));
        }
        let (group, bit) = (
            (ino - 1) / g.inodes_per_group,
            (ino - 1) % g.inodes_per_group,
        );
        let mut desc = self.group(group)?;
        if !self.clear_bit(desc.inode_bitmap.get(), bit)? {
            return Err(Error::Corrupt("a free inode has a name"));
        }
        let free = desc.free_inodes_count.get().saturating_add(1);
        desc.free_inodes_count.set(free);
        count_dirs(&mut desc, is_dir, -1);
        self.set_group(group, &desc)?;
        self.add_super(offset_of!(SuperBlock, free_inodes_count), 1)
    }

    /// Sets the first clear bit of a bitmap from `from` to below `end`.
    fn take_bit(&self, bitmap: u32, from: u32, end: u32) -> Result<Option<u32>, Error<D::Error>> {
        let base = u64::from(bitmap) * BLOCK_SIZE;
        let mut bytes = [0; CHUNK];
        let first = from as usize / 8 / CHUNK * CHUNK;
        for start in (first..end.div_ceil(8) as usize).step_by(CHUNK) {
            self.device.read(base + start as u64, &mut bytes)?;
            for (index, byte) in bytes.iter().enumerate() {
                if *byte == 0xff {
                    continue;
                }
                let bits = (0..8).map(|bit| (bit, ((start + index) * 8) as u32 + bit));
                let mut free = bits
                    .filter(|(bit, number)| byte & 1 << bit == 0 && (from..end).contains(number));
                if let Some((bit, number)) = free.next() {
                    let at = base + (start + index) as u64;
                    self.device.write(at, &[byte | 1 << bit])?;
                    return Ok(Some(number));
                }
            }
        }
        Ok(None)
    }

    /// Clears a bit. False if it was clear.
    fn clear_bit(&self, bitmap: u32, bit: u32) -> Result<bool, Error<D::Error>> {
        let at = u64::from(bitmap) * BLOCK_SIZE + u64::from(bit / 8);
        let mut byte = [0];
        self.device.read(at, &mut byte)?;
        let mask = 1 << (bit % 8);
        if byte[0] & mask == 0 {
            return Ok(false);
        }
        self.device.write(at, &[byte[0] & !mask])?;
        Ok(true)
    }
}

fn count_dirs(desc: &mut GroupDesc, is_dir: bool, delta: i16) {
    if is_dir {
        let dirs = desc.used_dirs_count.get().saturating_add_signed(delta);
        desc.used_dirs_count.set(dirs);
    }
}
