//! Random steps against what a program sees: each of its pages has the content that it had.

use super::{check, fill, frames, mm, out, page, references, stamp};
use crate::{
    Mm, Order, Pfn,
    swap::{SwapEntry, SwapError},
    testing::TestMachine,
};
use pagelab_abi::gfp::Gfp;
use proptest::prelude::*;
use std::{vec, vec::Vec};

/// Page-table entries of all programs together.
const PTES: usize = 24;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A store, which breaks sharing.
    Write(usize, u64),
    /// Reclaim writes the page out, wherever it is mapped.
    Out(usize),
    /// A fault brings it back.
    In(usize),
    /// Fork: one entry becomes a copy of another.
    Copy(usize, usize),
    /// munmap.
    Zap(usize),
    /// The device fails from the n-th request on, so many times.
    Fail(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let pte = || 0..PTES;
    prop_oneof![
        3 => (pte(), 1u64..1 << 30).prop_map(|(at, value)| Step::Write(at, value)),
        4 => pte().prop_map(Step::Out),
        3 => pte().prop_map(Step::In),
        2 => (pte(), pte()).prop_map(|(from, to)| Step::Copy(from, to)),
        1 => pte().prop_map(Step::Zap),
        1 => (1u64..4, 1u64..5).prop_map(|(nth, count)| Step::Fail(nth, count)),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pte {
    None,
    Present(Pfn),
    Swap(SwapEntry),
}

struct Programs<'a> {
    mm: &'a Mm<TestMachine>,
    ptes: Vec<Pte>,
    /// What each page has to contain.
    content: Vec<u64>,
}

impl Programs<'_> {
    fn zap(&mut self, at: usize) {
        match core::mem::replace(&mut self.ptes[at], Pte::None) {
            Pte::None => {}
            Pte::Present(pfn) => {
                self.mm.put_page(pfn);
            }
            Pte::Swap(entry) => self.mm.swap_free(entry).unwrap(),
        }
    }

    /// Maps the page of an entry that leads to swap. False if the device fails.
    fn swap_in(&mut self, at: usize) -> bool {
        let Pte::Swap(entry) = self.ptes[at] else {
            return true;
        };
        match self.mm.swap_in(entry) {
            Ok(pfn) => {
                self.ptes[at] = Pte::Present(pfn);
                self.mm.swap_free(entry).unwrap();
                true
            }
            Err(error) => {
                assert_eq!(error, SwapError::Io);
                false
            }
        }
    }

    fn write(&mut self, at: usize, value: u64) {
        if !self.swap_in(at) {
            return;
        }
        match self.ptes[at] {
            Pte::Present(pfn) if references(self.mm, pfn) == 1 => fill(self.mm, pfn, value),
            Pte::Present(shared) => {
                let own = page(self.mm, value);
                self.mm.put_page(shared);
                self.ptes[at] = Pte::Present(own);
            }
            _ => self.ptes[at] = Pte::Present(page(self.mm, value)),
        }
        self.content[at] = value;
    }

    fn swap_out(&mut self, at: usize) {
        let Pte::Present(pfn) = self.ptes[at] else {
            return;
        };
        let entry = match self.mm.swap_out(pfn) {
            Ok(entry) => entry,
            // Clean, and in a slot already.
            Err(SwapError::Cached) => self.mm.swap_cache_entry(pfn).unwrap(),
            Err(error) => {
                assert!(matches!(error, SwapError::Io | SwapError::Full));
                return;
            }
        };
        // As reclaim: a reference of its own while it unmaps.
        self.mm.get_page(pfn);
        for pte in &mut self.ptes {
            if *pte == Pte::Present(pfn) {
                self.mm.swap_duplicate(entry).unwrap();
                *pte = Pte::Swap(entry);
                self.mm.put_page(pfn);
            }
        }
        assert!(self.mm.delete_from_swap_cache(pfn));
        assert_eq!(references(self.mm, pfn), 1);
        self.mm.put_page(pfn);
    }

    fn copy(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        self.zap(to);
        match self.ptes[from] {
            Pte::None => {}
            Pte::Present(pfn) => self.mm.get_page(pfn),
            Pte::Swap(entry) => self.mm.swap_duplicate(entry).unwrap(),
        }
        self.ptes[to] = self.ptes[from];
        self.content[to] = self.content[from];
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Write(at, value) => self.write(at, value),
            Step::Out(at) => self.swap_out(at),
            Step::In(at) => {
                self.swap_in(at);
            }
            Step::Copy(from, to) => self.copy(from, to),
            Step::Zap(at) => self.zap(at),
            Step::Fail(nth, count) => self.mm.machine().disk().fail_from(nth, count),
        }
    }

    fn check(&self) {
        check(self.mm);
        for (pte, content) in self.ptes.iter().zip(&self.content) {
            match *pte {
                Pte::None => {}
                Pte::Present(pfn) => assert_eq!(stamp(self.mm, pfn), Some(*content)),
                Pte::Swap(entry) => {
                    let same = |pte: &&Pte| **pte == Pte::Swap(entry);
                    let leading = self.ptes.iter().filter(same).count();
                    assert_eq!(self.mm.swap_count(entry), leading as u32);
                    assert_eq!(SwapEntry::of_pte(entry.to_pte()), Some(entry));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pages_keep_their_content(
        steps in prop::collection::vec(step(), 0..200), slots in 2u64..40,
    ) {
        let mm = mm(slots);
        let before = frames(&mm);
        let ptes = vec![Pte::None; PTES];
        let mut programs = Programs { mm: &mm, ptes, content: vec![0; PTES] };
        for step in steps {
            programs.run(step);
            programs.check();
        }
        mm.machine().disk().fail_from(0, 0);
        for at in 0..PTES {
            prop_assert!(programs.swap_in(at));
        }
        programs.check();
        for at in 0..PTES {
            programs.zap(at);
        }
        check(&mm);
        prop_assert_eq!(frames(&mm), before);
        let (total, free) = mm.swap_slots();
        prop_assert_eq!(total, free);
    }
}

#[test]
fn memory_that_is_full_can_be_emptied_by_swap() {
    let mm = mm(4000);
    let mut pages = Vec::new();
    while let Ok(pfn) = mm.alloc_pages(Gfp::HIGHUSER_MOVABLE, Order::ZERO) {
        fill(&mm, pfn, pages.len() as u64);
        pages.push(pfn);
    }
    assert!(pages.len() > 2000, "{}", pages.len());
    // Going out takes no memory: there is none.
    let entries: Vec<SwapEntry> = pages
        .into_iter()
        .map(|pfn| out(&mm, pfn).unwrap())
        .collect();
    check(&mm);
    for (value, entry) in (0..).zip(entries) {
        let pfn = mm.swap_in(entry).unwrap();
        assert_eq!(stamp(&mm, pfn), Some(value));
        mm.swap_free(entry).unwrap();
        mm.put_page(pfn);
    }
    check(&mm);
}
