//! Random sequences against a map from page to rights and backing.

use super::{FIRST, LAST, Tree, with_tree};
use crate::{
    testing::VmaPool,
    vma::{Area, Backing, Direction, GapRequest, VmaError},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SIZE,
    vma::{STACK_GUARD_GAP, VmFlags},
};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

/// What a page is: flags, and its own place in the backing.
type Pages = BTreeMap<u64, (VmFlags, Backing)>;

#[derive(Clone, Debug)]
enum Step {
    Map {
        start: u64,
        pages: u64,
        flags: usize,
        file: u64,
    },
    Unmap {
        start: u64,
        pages: u64,
    },
    Protect {
        start: u64,
        pages: u64,
        flags: usize,
    },
    Split {
        page: u64,
    },
    Merge {
        page: u64,
    },
    Resize {
        page: u64,
        down: i64,
        up: i64,
    },
    FindGap {
        pages: u64,
        align: u32,
        low: u64,
        high: u64,
        top_down: bool,
    },
}

const FLAGS: [VmFlags; 4] = [
    VmFlags::READ,
    VmFlags::READ.union(VmFlags::WRITE),
    VmFlags::READ.union(VmFlags::GROWSDOWN),
    VmFlags::READ.union(VmFlags::DONTEXPAND),
];

fn step() -> impl Strategy<Value = Step> {
    // Dense at the bottom, and now and then far away.
    let page = || prop_oneof![9 => FIRST..FIRST + 80, 1 => FIRST - 1..LAST + 1];
    let pages = || prop_oneof![9 => 0..12u64, 1 => 0..600u64];
    prop_oneof![
        6 => (page(), pages(), 0..4usize, 0..3u64)
            .prop_map(|(start, pages, flags, file)| Step::Map { start, pages, flags, file }),
        2 => (page(), pages()).prop_map(|(start, pages)| Step::Unmap { start, pages }),
        2 => (page(), pages(), 0..4usize)
            .prop_map(|(start, pages, flags)| Step::Protect { start, pages, flags }),
        2 => page().prop_map(|page| Step::Split { page }),
        2 => page().prop_map(|page| Step::Merge { page }),
        1 => (page(), -4..4i64, -4..4i64)
            .prop_map(|(page, down, up)| Step::Resize { page, down, up }),
        3 => (1..40u64, 0..4u32, page(), page(), any::<bool>()).prop_map(
            |(pages, align, low, high, top_down)| Step::FindGap { pages, align, low, high, top_down }
        ),
    ]
}

/// What the tree says of each page.
fn pages_of(tree: &Tree<'_>) -> Pages {
    let mut pages = Pages::new();
    for vma in tree {
        let area = Area::of(vma);
        for i in 0..area.pages() {
            let page = (area.flags, area.backing.advanced(i as i64));
            let old = pages.insert(area.start / PAGE_SIZE + i, page);
            assert!(old.is_none());
        }
    }
    pages
}

/// Splits at both ends of a range, as munmap and mprotect do.
fn isolate(tree: &mut Tree<'_>, pool: &VmaPool, start: u64, end: u64) {
    for page in [start, end] {
        if let Err(rejected) = tree.split(page * PAGE_SIZE, pool.alloc().unwrap()) {
            pool.free(rejected.object);
        }
    }
}

/// Starts of the areas in a range of pages.
fn starts(tree: &Tree<'_>, start: u64, end: u64) -> Vec<u64> {
    let from = tree.iter_from(start * PAGE_SIZE);
    from.map(|vma| vma.start.load(Relaxed))
        .take_while(|&at| at < end * PAGE_SIZE)
        .collect()
}

fn map(tree: &mut Tree<'_>, pool: &VmaPool, pages: &mut Pages, area: &Area) {
    let (first, last) = (area.start / PAGE_SIZE, area.end / PAGE_SIZE);
    let legal = first < last && first >= FIRST && last <= LAST;
    let free = pages.range(first..last.max(first)).next().is_none();
    match tree.insert(pool.alloc().unwrap(), area) {
        Ok(()) => {
            assert!(legal && free);
            for i in 0..area.pages() {
                pages.insert(first + i, (area.flags, area.backing.advanced(i as i64)));
            }
        }
        Err(rejected) => {
            pool.free(rejected.object);
            assert_eq!(matches!(rejected.error, VmaError::Overlap { .. }), legal);
            assert!(!(legal && free));
        }
    }
}

fn resize(tree: &mut Tree<'_>, pages: &mut Pages, page: u64, down: i64, up: i64) {
    let Some(area) = tree.find(page * PAGE_SIZE).map(Area::of) else {
        return;
    };
    let first = (area.start / PAGE_SIZE).wrapping_add_signed(down);
    let last = (area.end / PAGE_SIZE).wrapping_add_signed(up);
    let old = area.start / PAGE_SIZE..area.end / PAGE_SIZE;
    let possible = first < last
        && first >= FIRST
        && last <= LAST
        && (first.min(old.start)..last.max(old.end))
            .all(|page| old.contains(&page) || !pages.contains_key(&page));
    let result = tree.resize(page * PAGE_SIZE, first * PAGE_SIZE, last * PAGE_SIZE);
    assert_eq!(result.is_ok(), possible, "{result:?}");
    if possible {
        pages.retain(|page, _| !old.contains(page));
        for page in first..last {
            let steps = page as i64 - (area.start / PAGE_SIZE) as i64;
            pages.insert(page, (area.flags, area.backing.advanced(steps)));
        }
    }
}

fn merge(tree: &mut Tree<'_>, pool: &VmaPool, pages: &Pages, page: u64) {
    let address = page * PAGE_SIZE;
    let all: Vec<_> = tree.iter().map(Area::of).collect();
    let index = all
        .iter()
        .position(|area| (area.start..area.end).contains(&address));
    let Some(index) = index else {
        let error = tree.merge(address).unwrap_err();
        assert_eq!(error, VmaError::NotMapped { address });
        assert!(!pages.contains_key(&page));
        return;
    };
    let mut expected = all[index];
    if let Some(next) = all.get(index + 1).filter(|next| all[index].can_merge(next)) {
        expected.end = next.end;
    }
    if index > 0 && all[index - 1].can_merge(&all[index]) {
        expected.start = all[index - 1].start;
        expected.backing = all[index - 1].backing;
    }
    let objects = tree.merge(address).unwrap();
    objects
        .into_iter()
        .flatten()
        .for_each(|object| pool.free(object));
    assert_eq!(tree.find(address).map(Area::of), Some(expected));
}

/// The same search, gap by gap.
fn naive_gap(tree: &Tree<'_>, request: &GapRequest) -> Option<u64> {
    let need = request.len + request.align - PAGE_SIZE;
    let mut from = FIRST * PAGE_SIZE;
    let mut gaps = Vec::new();
    for area in tree.iter().map(Area::of) {
        let guard = if area.flags.contains(VmFlags::GROWSDOWN) {
            STACK_GUARD_GAP
        } else {
            0
        };
        gaps.push((from, area.start.saturating_sub(guard)));
        from = area.end;
    }
    gaps.push((from, LAST * PAGE_SIZE));
    let mut fitting = gaps
        .into_iter()
        .map(|(start, end)| (start.max(request.low), end.min(request.high)))
        .filter(|&(start, end)| end >= start && end - start >= need);
    match request.direction {
        Direction::TopDown => fitting
            .next_back()
            .map(|(_, end)| (end - request.len) / request.align * request.align),
        Direction::BottomUp => fitting
            .next()
            .map(|(start, _)| start.next_multiple_of(request.align)),
    }
}

fn apply(tree: &mut Tree<'_>, pool: &VmaPool, pages: &mut Pages, step: &Step) {
    match *step {
        Step::Map {
            start,
            pages: count,
            flags,
            file,
        } => {
            let backing = match file {
                0 => Backing::anonymous(start * PAGE_SIZE),
                file => Backing::File { file, pgoff: start },
            };
            let area = Area {
                start: start * PAGE_SIZE,
                end: (start + count) * PAGE_SIZE,
                flags: FLAGS[flags],
                backing,
            };
            map(tree, pool, pages, &area);
        }
        Step::Unmap {
            start,
            pages: count,
        } => {
            isolate(tree, pool, start, start + count);
            for at in starts(tree, start, start + count) {
                pool.free(tree.remove(at).unwrap().1);
            }
            pages.retain(|page, _| !(start..start + count).contains(page));
        }
        Step::Protect {
            start,
            pages: count,
            flags,
        } => {
            isolate(tree, pool, start, start + count);
            for at in starts(tree, start, start + count) {
                tree.set_flags(at, FLAGS[flags]).unwrap();
            }
            for (_, page) in pages.range_mut(start..start + count) {
                page.0 = FLAGS[flags];
            }
        }
        Step::Split { page } => isolate(tree, pool, page, page),
        Step::Merge { page } => merge(tree, pool, pages, page),
        Step::Resize { page, down, up } => resize(tree, pages, page, down, up),
        Step::FindGap {
            pages: count,
            align,
            low,
            high,
            top_down,
        } => {
            let request = GapRequest {
                len: count * PAGE_SIZE,
                align: PAGE_SIZE << align,
                low: low * PAGE_SIZE,
                high: high * PAGE_SIZE,
                direction: if top_down {
                    Direction::TopDown
                } else {
                    Direction::BottomUp
                },
            };
            assert_eq!(tree.find_gap(&request), Ok(naive_gap(tree, &request)));
        }
    }
}

proptest! {
    #[test]
    fn the_tree_does_what_a_map_of_pages_does(steps in vec(step(), 1..80), probe in FIRST..FIRST + 99) {
        with_tree(|tree, pool| {
            let mut pages = Pages::new();
            for step in &steps {
                apply(tree, pool, &mut pages, step);
                tree.check_invariants().unwrap();
                assert_eq!(pages_of(tree), pages);
                assert_eq!(pool.used() as u64, tree.len());
                assert_eq!(tree.find(probe * PAGE_SIZE).is_some(), pages.contains_key(&probe));
                let again = tree.find_vma_again(probe * PAGE_SIZE).map(Area::of);
                assert_eq!(again, tree.find_vma(probe * PAGE_SIZE).map(Area::of));
                let meets = tree.find_intersection(probe * PAGE_SIZE, (probe + 3) * PAGE_SIZE);
                assert_eq!(meets.is_some(), pages.range(probe..probe + 3).next().is_some());
            }
        });
    }
}
