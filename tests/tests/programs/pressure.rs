//! Programs that need more memory than there is: pages go to swap and come back as they were.

use super::{Build, alike_on, guest, programs};
use pagelab_tests::{kvm, report};
use serde_json::Value;

/// The smallest machine, with a swap device.
const TINY: [&str; 4] = ["--memory", "16M", "--swap", "64M"];

fn number(report: &Value, pointer: &str) -> u64 {
    let found = report.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer}: {report:#}"))
}

/// The report of the program with so many pages, all of which it finds as it wrote them.
fn pressure(options: &[&str], pages: &str) -> Option<Value> {
    let folder = programs(Build::Glibc)?;
    let report = guest(folder, &[&TINY, options].concat(), &["./pressure", pages]);
    assert_eq!(report["verdict"], "held", "{report:#}");
    let expected = format!("{pages} pages, wrong words: 0\n");
    assert_eq!(report["program"]["stdout"], expected.as_str(), "{report:#}");
    Some(report)
}

#[test]
fn without_pressure_it_is_as_on_linux() {
    if let Some(folder) = programs(Build::Musl) {
        alike_on(&["--memory", "64M"], folder, &["./pressure", "500"]);
    }
}

/// The balloon leaves 6 of 16 MiB, and the program needs 18.
#[test]
fn three_times_the_memory_is_enough() {
    let Some(report) = pressure(&["--pressure", "step:10M@0"], "4608") else {
        return;
    };
    assert!(number(&report, "/swap/guest/writes") > 4608, "{report:#}");
    // Some pages together are one request.
    let read = number(&report, "/swap/device/bytes_read");
    assert!(read > 4608 << 12, "{report:#}");
}

/// Three times all memory, while a balloon takes more than half of that and gives it back, and every seventh
/// request to the device fails. Minutes where ring 0 is interpreted, so it is made where it is not.
#[test]
fn three_times_all_memory_survives_a_balloon_and_a_bad_device() {
    let machine = ["--memory", "16M", "--workload", "none"];
    if !kvm() || report(&machine)["host"]["backend"] == "interpreted ring 0" {
        println!("SKIPPED: too slow where ring 0 is interpreted");
        return;
    }
    let options = [
        "--pressure",
        "sawtooth:60%@500..200000*8/6",
        "--fault",
        "swap_io,interval=7,probability=100,times=2000",
    ];
    if let Some(report) = pressure(&options, "12288") {
        assert!(number(&report, "/swap/guest/writes") > 12_288, "{report:#}");
        assert_eq!(number(&report, "/swap/guest/reported"), 0);
    }
}

/// A balloon that comes and goes, and a device of which every seventh request fails: the pages stay,
/// go to other slots or are read again.
#[test]
fn a_balloon_and_a_bad_device_lose_no_page_and_it_happens_again_alike() {
    let options = [
        "--pressure",
        "sawtooth:70%@500..12000*4/6",
        "--fault",
        "swap_io,interval=7,probability=100,times=200",
    ];
    let run = || pressure(&options, "1500");
    let (Some(first), Some(second)) = (run(), run()) else {
        return;
    };
    assert!(
        number(&first, "/faults/injectors/0/injected") > 50,
        "{first:#}"
    );
    assert!(number(&first, "/swap/guest/writes") > 1000, "{first:#}");
    assert_eq!(number(&first, "/swap/guest/reported"), 0);
    assert_eq!(first["trace_hash"], second["trace_hash"]);
    assert_eq!(first["events"], second["events"]);
}

/// All the machine's memory is free but for what the group has, which is a quarter of what it needs.
#[test]
fn a_memory_group_reclaims_its_own_pages_before_anybody_dies() {
    let options = ["--memory-max", "2M", "--memory-high", "1800K"];
    let Some(report) = pressure(&options, "1200") else {
        return;
    };
    let group = |key: &str| number(&report, &format!("/memory_groups/0/{key}"));
    assert!(group("peak") <= 2 << 20, "{report:#}");
    assert_eq!((group("oom_events"), group("oom_kills")), (0, 0));
    assert!(
        group("high_events") > 0 && group("pgsteal") > 1200,
        "{report:#}"
    );
    assert!(group("swap_peak") > 3 << 20, "{report:#}");
    assert!(number(&report, "/swap/guest/writes") > 1200);
    // Nobody else was short of anything.
    assert_eq!(number(&report, "/pressure/relief/allocstall"), 0);
}

#[test]
fn a_group_whose_swap_is_limited_loses_its_process() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let options = [&TINY[..], &["--memory-max", "2M", "--swap-max", "1M"]].concat();
    let report = guest(folder, &options, &["./pressure", "1200"]);
    assert_eq!(report["verdict"], "held", "{report:#}");
    let group = |key: &str| number(&report, &format!("/memory_groups/0/{key}"));
    assert_eq!((group("oom_kills"), group("swap_peak")), (1, 1 << 20));
    assert_eq!(report["oom"]["kills"][0]["reason"], "worst-of-group");
}

/// Groups as programs make them: in each other, with their own reclaim and their own victims.
#[test]
fn programs_make_groups_and_limit_them() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let options = ["--memory", "32M", "--swap", "64M"];
    let report = guest(folder, &options, &["./cgroups"]);
    assert_eq!(report["verdict"], "held", "{report:#}");
    let expected = "\
mkdir a: ok
again: File exists
mkdir a/b: ok
enable: ok
max of a: max, then ok, then 1048576
nonsense: Invalid argument, No such process
a file: Permission denied
unlink: Operation not permitted
rename: Operation not permitted
join: ok
whole: 1
a had up to 1M: 1, and b no more: 1
swapped: 1
stat has pgsteal: 1
no swap: ok
join: ok
killed by 9
killed once: 1
join: ok
in it: 1
rmdir: Device or resource busy, Device or resource busy
leave: ok
rmdir: ok, ok
left: 5
swappiness 60, ok, 100, Invalid argument
";
    assert_eq!(report["program"]["stdout"], expected, "{report:#}");
    assert_eq!(number(&report, "/memory_groups/0/oom_kills"), 1);
}
