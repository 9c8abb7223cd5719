//! What the operations do.

use super::{Failed, check, create, disk, mount, names, view, write};
use crate::{BLOCK_SIZE, Error, FileKind, FormatError, ROOT_INO, format, usable_blocks};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn an_empty_file_system_has_nothing_to_repair() {
    for blocks in [64, 1000, 32768, 32770, 33500, 70_000] {
        let ram = disk(blocks);
        check(&ram);
        let fs = mount(&ram);
        assert_eq!(names(&fs, ROOT_INO).unwrap().len(), 3);
        assert_eq!(Ok(usable_blocks(blocks).unwrap()), fs.free_blocks());
    }
    let ram = super::Ram::new(vec![0; 4096 * 8]);
    let made = format(&ram, 8, [0; 16], 0).err();
    assert_eq!(made, Some(FormatError::Size));
}

#[test]
fn files_of_every_depth_keep_their_blocks() {
    let ram = disk(4000);
    let fs = mount(&ram);
    let free = fs.free_blocks().unwrap();
    let ino = create(&fs, ROOT_INO, b"deep", FileKind::Regular).unwrap();
    // Direct, and behind one, two and three blocks of pointers.
    let places = [
        0,
        11,
        12,
        1035,
        1036,
        1036 + 1024 * 1024 - 1,
        1036 + 1024 * 1024,
    ];
    for (byte, index) in (1..).zip(places) {
        write(&fs, ino, index, &[byte; BLOCK_SIZE as usize]).unwrap();
    }
    assert_eq!(fs.block_of(ino, 13), Ok(None), "a hole");
    assert_eq!(fs.block_of(ino, u64::MAX), Ok(None));
    assert_eq!(fs.make_block(ino, 1 << 32), Err(Error::TooLarge));
    check(&ram);
    let blocks = places.map(|index| fs.block_of(ino, index).unwrap().unwrap());
    for len in [places[6], places[5], 1036, 1035, 12, 5] {
        fs.truncate(ino, len * BLOCK_SIZE).unwrap();
        fs.update_inode(ino, Some(len * BLOCK_SIZE), |_| ())
            .unwrap();
        check(&ram);
        for (index, block) in places.into_iter().zip(blocks) {
            let there = (index < len).then_some(block);
            assert_eq!(fs.block_of(ino, index), Ok(there), "{index} of {len}");
        }
    }
    fs.remove_entry(ROOT_INO, b"deep").unwrap();
    fs.delete_inode(ino, 9).unwrap();
    assert_eq!(fs.free_blocks(), Ok(free));
    check(&ram);
}

#[test]
fn an_independent_reader_reads_the_same() {
    let ram = disk(2000);
    let fs = mount(&ram);
    let dir = create(&fs, ROOT_INO, b"dir", FileKind::Directory).unwrap();
    let content: Vec<u8> = (0..3 * 4096 + 17).map(|i| (i % 251) as u8).collect();
    let file = create(&fs, dir, b"file", FileKind::Regular).unwrap();
    write(&fs, file, 0, &content).unwrap();
    let long = "x/".repeat(50);
    for (name, target) in [("short", "dir/file"), ("long", long.as_str())] {
        let ino = create(&fs, ROOT_INO, name.as_bytes(), FileKind::Symlink).unwrap();
        fs.set_link(ino, target.as_bytes()).unwrap();
        let mut read = [0; 200];
        let inode = fs.inode(ino).unwrap();
        let len = fs.read_link(&inode, 0, &mut read).unwrap();
        assert_eq!(&read[..len], target.as_bytes());
        let len = fs.read_link(&inode, 4, &mut read).unwrap();
        assert_eq!(&read[..len], &target.as_bytes()[4..]);
    }
    let view = view(&ram);
    assert_eq!(view.read("/dir/file").unwrap(), content);
    assert_eq!(view.read("/short").unwrap(), content);
    let read = view.read_link("/long").unwrap();
    assert_eq!(read.as_ref(), long.as_bytes());
    assert_eq!(view.metadata("/dir/file").unwrap().mode() & 0o7777, 0o644);
    check(&ram);
}

#[test]
fn a_full_disk_says_so_and_stays_sound() {
    let ram = disk(200);
    let fs = mount(&ram);
    let ino = create(&fs, ROOT_INO, b"fat", FileKind::Regular).unwrap();
    let mut blocks = 0;
    let error = loop {
        match write(&fs, ino, blocks, &[1; BLOCK_SIZE as usize]) {
            Ok(()) => blocks += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::NoSpace);
    assert_eq!(fs.free_blocks(), Ok(0));
    check(&ram);
    let mut made = 0;
    let error = loop {
        let name = format!("{made:>200}");
        match create(&fs, ROOT_INO, name.as_bytes(), FileKind::Regular) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    // The name did not fit into the root's one block.
    assert_eq!(error, Error::NoSpace);
    fs.truncate(ino, 0).unwrap();
    fs.update_inode(ino, Some(0), |_| ()).unwrap();
    assert!(fs.free_blocks().unwrap() as u64 >= blocks);
    let error = loop {
        let name = format!("{made:>100}");
        match create(&fs, ROOT_INO, name.as_bytes(), FileKind::Regular) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::NoInodes);
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8, usize),
    Remove(u8),
    Rename(u8, u8),
    Write(u8, u64, usize),
    Truncate(u8, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..30u8, 1..250usize).prop_map(|(n, len)| Step::Create(n, len)),
        2 => (0..30u8).prop_map(Step::Remove),
        1 => (0..30u8, 0..30u8).prop_map(|(a, b)| Step::Rename(a, b)),
        4 => (0..30u8, 0..40u64, 1..20_000usize).prop_map(|(n, at, len)| Step::Write(n, at, len)),
        2 => (0..30u8, 0..160_000u64).prop_map(|(n, len)| Step::Truncate(n, len)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_directory_is_what_a_map_is(steps in prop::collection::vec(step(), 1..60)) {
        let ram = disk(3000);
        let fs = mount(&ram);
        let free = fs.free_blocks().unwrap();
        let dir = create(&fs, ROOT_INO, b"d", FileKind::Directory).unwrap();
        // Number to name, inode and length; the length is of whole blocks but at the end.
        let mut model: BTreeMap<u8, (String, u32, u64)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Create(n, len) if !model.contains_key(&n) => {
                    let name = format!("{n}{}", "_".repeat(len));
                    let ino = create(&fs, dir, name.as_bytes(), FileKind::Regular).unwrap();
                    model.insert(n, (name, ino, 0));
                }
                Step::Remove(n) => {
                    if let Some((name, ino, _)) = model.remove(&n) {
                        fs.remove_entry(dir, name.as_bytes()).unwrap();
                        fs.delete_inode(ino, 5).unwrap();
                        let again = fs.remove_entry(dir, name.as_bytes());
                        prop_assert_eq!(again, Err(Error::NotFound));
                    }
                }
                Step::Rename(a, b) if model.contains_key(&a) && model.contains_key(&b) && a != b => {
                    let (ino, len) = (model[&a].1, model[&a].2);
                    let Some(other) = model.get_mut(&b) else { continue };
                    fs.set_entry(dir, other.0.as_bytes(), ino, FileKind::Regular).unwrap();
                    fs.delete_inode(other.1, 5).unwrap();
                    (other.1, other.2) = (ino, len);
                    let (name, ..) = model.remove(&a).unwrap();
                    fs.remove_entry(dir, name.as_bytes()).unwrap();
                }
                Step::Write(n, at, len) => {
                    if let Some((_, ino, size)) = model.get_mut(&n) {
                        write(&fs, *ino, at, &vec![n; len]).unwrap();
                        let new = at * BLOCK_SIZE + len as u64;
                        let end = new.max(*size);
                        fs.update_inode(*ino, Some(end), |_| ()).unwrap();
                        *size = end;
                    }
                }
                Step::Truncate(n, len) => {
                    if let Some((_, ino, size)) = model.get_mut(&n) {
                        fs.truncate(*ino, len).unwrap();
                        fs.update_inode(*ino, Some(len), |_| ()).unwrap();
                        *size = len;
                    }
                }
                _ => {}
            }
        }
        let there: Vec<_> = names(&fs, dir).unwrap().into_iter().filter(|it| !it.0.starts_with('.')).collect();
        let mut wanted: Vec<_> = model.values().map(|it| (it.0.clone(), it.1)).collect();
        wanted.sort();
        prop_assert_eq!(there, wanted);
        for (name, ino, size) in model.values() {
            prop_assert_eq!(fs.inode(*ino).unwrap().len(), *size);
            prop_assert_eq!(fs.look_up(dir, name.as_bytes()), Ok(*ino));
        }
        check(&ram);
        for (name, ino, _) in model.values() {
            fs.remove_entry(dir, name.as_bytes()).unwrap();
            fs.delete_inode(*ino, 5).unwrap();
        }
        fs.remove_entry(ROOT_INO, b"d").unwrap();
        fs.delete_inode(dir, 5).unwrap();
        fs.update_inode(ROOT_INO, None, |root| root.links_count -= 1).unwrap();
        prop_assert_eq!(fs.free_blocks(), Ok(free));
        check(&ram);
    }
}

#[test]
fn every_failure_of_the_disk_is_told_and_loses_no_block_twice() {
    for nth in 0.. {
        let ram = disk(300);
        let fs = mount(&ram);
        let work = || -> Result<(), Error<Failed>> {
            let dir = create(&fs, ROOT_INO, b"dir", FileKind::Directory)?;
            let ino = create(&fs, dir, b"file", FileKind::Regular)?;
            write(&fs, ino, 0, &[3; 14 * BLOCK_SIZE as usize])?;
            fs.truncate(ino, 5000)?;
            fs.remove_entry(dir, b"file")?;
            fs.delete_inode(ino, 5)
        };
        ram.fail.set(Some(nth));
        let done = work();
        ram.fail.set(None);
        if done.is_ok() {
            assert!(nth > 100);
            return;
        }
        assert_eq!(done, Err(Error::Device(Failed)), "{nth}");
        // What is left can be walked, and nothing is in two places.
        let mut blocks = std::collections::BTreeSet::new();
        for (name, ino) in names(&fs, ROOT_INO).unwrap() {
            let Ok(inode) = fs.inode(ino) else { continue };
            if name.starts_with('.') || inode.is_empty() {
                continue;
            }
            for index in 0..inode.len().div_ceil(BLOCK_SIZE) {
                if let Some(block) = fs.block_in(&inode, index).unwrap() {
                    assert!(blocks.insert(block), "{nth}: {block}");
                }
            }
        }
    }
}
