//! Random programs that need far more memory than there is, against a map of what must stand where.

use super::{MmapRequest, PAGE, RW, World, cpu::switch, oracle::check};
use crate::{testing::TestMachine, user_mm::UserMm};
use core::ops::Range;
use pagelab_abi::{
    errno::Errno,
    mman::{MADV_COLD, MADV_DONTNEED, MADV_FREE, MADV_PAGEOUT, MremapFlags},
    vmstat::VmEvent,
};
use proptest::prelude::*;
use std::{collections::BTreeMap, vec::Vec};

/// Pages of the area that each program has, three times what there are frames for.
const PAGES: u64 = 4500;

/// Where it can be.
const PLACES: [u64; 2] = [0x40_0000, 0x7f00_0000_0000];

#[derive(Clone, Debug)]
enum Step {
    Store(usize, Range<u64>, u64),
    Load(usize, Range<u64>),
    Advise(usize, Range<u64>, u32),
    Fork(usize),
    Exit(usize),
    Move(usize),
    Lock(usize, u64, bool),
    Fail(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let range = (0..PAGES, 1..1500u64).prop_map(|(start, len)| start..(start + len).min(PAGES));
    let who = 0..3usize;
    prop_oneof![
        6 => (who.clone(), range.clone(), 1..u64::MAX).prop_map(|(w, r, v)| Step::Store(w, r, v)),
        4 => (who.clone(), range.clone()).prop_map(|(w, r)| Step::Load(w, r)),
        2 => (
            who.clone(),
            range,
            prop::sample::select(vec![MADV_COLD, MADV_PAGEOUT, MADV_DONTNEED, MADV_FREE]),
        )
            .prop_map(|(w, r, a)| Step::Advise(w, r, a)),
        1 => who.clone().prop_map(Step::Fork),
        1 => who.clone().prop_map(Step::Exit),
        1 => who.clone().prop_map(Step::Move),
        1 => (who, 0..PAGES - 40, any::<bool>()).prop_map(|(w, p, l)| Step::Lock(w, p, l)),
        1 => (1..40u64).prop_map(Step::Fail),
    ]
}

/// What must stand in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Is(u64),
    /// Given up: this, or zeros from some moment on.
    IsOrZero(u64),
}

struct Program {
    user: UserMm<TestMachine>,
    place: usize,
    pages: BTreeMap<u64, Content>,
}

impl Program {
    fn at(&self, page: u64) -> u64 {
        PLACES[self.place] + page * PAGE
    }

    fn load(&mut self, page: u64) {
        let mut bytes = [0; 8];
        let at = self.at(page) + page % 500 * 8;
        self.user.read(at, &mut bytes).unwrap();
        let found = u64::from_le_bytes(bytes);
        match self.pages.get(&page).copied() {
            None => assert_eq!(found, 0, "page {page}"),
            Some(Content::Is(value)) => assert_eq!(found, value, "page {page}"),
            Some(Content::IsOrZero(value)) => {
                assert!(found == 0 || found == value, "page {page}: {found:#x}");
                if found == 0 {
                    // What is gone does not come back.
                    self.pages.remove(&page);
                }
            }
        }
    }

    fn store(&mut self, page: u64, value: u64) {
        let at = self.at(page) + page % 500 * 8;
        self.user.write(at, &value.to_le_bytes()).unwrap();
        self.pages.insert(page, Content::Is(value));
    }

    fn advise(&mut self, pages: Range<u64>, advice: u32) {
        let at = self.at(pages.start);
        let len = (pages.end - pages.start) * PAGE;
        // EINVAL is for locked areas, which are left alone.
        let _ = self.user.munlock(at, len);
        self.user.madvise(at, len, advice).unwrap();
        for page in pages {
            match (advice, self.pages.get_mut(&page)) {
                (MADV_DONTNEED, _) => drop(self.pages.remove(&page)),
                (MADV_FREE, Some(content)) => {
                    let (Content::Is(value) | Content::IsOrZero(value)) = *content;
                    *content = Content::IsOrZero(value);
                }
                _ => {}
            }
        }
    }
}

fn run(steps: Vec<Step>) -> [u64; 2] {
    let world = World::of_size(8, 16_000);
    let mm = world.mm();
    let mut user = world.user();
    let request = MmapRequest::anonymous(PAGES * PAGE, RW).fixed(PLACES[0]);
    user.mmap(&request).unwrap();
    let mut programs = Vec::from([Program {
        user,
        place: 0,
        pages: BTreeMap::new(),
    }]);
    for step in steps {
        switch(mm.machine());
        let count = programs.len();
        match step {
            Step::Store(who, pages, value) => {
                for page in pages {
                    programs[who % count].store(page, value ^ page);
                }
            }
            Step::Load(who, pages) => pages.for_each(|page| programs[who % count].load(page)),
            Step::Advise(who, pages, advice) => programs[who % count].advise(pages, advice),
            Step::Fork(who) if count < 3 => {
                let parent = &mut programs[who % count];
                let child = Program {
                    user: parent.user.fork().unwrap(),
                    place: parent.place,
                    pages: parent.pages.clone(),
                };
                programs.push(child);
            }
            Step::Exit(who) if count > 1 => drop(programs.swap_remove(who % count)),
            Step::Fork(_) | Step::Exit(_) => {}
            Step::Move(who) => {
                let program = &mut programs[who % count];
                let (from, to) = (program.place, 1 - program.place);
                let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
                program.user.munlockall();
                let len = PAGES * PAGE;
                let moved = program
                    .user
                    .mremap(PLACES[from], len, len, flags, PLACES[to]);
                // A child's areas stay apart where its parent had a lock.
                if moved != Err(Errno::EFAULT) {
                    assert_eq!(moved, Ok(PLACES[to]));
                    program.place = to;
                }
            }
            Step::Lock(who, page, lock) => {
                let program = &mut programs[who % count];
                let at = program.at(page);
                if lock {
                    program.user.munlockall();
                    program.user.mlock(at, 40 * PAGE, 0).unwrap();
                } else {
                    program.user.munlock(at, 40 * PAGE).unwrap();
                }
            }
            Step::Fail(nth) => mm.machine().disk().fail_from(nth, 1),
        }
        let mut users: Vec<_> = programs.iter_mut().map(|it| &mut it.user).collect();
        switch(mm.machine());
        check(mm, &mut users);
    }
    for program in &mut programs {
        switch(mm.machine());
        (0..PAGES).for_each(|page| program.load(page));
    }
    [VmEvent::Pswpout, VmEvent::Pswpin].map(|event| mm.event_count(event))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn no_program_loses_a_page(steps in prop::collection::vec(step(), 1..30)) {
        run(steps);
    }
}

#[test]
fn three_times_the_memory_goes_through_swap_and_comes_back() {
    let all = 0..PAGES;
    let steps = Vec::from([
        Step::Store(0, all.clone(), 3),
        Step::Load(0, all.clone()),
        Step::Fork(0),
        Step::Store(1, 0..PAGES / 2, 4),
        Step::Move(1),
        Step::Load(0, all.clone()),
        Step::Load(1, all.clone()),
        Step::Exit(0),
        Step::Load(0, all),
    ]);
    let [out, back] = run(steps);
    assert!(out > 2 * PAGES && back > 2 * PAGES, "{out} {back}");
}
