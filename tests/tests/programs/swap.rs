//! Programs whose pages go to swap, and do so behind their backs.

use super::{Build, SMALL, alike_in, guest, programs};
use serde_json::Value;

/// A machine with a swap device.
const SWAP: [&str; 2] = ["--swap", "64M"];

alike! {
    without_a_device_pages_stay: ["./swap"],
    a_device_that_does_not_fail_fails_nobody: ["./swap_errors"],
    without_a_device_shared_pages_stay: ["./shared_swap"],
}

#[test]
fn pages_go_to_swap_and_come_back_as_they_were() {
    for &build in crate::compare::libraries(&["./swap"]) {
        if let Some(folder) = programs(build) {
            alike_in(folder, &SWAP, &["./swap"]);
            alike_in(folder, &SWAP, &["./shared_swap"]);
        }
    }
}

fn number(report: &Value, pointer: &str) -> u64 {
    let found = report.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer}: {report:#}"))
}

/// The report of a program on a machine with a swap device, whose audits all hold.
fn run(options: &[&str], command: &[&str]) -> Option<Value> {
    let folder = programs(Build::Glibc)?;
    let report = guest(folder, &[&SMALL, options].concat(), command);
    assert_eq!(report["verdict"], "held", "{options:?}: {report:#}");
    Some(report)
}

#[test]
fn they_have_been_there() {
    let Some(report) = run(&SWAP, &["./swap"]) else {
        return;
    };
    let (writes, read) = ("/swap/guest/writes", "/swap/device/bytes_read");
    assert!(number(&report, writes) > 2500, "{}", report["swap"]);
    assert!(number(&report, read) > 1500 << 12, "{}", report["swap"]);
    // And where there is too little room for all of them, some have.
    let Some(small) = run(&["--swap", "512K"], &["./swap"]) else {
        return;
    };
    assert!(number(&small, writes) < number(&report, writes));
    assert_eq!(small["program"]["stdout"], report["program"]["stdout"]);
}

#[test]
fn shared_memory_has_been_there() {
    let Some(report) = run(&SWAP, &["./shared_swap"]) else {
        return;
    };
    // Both areas of 200 pages, and some of them more often: only those that are mapped go.
    assert!(
        number(&report, "/swap/guest/writes") > 500,
        "{}",
        report["swap"]
    );
    assert!(
        number(&report, "/swap/device/bytes_read") > 400 << 12,
        "{}",
        report["swap"]
    );
}

#[test]
fn errors_of_the_device_reach_the_program_as_what_they_are() {
    for (fault, reported) in [
        ("swap_io,rw=read,probability=40", true),
        ("swap_io,rw=read,probability=100,times=8", true),
        ("swap_io,rw=write,probability=60", false),
        ("swap_io,nth=11", false),
    ] {
        let options = [&SWAP[..], &["--fault", fault]].concat();
        let Some(report) = run(&options, &["./swap_errors", "count"]) else {
            return;
        };
        let stdout = report["program"]["stdout"].as_str().unwrap();
        let sound = "wrong bytes: 0\nother signals: 0\nother errors: 0\nsignals ";
        let counts = stdout.strip_prefix(sound);
        let counts = counts.unwrap_or_else(|| panic!("{fault}: {stdout}"));
        let words: Vec<&str> = counts.split_whitespace().collect();
        let counts = [words[0], words[2]].map(|word| word.parse::<u64>().unwrap());
        assert_eq!(
            counts.iter().sum::<u64>() > 0,
            reported,
            "{fault}: {stdout}"
        );
        let injector = &report["faults"]["injectors"][0];
        assert!(injector["injected"].as_u64().unwrap() > 0, "{injector}");
        // Each page is read twice before anybody hears of it.
        let told = number(&report, "/swap/guest/reported");
        assert_eq!(told, counts.iter().sum::<u64>(), "{fault}");
        assert!(2 * told <= injector["injected"].as_u64().unwrap());
    }
}

/// What a slow device does is what a fast one does, later: and twice the same.
#[test]
fn a_slow_device_makes_programs_wait_and_changes_nothing() {
    let Some(fast) = run(&SWAP, &["./swap_errors", "count"]) else {
        return;
    };
    let fault = "swap_io,probability=10,delay=300";
    let slow = || {
        run(
            &[&SWAP[..], &["--fault", fault, "--audit-every", "2000"]].concat(),
            &["./swap_errors", "count"],
        )
        .unwrap()
    };
    let (first, second) = (slow(), slow());
    assert_eq!(first["program"]["stdout"], fast["program"]["stdout"]);
    let delayed = number(&first, "/swap/device/delayed");
    assert_eq!(number(&first, "/faults/injectors/0/injected"), delayed);
    assert!(delayed > 5, "{}", first["swap"]);
    // Some of them were under way at the same time.
    assert!(number(&first, "/events") > number(&fast, "/events") + 300);
    for key in ["trace_hash", "events"] {
        assert_eq!(first[key], second[key], "{key}");
    }
}

/// What could not be written to a device that never answers stays, and no program is told.
#[test]
fn a_device_that_does_not_answer_is_given_up() {
    let fault = ["--fault", "swap_io,rw=write,nth=1,delay=60000"];
    let options = [&SWAP[..], &fault].concat();
    let Some(report) = run(&options, &["./swap_errors", "count"]) else {
        return;
    };
    let expected = "wrong bytes: 0\nother signals: 0\nother errors: 0\nsignals 0 errors 0\n";
    assert_eq!(report["program"]["stdout"], expected, "{report:#}");
    // All that time was waited for it.
    assert!(number(&report, "/events") > 50_000, "{report:#}");
    assert!(number(&report, "/swap/guest/unanswered") > 0, "{report:#}");
    assert_eq!(number(&report, "/swap/guest/write_errors"), 0);
}

#[test]
fn the_host_sees_pages_in_swap() {
    let at = [
        "--stop-at",
        "swap_in,nth=20",
        "--inspect",
        "pagemap,smaps,vmstat",
    ];
    let Some(report) = run(&[&SWAP[..], &at].concat(), &["./swap"]) else {
        return;
    };
    let text = |view: usize| report["views"][view]["text"].as_str().unwrap();
    let all: String = (0..3).map(text).collect();
    assert!(all.contains(" swap 0 slot "), "{all}");
    assert!(all.contains("\npswpout 300\n"), "{all}");
    assert!(all.contains("Swap:               11"), "{all}");
}
