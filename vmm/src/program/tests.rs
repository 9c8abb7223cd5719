//! Packing, and what is refused.

use super::*;
use object::elf;
use pagelab_abi::PAGE_SIZE;
use proptest::prelude::*;
use std::{fs, io::Read, path::PathBuf};

/// A program of two segments at 0x400000 and 0x402000, as small as the checks allow.
fn program() -> Vec<u8> {
    let mut bytes = vec![0; 2 * PAGE_SIZE as usize];
    bytes[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    put(&mut bytes, 16, &2u16.to_le_bytes()); // ET_EXEC
    put(&mut bytes, 18, &62u16.to_le_bytes()); // EM_X86_64
    put(&mut bytes, 24, &0x40_0100u64.to_le_bytes()); // entry
    put(&mut bytes, 32, &64u64.to_le_bytes()); // phoff
    put(&mut bytes, 54, &56u16.to_le_bytes()); // phentsize
    put(&mut bytes, 56, &2u16.to_le_bytes()); // phnum
    segment(&mut bytes, 0, [1, 0x40_0000, 0x1000, 0x1000, 0]);
    segment(&mut bytes, 1, [1, 0x40_2000, 0x1000, 0x3000, 0x1000]);
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Type, address, bytes in the file and in memory, offset.
fn segment(bytes: &mut [u8], index: usize, [kind, vaddr, filesz, memsz, offset]: [u64; 5]) {
    let at = 64 + 56 * index;
    put(bytes, at, &(kind as u32).to_le_bytes());
    put(bytes, at + 4, &5u32.to_le_bytes());
    for (place, value) in [
        (8, offset),
        (16, vaddr),
        (24, vaddr),
        (32, filesz),
        (40, memsz),
    ] {
        put(bytes, at + place, &value.to_le_bytes());
    }
    put(bytes, at + 48, &PAGE_SIZE.to_le_bytes());
}

/// What is said of the program after a change.
fn refused(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = program();
    change(&mut bytes);
    super::elf::check(&bytes).unwrap_err().to_string()
}

#[test]
fn a_small_program_passes() {
    super::elf::check(&program()).unwrap();
}

#[test]
fn what_is_no_program_for_this_machine_is_named() {
    assert!(refused(|b| b.clear()).contains("empty"));
    assert!(refused(|b| *b = b"GIF8".to_vec()).contains("47 49 46 38"));
    assert!(refused(|b| *b = b"#!/bin/sh\n".to_vec()).contains("is a script"));
    assert!(refused(|b| b[4] = 1).contains("32-bit"));
    assert!(refused(|b| b[5] = 2).contains("little-endian"));
    assert!(refused(|b| b[18] = 183).contains("AArch64"));
    assert!(refused(|b| b[16] = 1).contains("not linked"));
    assert!(refused(|b| b[16] = 4).contains("core dump"));
    assert!(refused(|b| b.truncate(40)).contains("truncated: the ELF header"));
}

#[test]
fn dynamic_programs_are_sent_to_the_linker() {
    let interpreter = refused(|b| {
        put(b, 0x800, b"/lib64/ld-linux-x86-64.so.2\0");
        segment(b, 1, [3, 0x40_0800, 28, 28, 0x800]);
    });
    assert!(
        interpreter.contains("/lib64/ld-linux-x86-64.so.2"),
        "{interpreter}"
    );
    assert!(interpreter.contains("-static"));
    let needed = |tag: u64| {
        move |b: &mut Vec<u8>| {
            put(b, 0x800, &tag.to_le_bytes());
            segment(b, 1, [2, 0x40_0800, 32, 32, 0x800]);
        }
    };
    assert!(refused(needed(elf::DT_NEEDED.0 as u64)).contains("-static"));
    // As in a static-PIE program: a dynamic section that names no library.
    let mut bytes = program();
    needed(elf::DT_FLAGS.0 as u64)(&mut bytes);
    super::elf::check(&bytes).unwrap();
}

#[test]
fn absurd_segments_are_named() {
    let second = |values| move |b: &mut Vec<u8>| segment(b, 1, values);
    let more_in_file = refused(second([1, 0x40_2000, 0x1000, 0x800, 0x1000]));
    assert!(more_in_file.contains("0x1000 bytes in the file but 0x800 in memory"));
    assert!(
        refused(second([1, 0x40_2000, 0x1001, 0x2000, 0x1000])).contains("truncated: a segment")
    );
    let overlap = refused(second([1, 0x40_0fff, 1, 1, 0x1fff]));
    assert!(
        overlap.contains("overlaps segment 0x400000..0x401000"),
        "{overlap}"
    );
    assert!(refused(second([1, 0x40_2001, 1, 1, 0x1000])).contains("within its page"));
    assert!(refused(second([1, u64::MAX - 0xfff, 1, 0x1000, 0x1000])).contains("user half"));
    assert!(refused(second([1, 0x7fff_ffff_e000, 1, 0x1001, 0x1000])).contains("user half"));
    assert!(refused(second([1, 0x1000, 1, 1, 0x1000])).contains("below 0x10000"));
    assert!(refused(|b| put(b, 64 + 48, &0x3000u64.to_le_bytes())).contains("power of two"));
    assert!(refused(|b| put(b, 24, &0x40_1000u64.to_le_bytes())).contains("entry point 0x401000"));
    assert!(refused(|b| put(b, 56, &0u16.to_le_bytes())).contains("no segment"));
    assert!(refused(|b| put(b, 56, &0xffffu16.to_le_bytes())).contains("too many"));
    assert!(
        refused(|b| put(b, 56, &200u16.to_le_bytes())).contains("truncated: the program header")
    );
    assert!(refused(|b| put(b, 54, &55u16.to_le_bytes())).contains("wrong size"));
}

proptest! {
    /// Whatever is in the file, it is judged and nothing else happens.
    #[test]
    fn damaged_programs_never_panic(
        changes in prop::collection::vec((0usize..256, any::<u8>()), 1..12), len in 0usize..8192
    ) {
        let mut bytes = program();
        for (at, value) in changes {
            bytes[at] = value;
        }
        bytes.truncate(len);
        let _ = super::elf::check(&bytes);
    }
}

/// A folder with the small program in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello");
    fs::write(&path, program()).unwrap();
    (folder, path)
}

/// Path, mode and content of each entry.
fn entries(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut entries = Vec::new();
    loop {
        let mut reader = cpio::NewcReader::new(archive).unwrap();
        let entry = reader.entry();
        if entry.is_trailer() {
            return entries;
        }
        assert_eq!((entry.uid(), entry.gid(), entry.mtime()), (0, 0, 0));
        let (name, mode) = (entry.name().to_owned(), entry.mode());
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        archive = reader.finish().unwrap();
        entries.push((name, mode, content));
    }
}

#[test]
fn everything_is_packed_in_order_and_twice_the_same() {
    let (folder, path) = folder();
    let input = folder.path().join("input");
    fs::write(&input, b"data").unwrap();
    let spec = ProgramSpec {
        command: vec![path.clone().into(), "one two".into(), "".into()],
        env: vec!["TERM=vt100".parse().unwrap(), "A=b=c".parse().unwrap()],
        files: vec![
            format!("{}:/data/deep/in", input.display())
                .parse()
                .unwrap(),
        ],
    };
    let packed = Program::load(&spec).unwrap();
    assert_eq!(packed.guest_path(), "/hello");
    let entries = entries(&packed.archive());
    let names: Vec<_> = entries
        .iter()
        .map(|(name, mode, _)| (name.as_str(), *mode))
        .collect();
    assert_eq!(
        names,
        [
            (".pagelab", 0o40755),
            (".pagelab/argv", 0o100644),
            (".pagelab/env", 0o100644),
            ("data", 0o40755),
            ("data/deep", 0o40755),
            ("data/deep/in", 0o100644),
            ("hello", 0o100755),
            ("tmp", 0o41777),
        ]
    );
    let argv = [path.as_os_str().as_bytes(), b"\0one two\0\0"].concat();
    assert_eq!(entries[1].2, argv);
    let env = &entries[2].2;
    assert_eq!(env, b"HOME=/\0PATH=/bin:/usr/bin\0TERM=vt100\0A=b=c\0");
    assert_eq!(entries[5].2, b"data");
    assert_eq!(entries[6].2, program());
    assert_eq!(packed.archive(), Program::load(&spec).unwrap().archive());
}

#[test]
fn names_that_a_command_line_cannot_carry_are_replaced() {
    for (path, expected) in [
        ("a/b/hello", "/hello"),
        ("a b", "/program"),
        ("tmp", "/program"),
        ("naïve", "/program"),
        ("..", "/program"),
    ] {
        assert_eq!(guest_path(Path::new(path)), expected);
    }
}

#[test]
fn files_and_variables_are_read_and_judged() {
    let file: ExtraFile = "some/input".parse().unwrap();
    assert_eq!(file.guest, "/input");
    let error = |text: &str| text.parse::<ExtraFile>().unwrap_err().to_string();
    assert!(error(":/x").contains("names no file"));
    for text in ["a:b", "a:/b/../c", "a:/", "a:", "a://b", "..", "/"] {
        assert!(error(text).contains("no path for a file"), "{text}");
    }
    for text in ["a:/dev/null", "a:/.pagelab/argv", "a:/tmp", "tmp"] {
        assert!(error(text).contains("the guest itself"), "{text}");
    }
    assert_eq!("a:/tmp/b".parse::<ExtraFile>().unwrap().guest, "/tmp/b");
    assert!("=x".parse::<Variable>().is_err() && "x".parse::<Variable>().is_err());
}

#[test]
fn what_cannot_be_packed_is_named() {
    let (folder, path) = folder();
    let with = |command: Vec<OsString>, files: &[&str]| {
        let files = files.iter().map(|text| text.parse().unwrap()).collect();
        let spec = ProgramSpec {
            command,
            files,
            ..ProgramSpec::default()
        };
        Program::load(&spec).unwrap_err().to_string()
    };
    let program = OsString::from(&path);
    let taken = format!("{}:/hello", path.display());
    assert!(with(vec![program.clone()], &[&taken]).contains("/hello in the guest, which is taken"));
    let below = format!("{}:/hello/x", path.display());
    assert!(with(vec![program.clone()], &[&below]).contains("taken"));
    assert!(with(vec![program.clone()], &["/no/such"]).contains("/no/such"));
    assert!(with(vec![folder.path().into()], &[]).contains("not a regular file"));
    let long = "x".repeat(128 << 10);
    assert!(with(vec![program.clone(), long.into()], &[]).contains("131073"));
    let many = vec![OsString::from("x".repeat(100 << 10)); 21];
    let all = std::iter::once(program).chain(many).collect();
    assert!(with(all, &[]).contains("2097152"));
}
