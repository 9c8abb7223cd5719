//! Programs with huge pages.

use super::{Build, SMALL, alike_in, guest, programs};

alike! {
    huge_pages_are_memory_like_any_other: ["./huge"],
}

/// What a counter of vmstat has at the end of the program.
fn counter(options: &[&str], name: &str) -> Option<u64> {
    let folder = programs(Build::Glibc)?;
    let flags = [&SMALL[..], &["--inspect", "vmstat"], options].concat();
    let report = guest(folder, &flags, &["./huge"]);
    assert_eq!(report["verdict"], "held", "{options:?}: {report:#}");
    let text = report["views"][0]["text"].as_str().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let count = line.and_then(|count| count.trim().parse().ok());
    Some(count.unwrap_or_else(|| panic!("no {name} in {text}")))
}

#[test]
fn who_gets_them_is_a_matter_of_policy() {
    let policy = |name: &'static str| ["--transparent-hugepage", name];
    for (options, expected) in [(&[][..], 5), (&policy("madvise"), 5), (&policy("never"), 0)] {
        let Some(count) = counter(options, "thp_fault_alloc ") else {
            return;
        };
        assert_eq!(count, expected, "{options:?}");
    }
    // The moved area, which nobody has advised about, has room for one more.
    let always = counter(&policy("always"), "thp_fault_alloc ").unwrap();
    assert!(always >= 5, "{always}");
    assert!(counter(&[], "thp_split_pmd ").unwrap() > 5);
    assert_eq!(counter(&[], "nr_anon_transparent_hugepages "), Some(0));
}

#[test]
fn they_share_a_machine_with_swap_and_with_failing_allocations() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let swap = ["--swap", "64M", "--transparent-hugepage", "always"];
    alike_in(folder, &swap, &["./huge"]);
    alike_in(folder, &swap, &["./fork_cow"]);
    // Every second huge page is not to be had.
    let fault = ["--fault", "fail_page_alloc,min-order=9,probability=50"];
    alike_in(folder, &fault, &["./huge"]);
}
