//! Disks on which anything may stand.

use super::{Failed, Ram, create, disk, mount, names, write};
use crate::{BLOCK_SIZE, Error, Ext2, FileKind, ROOT_INO, layout::SuperBlock};
use proptest::prelude::*;
use std::mem::offset_of;

/// A disk with a few files.
fn filled() -> Ram {
    let ram = disk(300);
    let fs = mount(&ram);
    let dir = create(&fs, ROOT_INO, b"dir", FileKind::Directory).unwrap();
    let ino = create(&fs, dir, b"file", FileKind::Regular).unwrap();
    write(&fs, ino, 0, &[3; 14 * BLOCK_SIZE as usize]).unwrap();
    let link = create(&fs, ROOT_INO, b"link", FileKind::Symlink).unwrap();
    fs.set_link(link, &[b'x'; 100]).unwrap();
    ram
}

/// Does everything that can be done; all of it may fail.
fn use_it(ram: &Ram, blocks: u64) -> Result<(), Error<Failed>> {
    let fs = Ext2::mount(ram, blocks)?;
    for (_, ino) in names(&fs, ROOT_INO)?.into_iter().take(50) {
        let Ok(inode) = fs.inode(ino) else { continue };
        for index in [0, 1, 12, 13, 2000, 1 << 21] {
            let _ = fs.block_in(&inode, index);
            let _ = fs.make_block(ino, index);
        }
        let _ = fs.read_link(&inode, 3, &mut [0; 50]);
        let _ = names(&fs, ino);
        let _ = fs.truncate(ino, 4096);
    }
    let dir = fs.look_up(ROOT_INO, b"dir")?;
    let _ = fs.add_entry(dir, b"more", 12, FileKind::Regular);
    let _ = fs.remove_entry(dir, b"file");
    let _ = create(&fs, dir, b"new", FileKind::Directory);
    fs.delete_inode(dir, 1)
}

#[test]
fn numbers_of_the_superblock_that_cannot_be_are_named() {
    for (field, value, word) in [
        (
            offset_of!(SuperBlock, blocks_count),
            400,
            "more blocks than the disk",
        ),
        (
            offset_of!(SuperBlock, blocks_count),
            0,
            "more or fewer inodes",
        ),
        (
            offset_of!(SuperBlock, blocks_per_group),
            0,
            "impossible number of blocks",
        ),
        (
            offset_of!(SuperBlock, inodes_per_group),
            1 << 30,
            "impossible number of inodes",
        ),
        (
            offset_of!(SuperBlock, inodes_count),
            7,
            "more or fewer inodes",
        ),
        (offset_of!(SuperBlock, first_data_block), 1, "first block"),
        (offset_of!(SuperBlock, first_ino), 0, "first inode"),
        (offset_of!(SuperBlock, inode_size), 100, "impossible size"),
    ] {
        let ram = filled();
        let at = 1024 + field;
        ram.bytes.borrow_mut()[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        match Ext2::mount(&ram, 300).err() {
            Some(Error::Corrupt(what)) => assert!(what.contains(word), "{what}, not {word}"),
            other => panic!("{other:?}, not {word}"),
        }
    }
    let ram = filled();
    // The block bitmap of the first group.
    ram.bytes.borrow_mut()[4096..4100].copy_from_slice(&u32::to_le_bytes(9999));
    let found = Ext2::mount(&ram, 300).err();
    assert_eq!(found, Some(Error::Corrupt("a group is not on the disk")));
}

#[test]
fn a_block_in_two_files_is_noticed_when_it_is_given_back_twice() {
    let ram = filled();
    let fs = mount(&ram);
    let [a, b] = [b"a", b"b"].map(|name| create(&fs, ROOT_INO, name, FileKind::Regular).unwrap());
    write(&fs, a, 0, b"a").unwrap();
    let inode = fs.inode(a).unwrap();
    fs.set_inode(b, &inode).unwrap();
    fs.truncate(a, 0).unwrap();
    let again = fs.truncate(b, 0);
    assert_eq!(again, Err(Error::Corrupt("a free block is in a file")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn nothing_on_the_disk_makes_it_panic(
        changes in prop::collection::vec((0usize..12, 0usize..4096, any::<u32>(), any::<bool>()), 1..12),
    ) {
        let ram = filled();
        for (block, at, value, small) in changes {
            // The superblock, the descriptors, the bitmaps, the inodes and the first directories.
            let at = (block * 4096 + at) & !3;
            let value = if small { value % 300 } else { value };
            ram.bytes.borrow_mut()[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        ram.bytes.borrow_mut()[1024 + 56..1024 + 58].copy_from_slice(&0xef53_u16.to_le_bytes());
        let _ = use_it(&ram, 300);
    }
}
