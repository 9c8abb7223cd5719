//! Symbolic links: short ones are in the inode (Linux fs/ext2/symlink.c).

use crate::{BLOCK_SIZE, Device, Error, Ext2, FileKind, layout::Inode};
use zerocopy::IntoBytes;

/// Bytes of a link that is in its inode, with a NUL behind them.
const FAST: usize = 60;

impl<D: Device> Ext2<D> {
    /// Writes what a new symbolic link leads to.
    ///
    /// # Errors
    /// [`Error::BadName`] if it is empty or longer than 4095 bytes; [`Error::NoSpace`]; the disk's.
    pub fn set_link(&self, ino: u32, target: &[u8]) -> Result<(), Error<D::Error>> {
        if target.is_empty() || target.len() >= BLOCK_SIZE as usize {
            return Err(Error::BadName);
        }
        if target.len() >= FAST {
            let block = self.make_block(ino, 0)?;
            self.zero_block(block)?;
            self.device.write(u64::from(block) * BLOCK_SIZE, target)?;
        }
        let mut inode = self.inode(ino)?;
        if target.len() < FAST {
            inode.block.as_mut_bytes()[..target.len()].copy_from_slice(target);
        }
        inode.set_len(target.len() as u64);
        self.set_inode(ino, &inode)
    }

    /// Reads from a byte of what a symbolic link leads to, as much as `buf` has room for and there is, and
    /// says how much.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is none, or its length cannot be; the disk's.
    pub fn read_link(
        &self,
        inode: &Inode,
        from: usize,
        buf: &mut [u8],
    ) -> Result<usize, Error<D::Error>> {
        let len = inode.len();
        if inode.kind() != FileKind::Symlink || len >= BLOCK_SIZE {
            return Err(Error::Corrupt("a symbolic link is too long"));
        }
        let rest = (len as usize).saturating_sub(from);
        let wanted = rest.min(buf.len());
        let buf = &mut buf[..wanted];
        if (len as usize) < FAST {
            buf.copy_from_slice(&inode.block.as_bytes()[from..from + wanted]);
        } else {
            let block = self.block_in(inode, 0)?;
            let block = block.ok_or(Error::Corrupt("a symbolic link has no content"))?;
            let at = u64::from(block) * BLOCK_SIZE + from as u64;
            self.device.read(at, buf)?;
        }
        Ok(wanted)
    }
}
