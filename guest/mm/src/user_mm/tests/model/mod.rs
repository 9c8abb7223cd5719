//! Random sequences of memory calls and accesses against a naive model: a map from page to content
//! and rights, for each of several processes, and files as lists of bytes.
//!
//! * `expected`: what the model says. `pair`: the model beside what is tested.

mod expected;
mod pair;

use super::PAGE;
use pagelab_abi::mman::{
    MADV_DOFORK, MADV_DONTFORK, MADV_DONTNEED, MADV_KEEPONFORK, MADV_PAGEOUT, MADV_WILLNEED,
    MADV_WIPEONFORK, Prot,
};
use pair::Pair;
use proptest::prelude::*;
use std::{collections::BTreeMap, vec::Vec};

/// Pages that calls are about, on both sides of a boundary between two nodes.
const PAGES: u64 = 32;
const BASE: u64 = 0x4000_0000 - PAGES / 2 * PAGE;
/// Where in its page the byte is that stands for it.
const OFFSET: u64 = 123;

const FILES: usize = 2;
const FILE_PAGES: usize = 6;
const PROCESSES: usize = 4;

/// What a page comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Anonymous(u8),
    /// A page of a file, and its private copy.
    Private(usize, usize, Option<u8>),
    Shared(usize, usize),
}

#[derive(Clone, Copy, Debug)]
struct Page {
    prot: Prot,
    source: Source,
    locked: bool,
    dont_fork: bool,
    wipe: bool,
}

type Space = BTreeMap<u64, Page>;

/// A file: its bytes, of which there is one for each page.
type Files = Vec<Vec<u8>>;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Anonymous,
    Private(usize, usize),
    Shared(usize, usize),
}

#[derive(Clone, Debug)]
enum Step {
    Mmap(u64, u64, u32, Kind),
    Munmap(u64, u64),
    Mprotect(u64, u64, u32),
    Mremap(u64, u64, u64, Option<u64>),
    Madvise(u64, u64, u32),
    Mlock(u64, u64),
    Munlock(u64, u64),
    Load(u64),
    Store(u64, u8),
    Fetch(u64),
    Read(u64),
    Write(u64, u8),
    Truncate(usize, usize),
    Fork,
    Switch(usize),
    Exit,
}

fn kind() -> impl Strategy<Value = Kind> {
    let part = || (0..FILES, 0..FILE_PAGES);
    prop_oneof![
        2 => Just(Kind::Anonymous),
        1 => part().prop_map(|(file, page)| Kind::Private(file, page)),
        1 => part().prop_map(|(file, page)| Kind::Shared(file, page)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..PAGES;
    let len = || 1..9u64;
    let advice = prop::sample::select(std::vec![
        MADV_DONTNEED,
        MADV_DONTFORK,
        MADV_DOFORK,
        MADV_WIPEONFORK,
        MADV_KEEPONFORK,
        MADV_PAGEOUT,
        MADV_PAGEOUT,
        MADV_PAGEOUT,
        MADV_WILLNEED,
    ]);
    let to = prop::option::of(0..PAGES);
    prop_oneof![
        4 => (at(), len(), 0..8u32, kind()).prop_map(|(a, l, p, k)| Step::Mmap(a, l, p, k)),
        2 => (at(), len()).prop_map(|(a, l)| Step::Munmap(a, l)),
        2 => (at(), len(), 0..8u32).prop_map(|(a, l, p)| Step::Mprotect(a, l, p)),
        2 => (at(), len(), len(), to).prop_map(|(a, l, n, t)| Step::Mremap(a, l, n, t)),
        4 => (at(), len(), advice).prop_map(|(a, l, k)| Step::Madvise(a, l, k)),
        1 => (at(), len()).prop_map(|(a, l)| Step::Mlock(a, l)),
        1 => (at(), len()).prop_map(|(a, l)| Step::Munlock(a, l)),
        4 => at().prop_map(Step::Load),
        6 => (at(), 1..=255u8).prop_map(|(a, v)| Step::Store(a, v)),
        1 => at().prop_map(Step::Fetch),
        1 => at().prop_map(Step::Read),
        2 => (at(), 1..=255u8).prop_map(|(a, v)| Step::Write(a, v)),
        1 => (0..FILES, 0..=FILE_PAGES).prop_map(|(f, s)| Step::Truncate(f, s)),
        2 => Just(Step::Fork),
        2 => (0..PROCESSES).prop_map(Step::Switch),
        1 => Just(Step::Exit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn address_spaces_do_what_a_map_of_pages_does(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.run(step);
        }
        pair.finish();
    }
}
