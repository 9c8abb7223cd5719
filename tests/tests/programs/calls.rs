//! Random sequences of memory calls: the guest answers, and its memory holds, as under Linux.

use super::{Build, SMALL, alike_on, programs};
use proptest::{prelude::*, test_runner::TestRunner};
use std::{fmt, fs, path::Path};

/// Pages of the program's arena.
const PAGES: u32 = 48;

/// One line of what the program reads.
#[derive(Clone, Copy, Debug)]
enum Call {
    Mmap(u32, u32, u32, bool),
    Munmap(u32, u32),
    Mprotect(u32, u32, u32),
    /// From, pages, new pages, to.
    Mremap(u32, u32, u32, u32),
    Dontneed(u32, u32),
    Write(u32, u8),
    Read(u32),
    /// The child writes.
    Fork(u32, u8),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Mmap(page, pages, rights, shared) => {
                write!(f, "m {page} {pages} {rights} {}", u8::from(shared))
            }
            Self::Munmap(page, pages) => write!(f, "u {page} {pages}"),
            Self::Mprotect(page, pages, rights) => write!(f, "p {page} {pages} {rights}"),
            Self::Mremap(page, pages, new, to) => write!(f, "r {page} {pages} {new} {to}"),
            Self::Dontneed(page, pages) => write!(f, "d {page} {pages} 0"),
            Self::Write(page, value) => write!(f, "w {page} {value}"),
            Self::Read(page) => write!(f, "l {page}"),
            Self::Fork(page, value) => write!(f, "f {page} {value}"),
        }
    }
}

/// Some pages within the arena: the first one and how many.
fn range() -> impl Strategy<Value = (u32, u32)> {
    (0..PAGES).prop_flat_map(|page| (Just(page), 1..=(PAGES - page).min(12)))
}

/// PROT_READ, PROT_WRITE, both, neither; mostly both.
fn rights() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(3_u32), 2 => Just(1_u32), 1 => Just(0_u32)]
}

fn call() -> impl Strategy<Value = Call> {
    let page = 0..PAGES;
    prop_oneof![
        6 => (range(), rights(), prop::bool::weighted(0.25))
            .prop_map(|((page, pages), rights, shared)| Call::Mmap(page, pages, rights, shared)),
        2 => range().prop_map(|(page, pages)| Call::Munmap(page, pages)),
        3 => (range(), rights())
            .prop_map(|((page, pages), rights)| Call::Mprotect(page, pages, rights)),
        3 => (range(), range())
            .prop_map(|((page, pages), (to, new))| Call::Mremap(page, pages, new, to)),
        2 => range().prop_map(|(page, pages)| Call::Dontneed(page, pages)),
        8 => (page.clone(), any::<u8>()).prop_map(|(page, value)| Call::Write(page, value)),
        2 => page.clone().prop_map(Call::Read),
        1 => (page, any::<u8>()).prop_map(|(page, value)| Call::Fork(page, value)),
    ]
}

/// Sequences that one run makes, each with an empty arena at its start.
fn sequences() -> impl Strategy<Value = Vec<Vec<Call>>> {
    prop::collection::vec(prop::collection::vec(call(), 1..30), 1..6)
}

fn script(sequences: &[Vec<Call>]) -> String {
    let mut text = String::new();
    for sequence in sequences {
        for call in sequence {
            text += &format!("{call}\n");
        }
        text += "n\n";
    }
    text
}

/// Makes the calls here and there.
fn compare(folder: &Path, text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("calls");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let file = format!("{path}:{path}");
    let flags = [&SMALL[..], &["--file", &file, "--audit-every", "1000"]].concat();
    let command = ["./calls", path];
    let report = alike_on(&flags, folder, &command);
    let lines = report["program"]["stdout"].as_str().unwrap().lines();
    assert!(lines.count() >= text.lines().count());
}

#[test]
fn random_memory_calls() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let config = ProptestConfig {
        cases: 8,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&sequences(), |sequences| {
            compare(folder, &script(&sequences));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_sequence_with_each_call() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let text = "m 0 8 3 0\nw 1 7\nw 5 9\nf 1 8\np 0 4 1\nw 1 6\nr 0 4 6 20\nl 21\nl 1\nm 30 4 3 1\n\
                w 31 5\nf 31 77\nl 31\nd 5 2 0\nl 5\nu 20 3\nl 21\nr 4 4 2 40\nr 0 9 9 30\nn\n";
    compare(folder, text);
}
