//! The audits on the real memory manager: they hold whatever it did, and each fires on a
//! corruption of what it checks.

mod hostile;
mod leaks;
mod lru;
mod memory_groups;
mod page_cache_store;
mod pages;
mod slabs;
mod swap_entries;
mod swap_io;
mod swap_slots;
mod swapped;
mod thp;
mod tlb_flushes;
mod users;
mod zones;

use pagelab_abi::slab::CacheFlags;
use proptest::prelude::*;

use crate::inspect::{
    AuditResult, Outcome, audit,
    decode::{Block, BlockState, Zone},
    test_guest::{ROOT, TestGuest, TestImage},
};

/// A copy of a busy guest's memory.
fn busy() -> TestImage {
    TestGuest::busy(CacheFlags::empty()).image()
}

/// The result of one audit, which must have found something.
fn violated(image: &TestImage, name: &str) -> AuditResult {
    let result = image.audit(name);
    assert_eq!(result.outcome, Outcome::Violated, "{result:#?}");
    assert!(result.total >= result.findings.len() as u64 && !result.findings.is_empty());
    result
}

/// Asserts that an audit fires and says all of this in one finding.
fn assert_finds(image: &TestImage, name: &str, words: &[&str]) {
    let result = violated(image, name);
    let found = result
        .findings
        .iter()
        .any(|finding| words.iter().all(|it| finding.contains(it)));
    assert!(found, "{words:?} not in {result:#?}");
}

/// The first block that fits, and its zone.
fn block(image: &TestImage, fits: impl Fn(&Block) -> bool) -> (Zone, Block) {
    let snapshot = image.snapshot();
    let mut blocks = snapshot.zones.iter().flat_map(|zone| {
        snapshot
            .blocks(zone)
            .map(move |block| (zone, block.unwrap()))
    });
    let (zone, block) = blocks.find(|(_, block)| fits(block)).unwrap();
    (zone.clone(), block)
}

/// The first block in this state.
fn block_in(image: &TestImage, state: BlockState) -> (Zone, Block) {
    block(image, |block| block.state == state && !block.is_slab())
}

fn assert_all_hold(guest: &TestGuest, when: &str) {
    for result in audit::all(&guest.image().memory, ROOT, audit::Moment::Between) {
        assert_eq!(result.outcome, Outcome::Held, "{when}: {result:#?}");
    }
}

#[test]
fn all_hold_after_boot() {
    assert_all_hold(&TestGuest::new(CacheFlags::empty()), "after boot");
}

#[test]
fn all_hold_at_work() {
    for debug in [CacheFlags::empty(), CacheFlags::DEBUG] {
        let guest = TestGuest::busy(debug);
        assert_all_hold(&guest, "at work");
        // What the corruption tests rely on is there.
        let image = guest.image();
        for state in BlockState::ALL
            .into_iter()
            .filter(|it| !matches!(it, BlockState::Isolated | BlockState::Hwpoison))
        {
            block_in(&image, state);
        }
        block(&image, Block::is_slab);
    }
    let guest = TestGuest::reporting();
    assert_all_hold(&guest, "while a block is being reported");
    block_in(&guest.image(), BlockState::Isolated);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn all_hold_whatever_the_guest_does(
        steps in prop::collection::vec(0u32..1 << 16, 1..300),
        debug in prop::sample::select(vec![CacheFlags::empty(), CacheFlags::DEBUG]),
    ) {
        let mut guest = TestGuest::new(debug);
        for step in &steps {
            guest.step(*step);
        }
        assert_all_hold(&guest, "in the middle");
        guest.give_back();
        assert_all_hold(&guest, "at the end");
    }
}
