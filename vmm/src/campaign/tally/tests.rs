use super::{Estimate, Summary, Terminal};
use crate::{
    campaign::record::{Class, Header},
    campaign::report::test_records::{header, record},
    report::Paint,
};
use proptest::prelude::*;

fn summary() -> Summary {
    let header = Header {
        space: 1_000,
        ..header()
    };
    let mut records = vec![
        record(0, "failslab", Some("dup_mmap < fork"), Class::Masked),
        record(1, "failslab", Some("dup_mmap < fork"), Class::Crash),
        record(2, "fail_page_alloc", None, Class::DetectedUnrecoverable),
    ];
    records[0].weight = 10;
    Summary::new(&header, &records)
}

#[test]
fn a_record_counts_for_the_points_that_it_stands_for() {
    let summary = summary();
    let masked = summary.all.of(Class::Masked);
    assert_eq!((masked.records, masked.points), (1, 10));
    let total = summary.all.total();
    assert_eq!((total.records, total.points), (3, 12));
    assert_eq!(summary.by_kind["failslab"].total().points, 11);
    let sites: Vec<_> = summary.sites().iter().map(|(site, _)| *site).collect();
    assert_eq!(sites, ["dup_mmap < fork", "-"]);
}

#[test]
fn the_table_fits_a_terminal_and_says_what_is_inferred() {
    let text = Terminal::new(&summary(), Paint::new(false)).to_string();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for part in ["masked", "crash", "dup_mmap < fork", " to ", "of 1,000"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("hang"), "{text}");
}

/// The standard example of Newcombe (Statistics in Medicine 17, 1998, table I): 81 of 263.
#[test]
fn the_interval_is_wilsons() {
    let estimate = Estimate::new(81, 263, 263, u64::MAX);
    assert!((estimate.low - 0.2553).abs() < 1e-4, "{estimate:?}");
    assert!((estimate.high - 0.3662).abs() < 1e-4, "{estimate:?}");
}

#[test]
fn where_all_points_are_stood_for_nothing_is_inferred() {
    let estimate = Estimate::new(3, 10, 10, 10);
    assert!(estimate.is_exact);
    assert_eq!(estimate.text(), "30.0 %");
    assert_eq!(Estimate::new(0, 0, 0, 10).text(), "0.0 % (0.0 to 100.0)");
}

proptest! {
    #[test]
    fn an_interval_holds_the_share_and_narrows(points in 0u64..=500, space in 501u64..100_000) {
        let few = Estimate::new(points, 500, 500, space);
        prop_assert!(0.0 <= few.low && few.low <= few.share + 1e-12);
        prop_assert!(few.share <= few.high + 1e-12 && few.high <= 1.0);
        let weighted = Estimate::new(points, 500, 5_000, space);
        prop_assert!(weighted.high - weighted.low >= few.high - few.low);
    }
}

#[test]
fn an_empty_campaign_has_an_empty_table() {
    let text = Terminal::new(&Summary::new(&header(), []), Paint::new(false)).to_string();
    assert!(text.contains("together"), "{text}");
}
