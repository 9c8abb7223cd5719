//! Tests on a disk in memory. The referees are ext4-view, which reads ext2, and e2fsck where it is
//! installed.

mod corrupt;
mod foreign;
mod rules;

use crate::{BLOCK_SIZE, Device, Error, Ext2, FileKind, format};
use ext4_view::Ext4;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
};

/// The disk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failed;

/// A disk in memory, whose n-th request from now fails.
struct Ram {
    bytes: RefCell<Vec<u8>>,
    fail: Cell<Option<u64>>,
    /// Blocks that were forgotten and not written since: nobody may read them.
    forgotten: RefCell<BTreeSet<u64>>,
}

impl Ram {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes: RefCell::new(bytes),
            fail: Cell::new(None),
            forgotten: RefCell::default(),
        }
    }

    fn request(&self, at: u64, len: usize) -> Result<std::ops::Range<usize>, Failed> {
        assert!(len as u64 <= BLOCK_SIZE - at % BLOCK_SIZE, "within a block");
        match self.fail.get() {
            Some(0) => return Err(Failed),
            Some(left) => self.fail.set(Some(left - 1)),
            None => {}
        }
        Ok(at as usize..at as usize + len)
    }
}

impl Device for &Ram {
    type Error = Failed;

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), Failed> {
        let range = self.request(at, bytes.len())?;
        bytes.copy_from_slice(&self.bytes.borrow()[range]);
        Ok(())
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Failed> {
        let range = self.request(at, bytes.len())?;
        self.forgotten.borrow_mut().remove(&(at / BLOCK_SIZE));
        self.bytes.borrow_mut()[range].copy_from_slice(bytes);
        Ok(())
    }

    fn forget(&self, block: u32) -> Result<(), Failed> {
        self.forgotten.borrow_mut().insert(block.into());
        Ok(())
    }
}

type Fs<'d> = Ext2<&'d Ram>;

/// An empty disk of so many blocks.
fn disk(blocks: u64) -> Ram {
    let ram = Ram::new(vec![0; (blocks * BLOCK_SIZE) as usize]);
    format(&ram, blocks, [7; 16], 1000).unwrap();
    ram
}

fn mount(ram: &Ram) -> Fs<'_> {
    let blocks = ram.bytes.borrow().len() as u64 / BLOCK_SIZE;
    Ext2::mount(ram, blocks).unwrap()
}

/// Makes a file with a name.
fn create(fs: &Fs<'_>, dir: u32, name: &[u8], kind: FileKind) -> Result<u32, Error<Failed>> {
    let ino = fs.new_inode(dir, kind, 0o644, 2000)?;
    if kind == FileKind::Directory {
        fs.init_directory(ino, dir)?;
        fs.update_inode(dir, None, |inode| inode.links_count += 1)?;
    }
    let links = if kind == FileKind::Directory { 2 } else { 1 };
    fs.update_inode(ino, None, |inode| inode.links_count.set(links))?;
    fs.add_entry(dir, name, ino, kind)?;
    Ok(ino)
}

/// Writes whole blocks of a file; the last may have fewer bytes.
fn write(fs: &Fs<'_>, ino: u32, first: u64, bytes: &[u8]) -> Result<(), Error<Failed>> {
    for (index, part) in (first..).zip(bytes.chunks(BLOCK_SIZE as usize)) {
        let block = fs.make_block(ino, index)?;
        fs.device().write(u64::from(block) * BLOCK_SIZE, part)?;
    }
    let len = first * BLOCK_SIZE + bytes.len() as u64;
    fs.update_inode(ino, Some(len), |_| ())
}

/// Names in a directory, sorted.
fn names(fs: &Fs<'_>, dir: u32) -> Result<Vec<(String, u32)>, Error<Failed>> {
    let (mut names, mut position) = (Vec::new(), 0);
    while let Some(entry) = fs.entry(dir, position)? {
        names.push((
            String::from_utf8_lossy(entry.name()).into_owned(),
            entry.ino,
        ));
        position = entry.next;
    }
    names.sort();
    Ok(names)
}

/// What an independent reader finds.
fn view(ram: &Ram) -> Ext4 {
    Ext4::load(Box::new(ram.bytes.borrow().clone())).unwrap()
}

/// Lets e2fsck look at a disk, if it is there.
fn check(ram: &Ram) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    fs::write(&path, &*ram.bytes.borrow()).unwrap();
    e2fsck(&path);
}

fn e2fsck(path: &Path) {
    let Some(program) = tool("e2fsck") else {
        return;
    };
    let output = Command::new(program).args(["-f", "-n"]).arg(path).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}

/// A program of e2fsprogs, if it is installed.
fn tool(name: &str) -> Option<std::path::PathBuf> {
    ["/usr/sbin", "/sbin", "/usr/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
}
