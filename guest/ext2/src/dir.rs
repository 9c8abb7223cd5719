//! Directories: lists of names (Linux fs/ext2/dir.c). One with an index loses it when it changes, as
//! ext2 does.

use crate::{
    BLOCK_SIZE, Device, Error, Ext2, FileKind,
    layout::{DirEntry, FLAG_INDEX, Inode},
};
use zerocopy::little_endian::U16;

/// Longest name.
const NAME_MAX: usize = 255;

/// Bytes of an entry without its name.
const HEAD: u64 = size_of::<DirEntry>() as u64;

/// A name in a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The inode.
    pub ino: u32,
    /// Where the next entry begins.
    pub next: u64,
    name: [u8; NAME_MAX],
    len: u8,
}

impl Entry {
    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.name[..usize::from(self.len)]
    }
}

/// An entry on the disk: where it is, and what stands there.
struct Found {
    /// Byte of the disk.
    at: u64,
    head: DirEntry,
    /// Where the one before it in its block is.
    before: Option<u64>,
}

/// Bytes that an entry with a name of this length needs.
const fn needed(len: usize) -> u16 {
    (HEAD as usize + len).next_multiple_of(4) as u16
}

impl<D: Device> Ext2<D> {
    /// The first entry at or behind a position of a directory, which is 0 or the [`Entry::next`] of another
    /// one; `.` and `..` are among them.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; the disk's.
    pub fn entry(&self, dir: u32, position: u64) -> Result<Option<Entry>, Error<D::Error>> {
        let inode = self.directory(dir)?;
        let mut position = position;
        while position < inode.len() {
            let at = self.byte_of(&inode, position)?;
            let head = self.head(at)?;
            let len = usize::from(head.name_len);
            position += u64::from(head.rec_len.get());
            if head.inode.get() == 0 {
                continue;
            }
            let mut name = [0; NAME_MAX];
            self.device.read(at + HEAD, &mut name[..len])?;
            if len == 0 || name[..len].iter().any(|byte| matches!(byte, 0 | b'/')) {
                return Err(Error::Corrupt("a name in a directory cannot be"));
            }
            return Ok(Some(Entry {
                ino: head.inode.get(),
                next: position,
                name,
                len: head.name_len,
            }));
        }
        Ok(None)
    }

    /// Adds a name, which must not be there.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::NoSpace`], [`Error::Corrupt`]; the disk's.
    pub fn add_entry(
        &self,
        dir: u32,
        name: &[u8],
        ino: u32,
        kind: FileKind,
    ) -> Result<(), Error<D::Error>> {
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(Error::BadName);
        }
        let inode = self.changed(dir)?;
        let wanted = needed(name.len());
        let mut position = 0;
        while position < inode.len() {
            let at = self.byte_of(&inode, position)?;
            let mut head = self.head(at)?;
            let rec_len = head.rec_len.get();
            let used = match head.inode.get() {
                0 => 0,
                _ => needed(head.name_len.into()),
            };
            if rec_len - used >= wanted {
                // The name first: it is nobody's until the entry before it ends.
                let place = at + u64::from(used);
                self.write_entry(place, rec_len - used, name, ino, kind)?;
                if used > 0 {
                    head.rec_len = U16::new(used);
                    self.write_object(at, &head)?;
                }
                return Ok(());
            }
            position += u64::from(rec_len);
        }
        self.add_block(dir, &inode, name, ino, kind)
    }

    /// Adds a name in a new block.
    fn add_block(
        &self,
        dir: u32,
        inode: &Inode,
        name: &[u8],
        ino: u32,
        kind: FileKind,
    ) -> Result<(), Error<D::Error>> {
        let len = inode.len();
        let block = self.make_block(dir, len / BLOCK_SIZE)?;
        self.zero_block(block)?;
        let place = u64::from(block) * BLOCK_SIZE;
        self.write_entry(place, BLOCK_SIZE as u16, name, ino, kind)?;
        self.update_inode(dir, Some(len + BLOCK_SIZE), |_| ())
    }

    /// Takes a name out.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`]; the disk's.
    pub fn remove_entry(&self, dir: u32, name: &[u8]) -> Result<(), Error<D::Error>> {
        let inode = self.changed(dir)?;
        let found = self.find(&inode, name)?;
        match found.before {
            Some(before) => {
                let mut head = self.head(before)?;
                head.rec_len += found.head.rec_len.get();
                self.write_object(before, &head)
            }
            None => {
                let mut head = found.head;
                head.inode.set(0);
                self.write_object(found.at, &head)
            }
        }
    }

    /// Lets a name that is there lead to another inode.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`]; the disk's.
    pub fn set_entry(
        &self,
        dir: u32,
        name: &[u8],
        ino: u32,
        kind: FileKind,
    ) -> Result<(), Error<D::Error>> {
        let inode = self.changed(dir)?;
        let found = self.find(&inode, name)?;
        let mut head = found.head;
        head.inode.set(ino);
        head.file_type = kind.file_type();
        self.write_object(found.at, &head)
    }

    /// The inode that a name in a directory leads to.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`]; the disk's.
    pub fn look_up(&self, dir: u32, name: &[u8]) -> Result<u32, Error<D::Error>> {
        let inode = self.directory(dir)?;
        Ok(self.find(&inode, name)?.head.inode.get())
    }

    /// Makes a new inode a directory with nothing in it but itself and the one above.
    ///
    /// # Errors
    /// [`Error::NoSpace`]; the disk's.
    pub fn init_directory(&self, dir: u32, parent: u32) -> Result<(), Error<D::Error>> {
        let block = self.make_block(dir, 0)?;
        self.zero_block(block)?;
        let at = u64::from(block) * BLOCK_SIZE;
        let kind = FileKind::Directory;
        self.write_entry(at, needed(1), b".", dir, kind)?;
        let rest = BLOCK_SIZE as u16 - needed(1);
        self.write_entry(at + u64::from(needed(1)), rest, b"..", parent, kind)?;
        self.update_inode(dir, Some(BLOCK_SIZE), |_| ())
    }

    fn directory(&self, dir: u32) -> Result<Inode, Error<D::Error>> {
        let inode = self.inode(dir)?;
        let whole = inode.len().is_multiple_of(BLOCK_SIZE);
        if inode.kind() != FileKind::Directory || !whole {
            return Err(Error::Corrupt(
                "a directory is none, or has an impossible size",
            ));
        }
        Ok(inode)
    }

    /// A directory that is about to be changed.
    fn changed(&self, dir: u32) -> Result<Inode, Error<D::Error>> {
        let mut inode = self.directory(dir)?;
        if inode.flags.get() & FLAG_INDEX != 0 {
            inode.flags.set(inode.flags.get() & !FLAG_INDEX);
            self.set_inode(dir, &inode)?;
        }
        Ok(inode)
    }

    /// Where a byte of a directory is on the disk.
    fn byte_of(&self, inode: &Inode, position: u64) -> Result<u64, Error<D::Error>> {
        let block = self.block_in(inode, position / BLOCK_SIZE)?;
        let block = block.ok_or(Error::Corrupt("a directory has a hole"))?;
        Ok(u64::from(block) * BLOCK_SIZE + position % BLOCK_SIZE)
    }

    /// The entry at a byte of the disk, within its block.
    fn head(&self, at: u64) -> Result<DirEntry, Error<D::Error>> {
        let corrupt = Error::Corrupt("an entry of a directory cannot be");
        let offset = at % BLOCK_SIZE;
        if !offset.is_multiple_of(4) || offset + HEAD > BLOCK_SIZE {
            return Err(corrupt);
        }
        let head: DirEntry = self.read_object(at)?;
        let rec_len = head.rec_len.get();
        let sound = rec_len.is_multiple_of(4)
            && rec_len >= needed(head.name_len.into())
            && offset + u64::from(rec_len) <= BLOCK_SIZE
            && head.inode.get() <= self.geometry.inodes_count;
        if sound { Ok(head) } else { Err(corrupt) }
    }

    fn find(&self, inode: &Inode, name: &[u8]) -> Result<Found, Error<D::Error>> {
        let (mut position, mut before) = (0, None);
        while position < inode.len() {
            let at = self.byte_of(inode, position)?;
            let head = self.head(at)?;
            if position.is_multiple_of(BLOCK_SIZE) {
                before = None;
            }
            if head.inode.get() != 0 && usize::from(head.name_len) == name.len() {
                let mut there = [0; NAME_MAX];
                let there = &mut there[..name.len()];
                self.device.read(at + HEAD, there)?;
                if there == name {
                    return Ok(Found { at, head, before });
                }
            }
            before = Some(at);
            position += u64::from(head.rec_len.get());
        }
        Err(Error::NotFound)
    }

    fn write_entry(
        &self,
        at: u64,
        rec_len: u16,
        name: &[u8],
        ino: u32,
        kind: FileKind,
    ) -> Result<(), Error<D::Error>> {
        self.device.write(at + HEAD, name)?;
        let head = DirEntry {
            inode: ino.into(),
            rec_len: rec_len.into(),
            name_len: name.len() as u8,
            file_type: kind.file_type(),
        };
        self.write_object(at, &head)
    }
}
