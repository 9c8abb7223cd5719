//! The model beside what is tested: each step is done to both.

use super::super::{
    MmapRequest, PAGE, World,
    cpu::{fetch, load, store, switch},
    oracle::check,
};
use super::{
    BASE, FILES, Files, Kind, OFFSET, PAGES, PROCESSES, Page, Source, Space, Step,
    expected::{access, child_of, clear, follow, madvise, mlock, touch, up_to_hole},
};
use crate::{
    page_cache::FileId,
    testing::TestMachine,
    user_mm::{Access, UserMm},
    vma::Area,
};
use pagelab_abi::{
    errno::Errno,
    mman::{MapFlags, MremapFlags, Prot},
};
use std::vec::Vec;

/// Slots of the swap device: sometimes it is full.
const SLOTS: u64 = 24;

/// The model beside what is tested.
pub(super) struct Pair {
    files: Files,
    ids: Vec<FileId>,
    processes: Vec<(UserMm<TestMachine>, Space)>,
    now: usize,
    /// The last field, so that what refers to it is dropped before, in a test that fails as well.
    world: World,
}

impl Pair {
    pub(super) fn new() -> Self {
        let world = World::with_swap(SLOTS);
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
        if overlap {
            assert_eq!(result, Err(Errno::EINVAL));
            return;
        }
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
        if len == new_len {
            // All areas of the range, and what is behind a gap stays.
            assert_eq!(result, Ok(address(to)));
            for page in 0..len {
                if let Some(moved) = space.remove(&(at + page)) {
                    space.insert(to + page, moved);
                }
            }
            return;
        }
        if address(at + len.min(new_len)) > end {
            assert_eq!(result, Err(Errno::EFAULT));
            return;
        }
        clear(space, to..to + new_len);
        clear(space, at + new_len..at + len);
        let len = len.min(new_len);
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

    pub(super) fn run(&mut self, step: &Step) {
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
    pub(super) fn finish(mut self) {
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
