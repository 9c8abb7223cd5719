//! Inodes.

use crate::{
    BLOCK_SIZE, Device, Error, Ext2,
    layout::{Inode, RO_COMPAT_LARGE_FILE, SUPER_OFFSET, SuperBlock},
};
use core::mem::offset_of;
use zerocopy::{FromZeros, little_endian::U32};

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Something else: a device, a pipe, a socket.
    Other,
}

/// The type's bits of a mode (POSIX: `S_IFMT`).
const S_IFMT: u16 = 0o17_0000;

impl FileKind {
    /// The type's bits of a mode.
    pub const fn mode(self) -> u16 {
        match self {
            Self::Regular => 0o10_0000,
            Self::Directory => 0o04_0000,
            Self::Symlink => 0o12_0000,
            Self::Other => 0,
        }
    }

    /// The type in a mode.
    pub const fn of_mode(mode: u16) -> Self {
        match mode & S_IFMT {
            0o10_0000 => Self::Regular,
            0o04_0000 => Self::Directory,
            0o12_0000 => Self::Symlink,
            _ => Self::Other,
        }
    }

    /// As an entry of a directory says it.
    pub(crate) const fn file_type(self) -> u8 {
        match self {
            Self::Regular => 1,
            Self::Directory => 2,
            Self::Symlink => 7,
            Self::Other => 0,
        }
    }
}

impl Inode {
    /// What it is.
    pub const fn kind(&self) -> FileKind {
        FileKind::of_mode(self.mode.get())
    }

    /// Its bytes.
    pub const fn len(&self) -> u64 {
        let low = self.size.get() as u64;
        match self.kind() {
            FileKind::Regular => low | (self.size_high.get() as u64) << 32,
            _ => low,
        }
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets its bytes.
    pub(crate) fn set_len(&mut self, len: u64) {
        self.size.set(len as u32);
        if self.kind() == FileKind::Regular {
            self.size_high.set((len >> 32) as u32);
        }
    }
}

impl<D: Device> Ext2<D> {
    /// Where an inode is.
    fn inode_at(&self, ino: u32) -> Result<u64, Error<D::Error>> {
        let g = &self.geometry;
        if ino == 0 || ino > g.inodes_count {
            return Err(Error::Corrupt("a name leads to no inode"));
        }
        let (group, index) = (
            (ino - 1) / g.inodes_per_group,
            (ino - 1) % g.inodes_per_group,
        );
        let table = u64::from(self.group(group)?.inode_table.get()) * BLOCK_SIZE;
        Ok(table + u64::from(index) * u64::from(g.inode_size))
    }

    /// Reads an inode.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if there is no such inode; the disk's.
    pub fn inode(&self, ino: u32) -> Result<Inode, Error<D::Error>> {
        self.read_object(self.inode_at(ino)?)
    }

    pub(crate) fn set_inode(&self, ino: u32, inode: &Inode) -> Result<(), Error<D::Error>> {
        self.write_object(self.inode_at(ino)?, inode)
    }

    /// Changes an inode, but for its blocks, and writes it if that changed anything. `len` is the number
    /// of its bytes, if that is to change.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn update_inode(
        &self,
        ino: u32,
        len: Option<u64>,
        change: impl FnOnce(&mut Inode),
    ) -> Result<(), Error<D::Error>> {
        let old = self.inode(ino)?;
        let mut new = old;
        change(&mut new);
        (new.block, new.blocks) = (old.block, old.blocks);
        if let Some(len) = len {
            new.set_len(len);
            if len > i32::MAX as u64 {
                self.note_large_file()?;
            }
        }
        if new != old {
            self.set_inode(ino, &new)?;
        }
        Ok(())
    }

    /// Makes an inode with permissions (07777) that no name leads to yet, at a time in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::NoInodes`]; the disk's.
    pub fn new_inode(
        &self,
        near: u32,
        kind: FileKind,
        permissions: u16,
        now: u32,
    ) -> Result<u32, Error<D::Error>> {
        let ino = self.take_inode(near, kind == FileKind::Directory)?;
        let mut inode = Inode::new_zeroed();
        inode.mode.set(kind.mode() | permissions & 0o7777);
        for time in [&mut inode.atime, &mut inode.ctime, &mut inode.mtime] {
            time.set(now);
        }
        // What a former inode left behind the first 128 bytes goes as well.
        let at = self.inode_at(ino)?;
        for part in 1..self.geometry.inode_size / 128 {
            self.device.write(at + u64::from(part) * 128, &[0; 128])?;
        }
        self.set_inode(ino, &inode)?;
        Ok(ino)
    }

    /// Gives an inode back that no name leads to, with its blocks.
    ///
    /// # Errors
    /// [`Error`]; what is left of it is lost until the file system is checked.
    pub fn delete_inode(&self, ino: u32, now: u32) -> Result<(), Error<D::Error>> {
        let kind = self.inode(ino)?.kind();
        self.truncate(ino, 0)?;
        let mut inode = self.inode(ino)?;
        inode.links_count.set(0);
        // A smaller number would be taken for an inode: the next one of those that have no name.
        inode
            .dtime
            .set(now.max(self.geometry.inodes_count.saturating_add(1)));
        self.set_inode(ino, &inode)?;
        self.give_inode(ino, kind == FileKind::Directory)
    }

    fn note_large_file(&self) -> Result<(), Error<D::Error>> {
        let field = offset_of!(SuperBlock, feature_ro_compat);
        let features = self.super_word(field)?;
        if features & RO_COMPAT_LARGE_FILE == 0 {
            let features = U32::new(features | RO_COMPAT_LARGE_FILE);
            self.write_object(SUPER_OFFSET + field as u64, &features)?;
        }
        Ok(())
    }
}
