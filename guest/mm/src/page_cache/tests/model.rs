//! Random sequences of calls against a map from page number to page.

use super::{PAGE, check, frames, mm, objects};
use crate::{FileId, Mm, page_cache::FILE_GFP, testing::TestMachine};
use proptest::prelude::*;
use std::{collections::BTreeMap, vec, vec::Vec};

/// A file as simple as can be.
#[derive(Default)]
struct Model {
    size: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Model {
    fn page(&mut self, index: u64) -> &mut Vec<u8> {
        self.pages.entry(index).or_insert_with(|| vec![0; PAGE])
    }

    fn byte(&self, at: u64) -> u8 {
        let page = self.pages.get(&(at / PAGE as u64));
        page.map_or(0, |page| page[at as usize % PAGE])
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        for (at, &byte) in (at..).zip(bytes) {
            self.page(at / PAGE as u64)[at as usize % PAGE] = byte;
            self.size = self.size.max(at + 1);
        }
    }

    fn punch(&mut self, start: u64, end: u64) {
        let page = PAGE as u64;
        self.pages
            .retain(|&index, _| index * page < start || (index + 1) * page > end);
        for (&index, bytes) in &mut self.pages {
            for (at, byte) in (index * page..).zip(bytes) {
                if (start..end).contains(&at) {
                    *byte = 0;
                }
            }
        }
    }

    fn set_size(&mut self, size: u64) {
        if size < self.size {
            let end = self.size.next_multiple_of(PAGE as u64);
            self.punch(size, end);
            // Pages beyond the end go as well.
            self.pages
                .retain(|&index, _| index < size.div_ceil(PAGE as u64));
        }
        self.size = size;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, usize, u8),
    Read(u64, usize),
    Page(u64),
    SetSize(u64),
    Punch(u64, u64),
}

/// Positions near the start, near the edges of nodes, and far out.
fn position() -> impl Strategy<Value = u64> {
    let page = PAGE as u64;
    prop_oneof![
        4 => 0..20 * page,
        2 => 62 * page..66 * page,
        1 => 4094 * page..4098 * page,
        1 => (1 << 31) * page..((1 << 31) + 2) * page,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (position(), 1..3 * PAGE, any::<u8>()).prop_map(|(at, len, byte)| Step::Write(at, len, byte)),
        3 => (position(), 1..3 * PAGE).prop_map(|(at, len)| Step::Read(at, len)),
        1 => position().prop_map(|at| Step::Page(at / PAGE as u64)),
        2 => position().prop_map(Step::SetSize),
        2 => (position(), position()).prop_map(|(a, b)| Step::Punch(a.min(b), a.max(b))),
    ]
}

fn apply(mm: &Mm<TestMachine>, file: FileId, model: &mut Model, step: &Step) {
    match *step {
        Step::Write(at, len, byte) => {
            let bytes: Vec<u8> = (0..len).map(|i| byte.wrapping_add(i as u8)).collect();
            assert_eq!(mm.file_write(file, at, &bytes), Ok(len));
            model.write(at, &bytes);
        }
        Step::Read(at, len) => {
            let mut bytes = vec![0xee; len];
            let read = mm.file_read(file, at, &mut bytes).unwrap();
            let expected = model.size.saturating_sub(at).min(len as u64);
            assert_eq!(read as u64, expected);
            for (at, byte) in (at..).zip(&bytes[..read]) {
                assert_eq!(*byte, model.byte(at));
            }
        }
        Step::Page(index) => {
            let pfn = mm.file_page(file, index, true, FILE_GFP).unwrap().unwrap();
            let mut bytes = vec![0xee; PAGE];
            mm.read_frame(pfn, 0, &mut bytes).unwrap();
            assert_eq!(&bytes, model.page(index));
            mm.put_page(pfn);
        }
        Step::SetSize(size) => {
            mm.file_set_size(file, size).unwrap();
            model.set_size(size);
        }
        Step::Punch(start, end) => {
            mm.file_punch_hole(file, start, end).unwrap();
            model.punch(start, end);
        }
    }
    assert_eq!(mm.file_size(file), model.size);
    let pages = model.pages.len() as u64;
    assert_eq!(mm.file_nrpages(file), pages, "{step:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn two_files_are_what_two_maps_are(
        steps in prop::collection::vec((0..2usize, step()), 1..40),
    ) {
        let mm = mm();
        let before = (objects(&mm), frames(&mm));
        let files = [mm.file_new().unwrap(), mm.file_new_shmem().unwrap()];
        let mut models = [Model::default(), Model::default()];
        for (which, step) in &steps {
            apply(&mm, files[*which], &mut models[*which], step);
        }
        check(&mm);
        for (file, model) in files.into_iter().zip(&models) {
            for (&index, bytes) in &model.pages {
                let pfn = mm.file_page(file, index, false, FILE_GFP).unwrap().unwrap();
                let mut found = vec![0xee; PAGE];
                mm.read_frame(pfn, 0, &mut found).unwrap();
                prop_assert_eq!(&found, bytes);
                mm.put_page(pfn);
            }
            mm.file_put(file);
        }
        check(&mm);
        prop_assert_eq!((objects(&mm), frames(&mm)), before);
    }
}
