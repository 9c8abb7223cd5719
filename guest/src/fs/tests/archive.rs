//! The initial ramfs.

use super::{Process, add_entry, archive, mm, mount, without_leak};
use crate::fs::{
    cpio::{CpioError, Entries},
    ramfs::{Ramfs, RamfsError},
};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use proptest::prelude::*;

const FILE: u32 = linux::S_IFREG | 0o644;
const DIR: u32 = linux::S_IFDIR | 0o755;
const LINK: u32 = linux::S_IFLNK | 0o777;

#[test]
fn all_kinds_of_entries_are_unpacked() {
    let big: Vec<u8> = (0..10_000).map(|i| (i % 251) as u8).collect();
    let archive = archive(&[
        ("bin", DIR, &[]),
        ("./bin/big", linux::S_IFREG | 0o755, &big),
        ("bin/link", LINK, b"big"),
        ("deep/down/file", FILE, b"content"),
        ("bin/empty", FILE, b""),
        ("deep/down/file", FILE, b"later"),
        ("proc", DIR, &[]),
        ("proc/covered", FILE, b"x"),
    ]);
    without_leak(|| {
        let ramfs = Ramfs::mount(&archive).unwrap();
        let mut process = Process::new(&ramfs);
        assert_eq!(process.content("/bin/big").unwrap(), big);
        assert_eq!(process.content("/bin/link").unwrap(), big);
        assert_eq!(process.content("/deep/down/file").unwrap(), b"later");
        assert_eq!(process.content("/bin/empty").unwrap(), b"");
        assert_eq!(process.open("/proc/covered", 0), Err(Errno::ENOENT));
        let mut names = process.list("/dev").unwrap();
        names.sort();
        let expected = [
            ".", "..", "full", "null", "random", "tty", "urandom", "zero",
        ];
        assert_eq!(names, expected);
        assert!(ramfs.content(b"/bin").is_err());
        let content = ramfs.content(b"bin/big").unwrap();
        assert_eq!(mm().file_size(content.id()), big.len() as u64);
    });
}

#[test]
fn names_of_one_file_share_it() {
    let mut archive = Vec::new();
    add_entry(&mut archive, 5, 2, "first", FILE, b"");
    add_entry(&mut archive, 6, 1, "other", FILE, b"other");
    add_entry(&mut archive, 5, 2, "second", FILE, b"shared");
    add_entry(&mut archive, 0, 1, "TRAILER!!!", 0, &[]);
    without_leak(|| {
        let ramfs = Ramfs::mount(&archive).unwrap();
        let mut process = Process::new(&ramfs);
        assert_eq!(process.content("/first").unwrap(), b"shared");
        assert_eq!(process.content("/second").unwrap(), b"shared");
        assert_eq!(process.content("/other").unwrap(), b"other");
    });
}

#[test]
fn corrupt_archives_are_named() {
    let good = archive(&[("file", FILE, b"content")]);
    let error = |bytes: &[u8]| match Ramfs::mount(bytes) {
        Err(RamfsError::Cpio(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was mounted"),
    };
    without_leak(|| {
        assert_eq!(error(b""), CpioError::Truncated(0));
        assert_eq!(error(b"070707 and more of it"), CpioError::Truncated(0));
        assert_eq!(error(&[b'x'; 200]), CpioError::Magic(0));
        assert_eq!(error(&good[..good.len() / 2]), CpioError::Truncated(124));
        let mut broken = good.clone();
        broken[14] = b'z';
        assert_eq!(error(&broken), CpioError::Field(14));
        let mut broken = good.clone();
        // The name's length.
        broken[94..102].copy_from_slice(b"00000000");
        assert_eq!(error(&broken), CpioError::Name(0));
        let mut broken = good.clone();
        broken[54..62].copy_from_slice(b"FFFFFFFF");
        assert_eq!(error(&broken), CpioError::Truncated(116));
        let text = CpioError::Magic(3).to_string();
        assert!(text.contains("byte 3") && text.contains("newc"), "{text}");
    });
}

#[test]
fn an_archive_that_does_not_fit_is_an_error() {
    let big = vec![1; 15 << 20];
    let archive = archive(&[("big", FILE, &big)]);
    let error = without_leak(|| Ramfs::mount(&archive).err());
    assert_eq!(error, Some(RamfsError::Entry(1, Errno::ENOMEM)));
}

#[test]
fn a_deep_tree_goes_without_recursion() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        for _ in 0..3000 {
            process.path(linux::__NR_mkdir, "d", &[0o755]).unwrap();
            process.path(linux::__NR_chdir, "d", &[]).unwrap();
        }
        // First all names go, then the chain of directories with the last descriptor.
        drop(ramfs);
        drop(process);
    });
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        at in 0..300_usize,
        byte: u8,
    ) {
        let _ = Entries::of(&bytes).count();
        let mut archive = archive(&[("a", DIR, &[]), ("a/b", FILE, b"123"), ("c", LINK, b"a")]);
        archive[at] = byte;
        without_leak(|| drop(Ramfs::mount(&archive)));
    }
}
