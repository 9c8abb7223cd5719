//! The same seed gives the same run, to the byte; another seed gives another.

use pagelab_tests::{kvm, report};
use serde_json::Value;

/// A report without the one part that may differ.
fn reproducible(arguments: &[&str]) -> Value {
    let mut report = report(arguments);
    report
        .as_object_mut()
        .unwrap()
        .remove("host")
        .expect("a report says where it ran");
    report
}

#[test]
fn two_runs_are_equal_and_another_seed_differs() {
    if !kvm() {
        return;
    }
    let first = reproducible(&["--memory", "128M"]);
    assert_eq!(first, reproducible(&["--memory", "128M"]));
    let other = reproducible(&["--memory", "128M", "--seed", "2"]);
    assert_ne!(first["trace_hash"], other["trace_hash"]);
}

#[test]
fn inspection_does_not_disturb() {
    if !kvm() {
        return;
    }
    let plain = reproducible(&["--memory", "64M", "--workload", "buddy"]);
    let inspected = reproducible(&[
        "--memory",
        "64M",
        "--workload",
        "buddy",
        "--inspect",
        "pagetable,zoneinfo,buddyinfo,slabinfo,meminfo,vmstat,pagetypeinfo",
    ]);
    assert_eq!(plain["trace_hash"], inspected["trace_hash"]);
    assert_eq!(inspected["views"].as_array().unwrap().len(), 7);
}

#[test]
fn a_stop_is_exact() {
    if !kvm() {
        return;
    }
    let stop =
        |at: &str| reproducible(&["--memory", "64M", "--workload", "buddy", "--stop-at", at]);
    let stopped = stop("500");
    assert_eq!(stopped["events"], 500);
    assert_eq!(stopped["stopped_at"], 500);
    assert_eq!(stopped, stop("500"));
    assert_ne!(stopped["trace_hash"], stop("501")["trace_hash"]);

    for (at, word) in [
        ("1", "the end of boot"),
        ("999999999", "never came to 999999999"),
    ] {
        let ran = pagelab_tests::pagelab(&["run", "--workload", "none", "--stop-at", at]);
        assert_eq!(ran.status, Some(2), "{ran:#?}");
        assert!(ran.stderr.contains(word), "{ran:#?}");
    }

    let third = stop("page_alloc,nth=3,min-order=2");
    let events = third["stopped_at"].to_string();
    assert_eq!(third["trace_hash"], stop(&events)["trace_hash"]);
}

#[test]
fn faults_are_part_of_the_run() {
    if !kvm() {
        return;
    }
    let with =
        |fault: &str| reproducible(&["--memory", "64M", "--workload", "slab", "--fault", fault]);
    let seventh = with("failslab,nth=7");
    assert_eq!(seventh["verdict"], "held", "{}", seventh["reasons"]);
    assert_eq!(seventh["faults"]["injectors"][0]["injected"], 1);
    assert_eq!(seventh, with("failslab,nth=7"));
    assert_ne!(seventh["trace_hash"], with("failslab,nth=8")["trace_hash"]);
}
