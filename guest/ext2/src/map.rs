//! The blocks of an inode: twelve pointers, and trees of pointers of one, two and three levels
//! (Linux fs/ext2/inode.c: `ext2_block_to_path`).

use crate::{
    BLOCK_SIZE, Device, Error, Ext2,
    layout::{DIRECT, Inode, POINTERS},
};
use zerocopy::little_endian::U32;

/// Sectors of 512 bytes in a block.
pub(crate) const SECTORS: u32 = (BLOCK_SIZE / 512) as u32;

/// A block of zeros.
static ZEROS: [u8; BLOCK_SIZE as usize] = [0; BLOCK_SIZE as usize];

/// The way to a block: the pointer in the inode, then in each block of pointers.
pub(crate) struct Path {
    /// Index in [`Inode::block`].
    pub(crate) slot: usize,
    /// Indices in the blocks of pointers.
    pub(crate) below: [u64; 3],
    /// How many of them count.
    pub(crate) levels: usize,
}

impl Path {
    /// The way to block `index`; none if no file is so long.
    pub(crate) fn to(index: u64) -> Option<Self> {
        let mut rest = index;
        if rest < DIRECT as u64 {
            return Some(Self {
                slot: rest as usize,
                below: [0; 3],
                levels: 0,
            });
        }
        rest -= DIRECT as u64;
        for levels in 1..=3 {
            let span = POINTERS.pow(levels as u32);
            if rest < span {
                let mut below = [0; 3];
                for (level, index) in below[..levels].iter_mut().enumerate() {
                    *index = rest / POINTERS.pow((levels - 1 - level) as u32) % POINTERS;
                }
                return Some(Self {
                    slot: DIRECT + levels - 1,
                    below,
                    levels,
                });
            }
            rest -= span;
        }
        None
    }
}

impl<D: Device> Ext2<D> {
    /// The block that has block `index` of a file; none for a hole.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a pointer leads out of the file system; the disk's.
    pub fn block_of(&self, ino: u32, index: u64) -> Result<Option<u32>, Error<D::Error>> {
        self.block_in(&self.inode(ino)?, index)
    }

    /// The same for an inode that has been read.
    ///
    /// # Errors
    /// As [`Self::block_of`].
    pub fn block_in(&self, inode: &Inode, index: u64) -> Result<Option<u32>, Error<D::Error>> {
        let Some(path) = Path::to(index) else {
            return Ok(None);
        };
        let mut block = self.checked(inode.block[path.slot].get())?;
        for slot in &path.below[..path.levels] {
            let Some(pointers) = block else {
                return Ok(None);
            };
            block = self.checked(self.pointer(pointers, *slot)?)?;
        }
        Ok(block)
    }

    /// The block that has block `index` of a file, made if there is none. What stands in a new one is what
    /// stood there before.
    ///
    /// # Errors
    /// [`Error::NoSpace`], and blocks of pointers that are all empty may be left; [`Error::TooLarge`];
    /// as [`Self::block_of`].
    pub fn make_block(&self, ino: u32, index: u64) -> Result<u32, Error<D::Error>> {
        let path = Path::to(index).ok_or(Error::TooLarge)?;
        let mut inode = self.inode(ino)?;
        let mut block = match self.checked(inode.block[path.slot].get())? {
            Some(block) => block,
            None => {
                let block = self.new_block(path.levels > 0)?;
                inode.block[path.slot].set(block);
                inode.blocks += SECTORS;
                self.set_inode(ino, &inode)?;
                block
            }
        };
        for (level, slot) in path.below[..path.levels].iter().enumerate() {
            block = match self.checked(self.pointer(block, *slot)?)? {
                Some(next) => next,
                None => {
                    let next = self.new_block(level + 1 < path.levels)?;
                    self.set_pointer(block, *slot, next)?;
                    inode.blocks += SECTORS;
                    self.set_inode(ino, &inode)?;
                    next
                }
            };
        }
        Ok(block)
    }

    /// Takes a block, for pointers or for data.
    fn new_block(&self, for_pointers: bool) -> Result<u32, Error<D::Error>> {
        let block = self.take_block()?;
        if for_pointers {
            self.zero_block(block)?;
        }
        Ok(block)
    }

    pub(crate) fn zero_block(&self, block: u32) -> Result<(), Error<D::Error>> {
        Ok(self.device.write(u64::from(block) * BLOCK_SIZE, &ZEROS)?)
    }

    /// A pointer that may be 0.
    pub(crate) fn checked(&self, block: u32) -> Result<Option<u32>, Error<D::Error>> {
        match block {
            0 => Ok(None),
            block if self.geometry.is_block(block) => Ok(Some(block)),
            _ => Err(Error::Corrupt("a file has a block that there cannot be")),
        }
    }

    fn pointer(&self, block: u32, slot: u64) -> Result<u32, Error<D::Error>> {
        let word: U32 = self.read_object(u64::from(block) * BLOCK_SIZE + slot * 4)?;
        Ok(word.get())
    }

    pub(crate) fn set_pointer(
        &self,
        block: u32,
        slot: u64,
        value: u32,
    ) -> Result<(), Error<D::Error>> {
        let at = u64::from(block) * BLOCK_SIZE + slot * 4;
        self.write_object(at, &U32::new(value))
    }
}
