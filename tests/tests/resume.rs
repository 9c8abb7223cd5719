//! Runs that are kept in a file and go on in another process.

use pagelab_tests::{kvm, pagelab, report};
use serde_json::Value;
use std::fs;

const RUN: [&str; 6] = ["--workload", "swap", "--memory", "64M", "--swap", "4M"];

fn audit<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    let audits = report["audits"].as_array().unwrap();
    audits
        .iter()
        .find(|audit| audit["name"] == name && audit["moment"] == "end")
}

#[test]
fn a_run_that_was_kept_goes_on_to_the_end_of_one_that_was_not() {
    if !kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.snap");
    let file = file.to_str().unwrap();
    let fault = ["--fault", "swap_io,rw=write,probability=5"];
    let whole = report(&[&RUN[..], &fault].concat());
    let stop = ["--stop-at", "1500", "--snapshot", file];
    let first = report(&[&RUN[..], &fault, &stop].concat());
    assert_eq!(first["stopped_at"], 1500);
    let resumed = pagelab(&["resume", file, "--format", "json"]).json();
    for key in [
        "verdict",
        "trace_hash",
        "events",
        "swap",
        "workload",
        "faults",
    ] {
        assert_eq!(resumed[key], whole[key], "{key}");
    }
    // Against what was in use before the run was kept.
    let leak = audit(&resumed, "leak").expect("it is known what was in use at the end of boot");
    assert_eq!(leak["outcome"], "held", "{leak:#}");

    // What is in the file can be looked at as it stands, with the views of the stop.
    let at_stop = [
        &RUN[..],
        &fault,
        &["--stop-at", "1500", "--inspect", "buddyinfo"],
    ]
    .concat();
    let live = report(&at_stop);
    let image = pagelab(&[
        "inspect",
        file,
        "--inspect",
        "buddyinfo",
        "--format",
        "json",
    ]);
    assert_eq!(image.status, Some(0), "{image:#?}");
    let image = image.json();
    assert_eq!(image["kind"], "snapshot");
    assert_eq!(image["views"], live["views"]);

    // The same file again, and then a damaged one.
    let again = pagelab(&["resume", file, "--inspect", "buddyinfo"]);
    assert_eq!(again.status, Some(0), "{again:#?}");
    assert!(again.stdout.contains("Node 0, zone"), "{again:#?}");
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file, &bytes).unwrap();
    for command in ["resume", "inspect"] {
        let damaged = pagelab(&[command, file]);
        assert_eq!(damaged.status, Some(2), "{damaged:#?}");
        assert!(damaged.stderr.contains("damaged"), "{damaged:#?}");
    }
}

#[test]
fn what_cannot_be_kept_is_refused_with_the_reason() {
    if !kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.snap");
    let file = file.to_str().unwrap();
    let keep = ["run", "--snapshot", file];
    let no_stop = pagelab(&keep);
    assert_eq!(no_stop.status, Some(2), "{no_stop:#?}");
    assert!(no_stop.stderr.contains("--stop-at"), "{no_stop:#?}");
    let pressed = ["--stop-at", "600", "--pressure", "step:8M@100,0@40000"];
    let pressed = pagelab(&[&keep[..], &RUN, &pressed].concat());
    assert_eq!(pressed.status, Some(2), "{pressed:#?}");
    assert!(pressed.stderr.contains("still to come"), "{pressed:#?}");
    assert!(fs::metadata(file).is_err());
}
