//! Corruptions of the lists that reclaim works on.

use std::mem::offset_of;

use pagelab_abi::{
    lru::{LruHead, LruList, Lruvec},
    mm::MmState,
    page::{GROUP_SHIFT, NONE, PageFlags},
    vmstat::NodeStat,
};

use super::assert_finds;
use crate::inspect::{
    decode::FrameSet,
    test_guest::{FLAGS, NEXT, PREV, TestImage},
    test_programs::Programs,
};

/// A copy of a guest with processes, and the pages of a list in it, newest first.
fn image(list: LruList) -> (TestImage, Vec<u32>) {
    let image = Programs::new().image();
    let mut pages = Vec::new();
    let snapshot = image.snapshot();
    let mut seen = FrameSet::new(snapshot.pfns());
    snapshot
        .walk_lru(0, list, &mut seen, |pfn, _| pages.push(pfn))
        .unwrap();
    assert_eq!(pages.len() as u64, snapshot.lru_pages(list));
    drop(snapshot);
    (image, pages)
}

/// A field of the root group's lists.
fn field(image: &TestImage, field: usize) -> u64 {
    image.snapshot().state_gpa + (offset_of!(MmState, lruvecs) + field) as u64
}

#[test]
fn lists_have_the_pages_of_programs_and_of_files() {
    // Two programs with five pages each that they wrote, and the pages of a ramfs file.
    assert_eq!(image(LruList::InactiveAnon).1.len(), 10);
    assert_eq!(image(LruList::Unevictable).1.len(), 3);
    assert_eq!(image(LruList::ActiveFile).1.len(), 0);
}

#[test]
fn broken_links_are_found() {
    for list in [LruList::InactiveAnon, LruList::Unevictable] {
        let name = list.name();
        let (mut broken, pages) = image(list);
        broken.change_page(pages[1], PREV, |_| pages[2]);
        assert_finds(&broken, "lru-lists", &[name, "links back to"]);

        let (mut broken, pages) = image(list);
        broken.change_page(pages[1], NEXT, |_| pages[0]);
        assert_finds(&broken, "lru-lists", &[name, "for the second time"]);

        let (mut broken, pages) = image(list);
        broken.change_page(pages[0], NEXT, |_| 0x00ff_ffff);
        assert_finds(&broken, "lru-lists", &[name, "no frame of RAM"]);

        // Cut short: the rest say that they are in a list.
        let (mut broken, pages) = image(list);
        broken.change_page(pages[0], NEXT, |_| NONE);
        assert_finds(&broken, "lru-lists", &[name, "its tail is"]);
        assert_finds(&broken, "lru-lists", &["says it is in a list"]);
        assert_finds(&broken, "lru-lists", &[name, "has 1"]);

        let (mut broken, _) = image(list);
        let head = offset_of!(Lruvec, lists) + list as usize * size_of::<LruHead>();
        let head = field(&broken, head);
        broken.change_u32(head, |_| NONE);
        assert_finds(&broken, "lru-lists", &["says it is in a list"]);
    }
}

#[test]
fn flags_and_counters_that_disagree_are_found() {
    let (mut broken, pages) = image(LruList::InactiveAnon);
    broken.change_page(pages[3], FLAGS, |word| word | PageFlags::ACTIVE.bits());
    assert_finds(&broken, "lru-lists", &["inactive_anon", "descriptor says"]);

    let (mut broken, pages) = image(LruList::InactiveAnon);
    broken.change_page(pages[3], FLAGS, |word| word | 5 << GROUP_SHIFT);
    assert_finds(&broken, "lru-lists", &["inactive_anon", "descriptor says"]);

    // A page that is in a list and denies it is missing from its own.
    let (mut broken, pages) = image(LruList::InactiveAnon);
    broken.change_page(pages[3], FLAGS, |word| word & !PageFlags::LRU.bits());
    assert_finds(
        &broken,
        "lru-lists",
        &["1 pages of programs and files are in no list"],
    );

    let (mut broken, _) = image(LruList::InactiveAnon);
    let counts = field(&broken, offset_of!(Lruvec, nr) + 4 * 2);
    broken.change_u32(counts, |count| count + 1);
    assert_finds(&broken, "lru-lists", &["zone 0: inactive_file counts 1"]);
}

#[test]
fn a_page_that_nobody_has_and_that_is_not_isolated_is_found() {
    let (mut broken, pages) = image(LruList::InactiveAnon);
    // The oldest one is unlinked, as if it had been isolated, and not counted.
    let [last, before] = [pages[pages.len() - 1], pages[pages.len() - 2]];
    let zone = broken.snapshot().descriptor(last).unwrap().zone() as usize;
    broken.change_page(before, NEXT, |_| NONE);
    broken.change_page(last, FLAGS, |word| word & !PageFlags::LRU.bits());
    let tail = field(&broken, offset_of!(Lruvec, lists) + 4);
    broken.change_u32(tail, |_| before);
    let count = field(&broken, offset_of!(Lruvec, nr) + zone * 20);
    broken.change_u32(count, |count| count - 1);
    assert_finds(&broken, "lru-lists", &["in no list", "and 0 are isolated"]);
    let stat = offset_of!(MmState, node_stat) + NodeStat::IsolatedAnon as usize * 8;
    let stat = broken.snapshot().state_gpa + stat as u64;
    broken.change_u32(stat, |_| 1);
    let results = super::audit::all(
        &broken.memory,
        crate::inspect::test_guest::ROOT,
        super::audit::Moment::Anywhere,
    );
    let result = results.iter().find(|it| it.name == "lru-lists").unwrap();
    assert!(result.held(), "{result:#?}");
}

/// What the audit says of pages that are in no list.
fn unlisted(image: &TestImage, moment: super::audit::Moment) -> Vec<String> {
    let results = super::audit::all(&image.memory, crate::inspect::test_guest::ROOT, moment);
    let result = results.into_iter().find(|it| it.name == "lru-lists");
    let mut findings = result.unwrap().findings;
    findings.retain(|finding| finding.contains("in no list"));
    findings
}

#[test]
fn one_page_may_be_on_its_way_to_swap_where_a_run_stops_within_that() {
    use super::audit::Moment;
    let (mut image, pages) = image(LruList::InactiveAnon);
    let swapping = |word: u32| word & !PageFlags::LRU.bits() | PageFlags::SWAPCACHE.bits();
    image.change_page(pages[2], FLAGS, swapping);
    assert_eq!(unlisted(&image, Moment::Anywhere), [""; 0]);
    assert_eq!(unlisted(&image, Moment::Between).len(), 1);
    image.change_page(pages[5], FLAGS, swapping);
    assert_eq!(unlisted(&image, Moment::Anywhere).len(), 1);
}
