//! Files become shorter (Linux fs/ext2/inode.c: `ext2_truncate_blocks`).

use crate::{
    BLOCK_SIZE, Device, Error, Ext2, FileKind,
    layout::{DIRECT, POINTERS},
    map::SECTORS,
};
use zerocopy::{FromZeros, IntoBytes, little_endian::U32};

/// Pointers that are looked at together.
const CHUNK: usize = 64;

impl<D: Device> Ext2<D> {
    /// Gives the blocks back that a file has behind `len` bytes. Its length stays as it is: that is told
    /// by [`Self::update_inode`].
    ///
    /// # Errors
    /// [`Error`]; blocks that could not be given back are lost until the file system is checked.
    pub fn truncate(&self, ino: u32, len: u64) -> Result<(), Error<D::Error>> {
        let mut inode = self.inode(ino)?;
        // A short symbolic link stands where the pointers are.
        let has_blocks = inode.kind() != FileKind::Symlink || inode.blocks.get() != 0;
        if !has_blocks || inode.kind() == FileKind::Other {
            return Ok(());
        }
        let first = len.div_ceil(BLOCK_SIZE);
        for slot in 0..DIRECT {
            if slot as u64 >= first
                && let Some(block) = self.checked(inode.block[slot].get())?
            {
                inode.block[slot].set(0);
                let left = inode.blocks.get().saturating_sub(SECTORS);
                inode.blocks.set(left);
                self.set_inode(ino, &inode)?;
                self.free_used(block, inode.kind())?;
            }
        }
        let mut base = DIRECT as u64;
        for level in 1..=3 {
            let (slot, span) = (DIRECT + level - 1, POINTERS.pow(level as u32));
            let skip = first.saturating_sub(base);
            if skip < span
                && let Some(block) = self.checked(inode.block[slot].get())?
            {
                if skip == 0 {
                    inode.block[slot].set(0);
                    self.set_inode(ino, &inode)?;
                }
                let mut freed = 0;
                let done = self.free_branch(block, level as u32, skip, inode.kind(), &mut freed);
                let left = inode.blocks.get().saturating_sub(freed * SECTORS);
                inode.blocks.set(left);
                self.set_inode(ino, &inode)?;
                done?;
            }
            base += span;
        }
        Ok(())
    }

    /// Gives back what a block of pointers leads to, but for the first `skip` blocks of data, and itself
    /// if that leaves nothing. Nothing may lead to it then.
    fn free_branch(
        &self,
        block: u32,
        level: u32,
        skip: u64,
        kind: FileKind,
        freed: &mut u32,
    ) -> Result<(), Error<D::Error>> {
        let span = POINTERS.pow(level - 1);
        let first = skip / span;
        let mut pointers = [U32::new_zeroed(); CHUNK];
        for start in (first / CHUNK as u64 * CHUNK as u64..POINTERS).step_by(CHUNK) {
            let at = u64::from(block) * BLOCK_SIZE + start * 4;
            self.device.read(at, pointers.as_mut_bytes())?;
            for (slot, child) in (start..).zip(&pointers) {
                let Some(child) = self.checked(child.get())?.filter(|_| slot >= first) else {
                    continue;
                };
                let skip = if slot == first { skip % span } else { 0 };
                if skip == 0 && first > 0 {
                    self.set_pointer(block, slot, 0)?;
                }
                if level > 1 {
                    self.free_branch(child, level - 1, skip, kind, freed)?;
                } else {
                    self.free_used(child, kind)?;
                    *freed += 1;
                }
            }
        }
        if skip == 0 {
            self.device.forget(block)?;
            self.free_block(block)?;
            *freed += 1;
        }
        Ok(())
    }

    /// Gives a block of content back. That of directories and links has been written through
    /// [`Device`].
    fn free_used(&self, block: u32, kind: FileKind) -> Result<(), Error<D::Error>> {
        if kind != FileKind::Regular {
            self.device.forget(block)?;
        }
        self.free_block(block)
    }
}
