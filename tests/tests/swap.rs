//! The swap device end to end: pages written by the guest come back as they were.

use pagelab_tests::{kvm, pagelab, report};
use serde_json::Value;
use std::fs;

fn u64_at(value: &Value, pointer: &str) -> u64 {
    value
        .pointer(pointer)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("no number at {pointer}: {value:#}"))
}

/// Runs the workload `swap` with more arguments.
fn swap(arguments: &[&str]) -> Value {
    let mut all = vec!["--workload", "swap", "--memory", "64M"];
    all.extend(arguments);
    report(&all)
}

#[test]
fn pages_come_back_from_the_device_as_they_were() {
    if !kvm() {
        return;
    }
    // A device of one page, a usual one, and one of which only a part can be written.
    for size in ["4K", "256M", "1T"] {
        let report = swap(&["--swap", size]);
        assert_eq!(report["verdict"], "held", "{report:#}");
        let writes = u64_at(&report, "/swap/device/writes");
        let reads = u64_at(&report, "/swap/device/reads");
        assert!(writes > 700 && reads > 300, "{writes} {reads}");
        assert_eq!(u64_at(&report, "/swap/guest/writes"), writes);
        assert_eq!(u64_at(&report, "/swap/guest/reads"), reads);
        assert_eq!(u64_at(&report, "/swap/device/bytes_read"), 4096 * reads);
        assert_eq!(u64_at(&report, "/workload/checks"), reads);
        assert_eq!(u64_at(&report, "/swap/device/refused"), 0);
    }
}

#[test]
fn pages_without_an_address_go_to_swap_too() {
    if !kvm() {
        return;
    }
    let report = swap(&["--swap", "1M", "--zone-limits", "16M,32M"]);
    assert_eq!(report["verdict"], "held", "{report:#}");
    assert!(u64_at(&report, "/workload/kmaps") > 700, "{report:#}");
}

#[test]
fn the_same_run_has_the_same_trace_whatever_the_disk_is_made_of() {
    if !kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    fs::write(&path, vec![0x5a; 1 << 20]).unwrap();
    let file = swap(&["--swap", path.to_str().unwrap()]);
    let memory = swap(&["--swap", "1M"]);
    assert_eq!(file["trace_hash"], memory["trace_hash"]);
    assert_eq!(file["swap"], memory["swap"]);
    let other = swap(&["--swap", "1M", "--seed", "2"]);
    assert_ne!(other["trace_hash"], memory["trace_hash"]);
    // What was written is in the file.
    assert!(fs::read(&path).unwrap().iter().any(|byte| *byte != 0x5a));
}

#[test]
fn a_workload_without_its_device_says_what_to_do() {
    if !kvm() {
        return;
    }
    let ran = pagelab(&["run", "--workload", "swap", "--memory", "64M"]);
    assert_eq!(ran.status, Some(1), "{ran:#?}");
    assert!(ran.stdout.contains("--swap"), "{ran:#?}");
}

#[test]
fn a_disk_that_cannot_be_made_is_named() {
    for (swap, words) in [
        ("100", "100 bytes"),
        ("0", "0 bytes"),
        ("2T", "bytes"),
        ("256X", "./"),
        ("/nowhere/at/all", "/nowhere/at/all"),
        ("/tmp", "neither a file"),
    ] {
        let ran = pagelab(&["run", "--workload", "none", "--swap", swap]);
        assert_eq!(ran.status, Some(2), "{swap}: {ran:#?}");
        assert!(ran.stderr.contains(words), "{swap}: {ran:#?}");
    }
}
