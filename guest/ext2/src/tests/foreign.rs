//! File systems that mke2fs makes.

use super::{Ram, check, create, mount, names, tool, write};
use crate::{BLOCK_SIZE, Error, Ext2, FileKind, ROOT_INO};
use std::{fs, process::Command};

/// A disk that mke2fs fills from a directory; none if it is not installed.
fn made(arguments: &[&str]) -> Option<Ram> {
    let program = tool("mke2fs")?;
    let directory = tempfile::tempdir().unwrap();
    let content = directory.path().join("content");
    fs::create_dir_all(content.join("sub")).unwrap();
    for number in 0..300 {
        fs::write(content.join(format!("sub/{number}")), format!("{number}\n")).unwrap();
    }
    let path = directory.path().join("disk");
    let output = Command::new(program)
        .args(["-q", "-F", "-d"])
        .arg(&content)
        .args(arguments)
        .arg(&path)
        .arg("8M")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(Ram::new(fs::read(path).unwrap()))
}

#[test]
fn what_mke2fs_makes_is_read_and_changed() {
    let Some(ram) = made(&["-t", "ext2", "-b", "4096"]) else {
        return;
    };
    let fs = mount(&ram);
    let sub = fs.look_up(ROOT_INO, b"sub").unwrap();
    assert_eq!(names(&fs, sub).unwrap().len(), 302);
    let ino = fs.look_up(sub, b"123").unwrap();
    let block = fs.block_of(ino, 0).unwrap().unwrap();
    let at = (u64::from(block) * BLOCK_SIZE) as usize;
    assert_eq!(ram.bytes.borrow()[at..at + 4], *b"123\n");
    for number in 0..300 {
        let new = create(
            &fs,
            sub,
            format!("new{number}").as_bytes(),
            FileKind::Regular,
        )
        .unwrap();
        write(&fs, new, 0, b"new").unwrap();
    }
    for number in (0..300).step_by(2) {
        let name = number.to_string();
        let ino = fs.look_up(sub, name.as_bytes()).unwrap();
        fs.remove_entry(sub, name.as_bytes()).unwrap();
        fs.delete_inode(ino, 77).unwrap();
    }
    check(&ram);
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for (arguments, word) in [
        (["-t", "ext2", "-b", "1024"], "mke2fs -b 4096"),
        (["-t", "ext4", "-b", "4096"], "mke2fs -t ext2"),
    ] {
        let Some(ram) = made(&arguments) else { return };
        let blocks = ram.bytes.borrow().len() as u64 / BLOCK_SIZE;
        match Ext2::mount(&ram, blocks) {
            Err(Error::Unsupported(what)) => assert!(what.contains(word), "{what}"),
            other => panic!("{:?}", other.err()),
        }
    }
    let ram = Ram::new(vec![0; 1 << 20]);
    assert_eq!(Ext2::mount(&ram, 256).err(), Some(Error::NotExt2));
}
