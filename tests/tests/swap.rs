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

/// The one injector of a report.
fn injector(report: &Value) -> &Value {
    let injectors = report["faults"]["injectors"].as_array().unwrap();
    assert_eq!(injectors.len(), 1);
    &injectors[0]
}

/// The audit of the swap device at the end.
fn audit(report: &Value) -> &Value {
    let audits = report["audits"].as_array().unwrap();
    let found = audits.iter().find(|audit| audit["name"] == "swap-io");
    found.expect("the swap device is audited")
}

#[test]
fn every_injected_error_is_seen_by_the_guest_and_survived() {
    if !kvm() {
        return;
    }
    for (fault, reads, writes) in [
        ("swap_io,nth=7", false, true),
        ("swap_io,nth=7,rw=read", true, false),
        ("swap_io,rw=write,probability=20", false, true),
        (
            "swap_io,rw=read,probability=100,interval=3,times=40",
            true,
            false,
        ),
        ("swap_io,probability=30,space=1048576", true, true),
    ] {
        let report = swap(&["--swap", "16M", "--fault", fault]);
        assert_eq!(report["verdict"], "held", "{fault}: {report:#}");
        let injected = u64_at(injector(&report), "/injected");
        let errors = [
            u64_at(&report, "/swap/guest/read_errors"),
            u64_at(&report, "/swap/guest/write_errors"),
        ];
        assert_eq!(errors.map(|count| count > 0), [reads, writes], "{fault}");
        assert_eq!(errors.iter().sum::<u64>(), injected, "{fault}");
        assert_eq!(u64_at(injector(&report), "/reported"), injected);
        assert_eq!(u64_at(injector(&report), "/absorbed"), 0);
        match fault {
            _ if fault.contains("nth=7") => assert_eq!(injected, 1),
            _ if fault.contains("times=40") => assert_eq!(injected, 40),
            _ => assert!(injected > 100, "{fault}: {injected}"),
        }
        assert_eq!(audit(&report)["outcome"], "held");
        let again = swap(&["--swap", "16M", "--fault", fault]);
        assert_eq!(again["trace_hash"], report["trace_hash"]);
    }
}

/// Runs the workload `swapping` with more arguments.
fn swapping(arguments: &[&str]) -> Value {
    let mut all = vec!["--workload", "swapping", "--memory", "64M"];
    all.extend(arguments);
    report(&all)
}

#[test]
fn pages_go_to_slots_and_come_back() {
    if !kvm() {
        return;
    }
    // Plenty of slots, and so few that swap is full again and again.
    for size in ["256M", "256K"] {
        let report = swapping(&["--swap", size]);
        assert_eq!(report["verdict"], "held", "{size}: {report:#}");
        let writes = u64_at(&report, "/swap/guest/writes");
        let reads = u64_at(&report, "/swap/guest/reads");
        assert!(writes > 300 && reads > 200, "{size}: {writes} {reads}");
        assert!(u64_at(&report, "/workload/checks") >= reads);
    }
    let hash = || swapping(&["--swap", "256K", "--seed", "3"])["trace_hash"].clone();
    assert_eq!(hash(), hash());
}

#[test]
fn the_slots_survive_errors_of_the_device_and_failed_allocations() {
    if !kvm() {
        return;
    }
    for (fault, absorbs, reports) in [
        ("swap_io,nth=9", true, false),
        ("swap_io,probability=30", true, true),
        ("swap_io,rw=read,probability=40", true, true),
        ("swap_io,rw=write,probability=100,times=12", true, true),
    ] {
        let report = swapping(&["--swap", "16M", "--fault", fault]);
        assert_eq!(report["verdict"], "held", "{fault}: {report:#}");
        let injected = u64_at(injector(&report), "/injected");
        let errors = u64_at(&report, "/swap/guest/read_errors")
            + u64_at(&report, "/swap/guest/write_errors");
        assert_eq!(errors, injected, "{fault}");
        assert_eq!(u64_at(injector(&report), "/absorbed") > 0, absorbs);
        assert_eq!(u64_at(injector(&report), "/reported") > 0, reports);
    }
    let fault = "fail_page_alloc,probability=20";
    let report = swapping(&["--swap", "16M", "--fault", fault]);
    assert_eq!(report["verdict"], "held", "{report:#}");
    assert!(u64_at(&report, "/workload/pages_failed") > 50, "{report:#}");
}

#[test]
fn the_slots_are_audited_in_the_midst_of_it_and_show_in_meminfo() {
    if !kvm() {
        return;
    }
    let at = [
        "--swap",
        "16M",
        "--stop-at",
        "swap_out,nth=200",
        "--inspect",
        "meminfo",
    ];
    let report = swapping(&at);
    assert_eq!(report["verdict"], "held", "{report:#}");
    let text = report["views"][0]["text"].as_str().unwrap();
    assert!(text.contains("SwapTotal:         16380 kB"), "{text}");
    let free = text.lines().find(|line| line.starts_with("SwapFree:"));
    assert!(!free.unwrap().contains(" 16380 kB"), "{text}");
    let audits = report["audits"].as_array().unwrap();
    let slots = |audit: &&Value| audit["name"] == "swap-slots" && audit["moment"] == "stop";
    let found = audits.iter().find(slots).expect("the slots are audited");
    assert_eq!(found["outcome"], "held");
}

#[test]
fn an_error_at_an_event_ends_with_the_last_phase() {
    if !kvm() {
        return;
    }
    let fault = "swap_io,probability=100,at=4000";
    let report = swap(&["--swap", "16M", "--fault", fault]);
    assert_eq!(report["verdict"], "held", "{report:#}");
    let errors = u64_at(&report, "/swap/guest/write_errors");
    let writes = u64_at(&report, "/swap/guest/writes");
    assert!(errors > 100 && writes > 100, "{errors} {writes}");
}

#[test]
fn a_fault_without_its_device_is_refused() {
    let ran = pagelab(&["run", "--fault", "swap_io,nth=7"]);
    assert_eq!(ran.status, Some(2), "{ran:#?}");
    let words = ["swap_io,nth=7", "--swap 256M"];
    assert!(
        words.iter().all(|word| ran.stderr.contains(word)),
        "{ran:#?}"
    );
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
