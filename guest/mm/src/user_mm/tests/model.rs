//! Random sequences of memory calls and accesses against a naive model: a map from page to content
//! and rights, for each of several processes, and files as lists of bytes.

use super::{
    Access, FaultSignal, MmapRequest, PAGE, World,
    cpu::{fetch, load, store, switch},
    oracle::check,
};
use crate::{page_cache::FileId, testing::TestMachine, user_mm::UserMm, vma::Area};
use pagelab_abi::{
    errno::Errno,
    mman::{
        MADV_DOFORK, MADV_DONTFORK, MADV_DONTNEED, MADV_FREE, MADV_KEEPONFORK, MADV_WIPEONFORK,
        MapFlags, MremapFlags, Prot,
    },
};
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
        MADV_FREE,
        MADV_DONTFORK,
        MADV_DOFORK,
        MADV_WIPEONFORK,
        MADV_KEEPONFORK,
    ]);
    let to = prop::option::of(0..PAGES);
    prop_oneof![
        4 => (at(), len(), 0..8u32, kind()).prop_map(|(a, l, p, k)| Step::Mmap(a, l, p, k)),
        2 => (at(), len()).prop_map(|(a, l)| Step::Munmap(a, l)),
        2 => (at(), len(), 0..8u32).prop_map(|(a, l, p)| Step::Mprotect(a, l, p)),
        2 => (at(), len(), len(), to).prop_map(|(a, l, n, t)| Step::Mremap(a, l, n, t)),
        2 => (at(), len(), advice).prop_map(|(a, l, k)| Step::Madvise(a, l, k)),
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

/// What an access does in the model: the byte that is read then, or the signal.
fn access(
    space: &mut Space,
    files: &mut Files,
    page: u64,
    kind: Access,
    value: Option<u8>,
) -> Result<u8, FaultSignal> {
    let address = BASE + page * PAGE + OFFSET;
    let Some(found) = space.get_mut(&page) else {
        return Err(FaultSignal::MapErr(address));
    };
    let allowed = match kind {
        Access::Read => !found.prot.is_empty(),
        Access::Write => found.prot.contains(Prot::WRITE),
        Access::Exec => found.prot.contains(Prot::EXEC),
    };
    if !allowed {
        return Err(FaultSignal::AccErr(address));
    }
    match &mut found.source {
        Source::Anonymous(byte) => {
            *byte = value.unwrap_or(*byte);
            Ok(*byte)
        }
        Source::Private(_, _, Some(copy)) => {
            *copy = value.unwrap_or(*copy);
            Ok(*copy)
        }
        &mut (Source::Private(file, index, _) | Source::Shared(file, index)) => {
            let Some(byte) = files[file].get_mut(index) else {
                return Err(FaultSignal::BusAdrErr(address));
            };
            match (value, &mut found.source) {
                (Some(value), Source::Private(_, _, copy)) => *copy = Some(value),
                (Some(value), _) => *byte = value,
                // A store that changes nothing, as populating does, makes a copy as well.
                (None, Source::Private(_, _, copy)) if kind == Access::Write => {
                    *copy = Some(*byte);
                }
                _ => {}
            }
            Ok(value.unwrap_or(*byte))
        }
    }
}

/// Does `each` to the pages of a range up to the first that is missing: then `ENOMEM`.
fn up_to_hole(
    space: &mut Space,
    at: u64,
    len: u64,
    mut each: impl FnMut(&mut Page),
) -> Result<(), Errno> {
    for page in at..at + len {
        each(space.get_mut(&page).ok_or(Errno::ENOMEM)?);
    }
    Ok(())
}

fn madvise(space: &mut Space, at: u64, len: u64, advice: u32) -> Result<(), Errno> {
    let mut result = Ok(());
    for number in at..at + len {
        let Some(page) = space.get_mut(&number) else {
            result = Err(Errno::ENOMEM);
            continue;
        };
        let anonymous = matches!(page.source, Source::Anonymous(_));
        match advice {
            MADV_DONTNEED | MADV_FREE if page.locked => return Err(Errno::EINVAL),
            MADV_FREE | MADV_WIPEONFORK if !anonymous => return Err(Errno::EINVAL),
            MADV_DONTNEED | MADV_FREE => match &mut page.source {
                Source::Anonymous(byte) => *byte = 0,
                Source::Private(_, _, copy) => *copy = None,
                Source::Shared(..) => {}
            },
            MADV_DONTFORK => page.dont_fork = true,
            MADV_DOFORK => page.dont_fork = false,
            MADV_WIPEONFORK => page.wipe = true,
            _ => page.wipe = false,
        }
    }
    result
}

fn mlock(space: &mut Space, files: &mut Files, at: u64, len: u64) -> Result<(), Errno> {
    up_to_hole(space, at, len, |page| page.locked = true)?;
    for number in at..at + len {
        let page = space[&number];
        let shared = matches!(page.source, Source::Shared(..));
        let kind = if page.prot.contains(Prot::WRITE) && !shared {
            Access::Write
        } else {
            Access::Read
        };
        access(space, files, number, kind, None).map_err(|_| Errno::ENOMEM)?;
    }
    Ok(())
}

/// What the child of a process has.
fn child_of(space: &Space) -> Space {
    let kept = space.iter().filter(|(_, page)| !page.dont_fork);
    kept.map(|(&number, &page)| {
        let mut page = Page {
            locked: false,
            ..page
        };
        if page.wipe {
            page.source = Source::Anonymous(0);
        }
        (number, page)
    })
    .collect()
}

/// The model beside what is tested.
struct Pair {
    world: World,
    files: Files,
    ids: Vec<FileId>,
    processes: Vec<(UserMm<TestMachine>, Space)>,
    now: usize,
}

impl Pair {
    fn new() -> Self {
        let world = World::new();
        let first = world.user();
        let ids = (0..FILES).map(|_| world.mm().file_new().unwrap()).collect();
        Self {
            files: std::vec![Vec::new(); FILES],
            ids,
            processes: std::vec![(first, Space::new())],
            now: 0,
            world,
        }
    }

    fn mmap(&mut self, at: u64, len: u64, prot: u32, kind: Kind) {
        let (user, space) = &mut self.processes[self.now];
        let prot = Prot::from_bits_retain(prot);
        let bytes = len * PAGE;
        let request = match kind {
            Kind::Anonymous => MmapRequest::anonymous(bytes, prot),
            Kind::Private(file, page) => {
                let file = self.ids[file];
                MmapRequest::of_file(bytes, prot, MapFlags::PRIVATE, file, page as u64)
            }
            Kind::Shared(file, page) => {
                let file = self.ids[file];
                MmapRequest::of_file(bytes, prot, MapFlags::SHARED, file, page as u64)
            }
        };
        let start = BASE + at * PAGE;
        assert_eq!(user.mmap(&request.fixed(start)), Ok(start));
        for page in 0..len {
            let source = match kind {
                Kind::Anonymous => Source::Anonymous(0),
                Kind::Private(file, first) => Source::Private(file, first + page as usize, None),
                Kind::Shared(file, first) => Source::Shared(file, first + page as usize),
            };
            let new = Page {
                prot,
                source,
                locked: false,
                dont_fork: false,
                wipe: false,
            };
            space.insert(at + page, new);
        }
    }

    fn mremap(&mut self, at: u64, len: u64, new_len: u64, to: Option<u64>) {
        let (user, space) = &mut self.processes[self.now];
        let address = |page: u64| BASE + page * PAGE;
        let overlap = to.is_some_and(|to| at + len > to && to + new_len > at);
        // Which neighbours are one area is the tree's affair.
        let area = |user: &mut UserMm<TestMachine>| {
            user.tree().find(address(at)).map(|vma| Area::of(vma).end)
        };
        let whole = area(user);
        let flags = match to {
            Some(_) => MremapFlags::MAYMOVE | MremapFlags::FIXED,
            None => MremapFlags::empty(),
        };
        let target = to.map_or(0, address);
        let result = user.mremap(address(at), len * PAGE, new_len * PAGE, flags, target);
        let Some(end) = whole else {
            assert_eq!(result, Err(Errno::EFAULT));
            return;
        };
        let Some(to) = to else {
            let free = (at + len..at + new_len).all(|page| !space.contains_key(&page));
            if new_len <= len {
                assert_eq!(result, Ok(address(at)));
                clear(space, at + new_len..at + len);
            } else if address(at + len) > end {
                assert_eq!(result, Err(Errno::EFAULT));
            } else if address(at + len) < end || !free {
                assert_eq!(result, Err(Errno::ENOMEM));
            } else {
                assert_eq!(result, Ok(address(at)));
                let last = space[&(at + len - 1)];
                for page in at + len..at + new_len {
                    space.insert(page, follow(last, (page - (at + len - 1)) as usize));
                }
                touch(space, &mut self.files, at + len, new_len - len);
            }
            return;
        };
        if overlap {
            assert_eq!(result, Err(Errno::EINVAL));
            return;
        }
        // These two are done even if it fails then.
        clear(space, to..to + new_len);
        clear(space, at + new_len..at + len);
        let len = len.min(new_len);
        if result.is_err() {
            assert_eq!(result, Err(Errno::EFAULT));
            let one = area(user).is_some_and(|end| end >= address(at + len));
            assert!(!one, "the old range was of one area");
            return;
        }
        assert_eq!(result, Ok(address(to)));
        let pages: Vec<Page> = (at..at + len).map(|page| space[&page]).collect();
        clear(space, at..at + len);
        let last = pages[pages.len() - 1];
        for page in 0..new_len {
            let new = match pages.get(page as usize) {
                Some(&page) => page,
                None => follow(last, page as usize - (pages.len() - 1)),
            };
            space.insert(to + page, new);
        }
        touch(space, &mut self.files, to + len, new_len - len);
    }

    fn run(&mut self, step: &Step) {
        let count = self.processes.len();
        let files = &mut self.files;
        let (user, space) = &mut self.processes[self.now];
        let address = |page: u64| BASE + page * PAGE + OFFSET;
        match *step {
            Step::Mmap(at, len, prot, kind) => self.mmap(at, len, prot, kind),
            Step::Mremap(at, len, new_len, to) => self.mremap(at, len, new_len, to),
            Step::Munmap(at, len) => {
                assert_eq!(user.munmap(BASE + at * PAGE, len * PAGE), Ok(()));
                clear(space, at..at + len);
            }
            Step::Mprotect(at, len, prot) => {
                let prot = Prot::from_bits_retain(prot);
                let result = user.mprotect(BASE + at * PAGE, len * PAGE, prot);
                assert_eq!(result, up_to_hole(space, at, len, |page| page.prot = prot));
            }
            Step::Madvise(at, len, advice) => {
                let result = user.madvise(BASE + at * PAGE, len * PAGE, advice);
                assert_eq!(result, madvise(space, at, len, advice));
            }
            Step::Mlock(at, len) => {
                let result = user.mlock(BASE + at * PAGE, len * PAGE, 0);
                assert_eq!(result, mlock(space, files, at, len));
            }
            Step::Munlock(at, len) => {
                let result = user.munlock(BASE + at * PAGE, len * PAGE);
                assert_eq!(
                    result,
                    up_to_hole(space, at, len, |page| page.locked = false)
                );
            }
            Step::Load(page) => {
                let expected = access(space, files, page, Access::Read, None);
                assert_eq!(load(user, address(page)), expected);
            }
            Step::Store(page, value) => {
                let expected = access(space, files, page, Access::Write, Some(value));
                assert_eq!(store(user, address(page), value), expected.map(drop));
            }
            Step::Fetch(page) => {
                let expected = access(space, files, page, Access::Exec, None);
                assert_eq!(fetch(user, address(page)), expected.map(drop));
            }
            Step::Read(page) => {
                let expected = access(space, files, page, Access::Read, None);
                let mut byte = [0];
                let result = user.read(address(page), &mut byte);
                assert_eq!(result.map(|()| byte[0]).map_err(|f| f.signal), expected);
            }
            Step::Write(page, value) => {
                let expected = access(space, files, page, Access::Write, Some(value));
                let result = user.write(address(page), &[value]);
                assert_eq!(result.map_err(|f| f.signal), expected.map(drop));
            }
            Step::Truncate(file, size) => {
                files[file].resize(size, 0);
                let id = self.ids[file];
                self.world.mm().truncate(id, size as u64 * PAGE).unwrap();
                for page in self.processes.iter_mut().flat_map(|(_, s)| s.values_mut()) {
                    if let Source::Private(of, index, copy) = &mut page.source
                        && *of == file
                        && *index >= size
                    {
                        *copy = None;
                    }
                }
            }
            Step::Fork if count < PROCESSES => {
                let child = (user.fork().unwrap(), child_of(space));
                self.processes.push(child);
            }
            Step::Switch(to) => {
                self.now = to % self.processes.len();
                switch(self.world.mm().machine());
            }
            Step::Exit if count > 1 => {
                self.processes.swap_remove(self.now).0.destroy();
                self.now = 0;
                switch(self.world.mm().machine());
            }
            Step::Fork | Step::Exit => {}
        }
        self.check();
    }

    fn check(&mut self) {
        let now = self.now;
        self.processes.swap(0, now);
        let mut users: Vec<_> = self.processes.iter_mut().map(|(user, _)| user).collect();
        check(self.world.mm(), &mut users);
        self.processes.swap(0, now);
        let (user, space) = &mut self.processes[now];
        for page in 0..PAGES + 9 {
            let area = user.tree().find(BASE + page * PAGE).map(Area::of);
            assert_eq!(area.is_some(), space.contains_key(&page), "page {page}");
        }
    }

    /// All content of all processes is compared, and all of it given back.
    fn finish(mut self) {
        for now in 0..self.processes.len() {
            let (user, space) = &mut self.processes[now];
            for page in 0..PAGES + 9 {
                let expected = access(space, &mut self.files, page, Access::Read, None);
                let mut byte = [0];
                let result = user.read(BASE + page * PAGE + OFFSET, &mut byte);
                assert_eq!(result.map(|()| byte[0]).map_err(|f| f.signal), expected);
            }
        }
        self.processes.clear();
        for file in self.ids {
            self.world.mm().file_put(file);
        }
        self.world.check_empty();
    }
}

/// Unmaps pages.
fn clear(space: &mut Space, pages: core::ops::Range<u64>) {
    for page in pages {
        space.remove(&page);
    }
}

/// A page that comes into an area `steps` behind one of its pages.
fn follow(page: Page, steps: usize) -> Page {
    let source = match page.source {
        Source::Anonymous(_) => Source::Anonymous(0),
        Source::Private(file, index, _) => Source::Private(file, index + steps, None),
        Source::Shared(file, index) => Source::Shared(file, index + steps),
    };
    Page { source, ..page }
}

/// New pages of a locked area are brought in, as far as that goes.
fn touch(space: &mut Space, files: &mut Files, at: u64, len: u64) {
    for page in at..at + len {
        let found = space[&page];
        let shared = matches!(found.source, Source::Shared(..));
        if found.locked && found.prot.contains(Prot::WRITE) && !shared {
            // The first page that cannot be had ends it.
            if access(space, files, page, Access::Write, None).is_err() {
                return;
            }
        }
    }
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
