//! What the host sees of a program at one moment, and what it says of two.

use super::{Build, SMALL, guest, programs};
use pagelab_tests::pagelab;
use serde_json::{Value, json};

alike! {
    memory_between_two_moments: ["./moments"],
}

/// Amid the first calls that change nothing, and amid the second ones, counted from there.
const MOMENTS: [&str; 4] = [
    "--since",
    "syscall,nth=500",
    "--stop-at",
    "syscall,nth=1000",
];

/// The places that the program has chosen.
const STAYS: u64 = 0x1000_0000;
const GOES: u64 = 0x2000_0000;
const NARROWS: u64 = 0x3000_0000;
const COMES: u64 = 0x4000_0000;
const BOTH: u64 = 0x5000_0000;

/// The views of the program between the two moments, by name, and what people get to read.
fn views() -> Option<(Value, Vec<Value>)> {
    let folder = programs(Build::Glibc)?;
    let what = ["--inspect", "spaces=1,wx=1,diff=1,working-set=1"];
    let report = guest(
        folder,
        &[&SMALL[..], &MOMENTS, &what].concat(),
        &["./moments"],
    );
    assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
    let views = report["views"].as_array().unwrap().clone();
    for view in &views {
        let text = view["text"].as_str().unwrap();
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
    Some((report, views))
}

/// What a view says as data.
fn data<'v>(views: &'v [Value], name: &str) -> &'v Value {
    let view = views.iter().find(|view| view["name"] == name);
    &view.unwrap_or_else(|| panic!("no {name} in {views:?}"))["data"]
}

/// The area that starts at an address.
fn area(areas: &Value, start: u64) -> Option<&Value> {
    let areas = areas.as_array().unwrap();
    areas.iter().find(|area| area["start"] == start)
}

#[test]
fn both_views_stand_side_by_side() {
    let Some((_, views)) = views() else { return };
    let process = &data(&views, "spaces")["processes"][0];
    assert_eq!(process["comm"], "moments");
    assert_eq!(process["outside"], json!([]));
    let comes = area(&process["areas"], COMES).unwrap();
    assert_eq!(comes["end"], COMES + 8 * 4096);
    let mapped = comes["mapped"].as_array().unwrap();
    let pages: u64 = mapped
        .iter()
        .map(|row| row["pages"].as_u64().unwrap())
        .sum();
    assert_eq!(pages, 3);
    assert!(
        mapped
            .iter()
            .all(|row| row["rights"] == "rw-" && row["dirty"] == true)
    );
    assert_eq!(area(&process["areas"], GOES), None);
}

#[test]
fn what_is_writable_and_executable_is_named() {
    let Some((_, views)) = views() else { return };
    let wx = data(&views, "wx");
    let process = &wx["processes"][0];
    assert_eq!(process["areas"].as_array().unwrap().len(), 1);
    assert_eq!(process["areas"][0]["start"], BOTH);
    assert_eq!(process["both"][0]["start"], BOTH);
    assert_eq!(process["both"][0]["pages"], 1);
    assert_eq!(wx["aliases"], json!([]));
}

#[test]
fn the_difference_is_what_the_program_did() {
    let Some((report, views)) = views() else {
        return;
    };
    let diff = data(&views, "diff");
    assert_eq!(diff["event"], report["stopped_at"]);
    assert!(diff["since"].as_u64() < diff["event"].as_u64());
    let process = &diff["processes"][0];
    assert_eq!(process["is_new"], false);
    let rights = |areas: &str, at| area(&process[areas], at).map(|area| area["rights"].clone());
    assert_eq!(rights("areas_gone", GOES), Some(json!("rw-")));
    assert_eq!(rights("areas_gone", NARROWS), Some(json!("rw-")));
    assert_eq!(rights("areas_come", NARROWS), Some(json!("r--")));
    assert_eq!(rights("areas_come", COMES), Some(json!("rw-")));
    assert_eq!(
        rights("areas_come", STAYS).or(rights("areas_gone", STAYS)),
        None
    );
    let change = |start: u64| {
        let changes = process["pages"].as_array().unwrap();
        let change = changes.iter().find(|change| change["start"] == start)?;
        Some((change["kind"].clone(), change["pages"].clone()))
    };
    assert_eq!(change(GOES), Some((json!("unmapped"), json!(4))));
    assert_eq!(change(NARROWS), Some((json!("protected"), json!(4))));
    assert_eq!(change(COMES), Some((json!("mapped"), json!(3))));
    assert_eq!(change(STAYS), None);
}

#[test]
fn the_working_set_is_what_the_program_used() {
    let Some((_, views)) = views() else { return };
    let process = &data(&views, "working-set")["processes"][0];
    let used = |start| {
        let area = area(&process["areas"], start).unwrap();
        ["resident", "accessed", "unknown", "written"].map(|count| area[count].as_u64().unwrap())
    };
    assert_eq!(used(STAYS), [4, 0, 4, 2]);
    assert_eq!(used(NARROWS), [4, 0, 4, 0]);
    assert_eq!(used(COMES), [3, 3, 0, 3]);
}

#[test]
fn looking_at_two_moments_does_not_change_the_run() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let stop = ["--stop-at", "syscall,nth=1500"];
    let plain = guest(folder, &[&SMALL[..], &stop].concat(), &["./moments"]);
    let Some((looked, _)) = views() else { return };
    assert_eq!(plain["stopped_at"], looked["stopped_at"]);
    assert_eq!(plain["trace_hash"], looked["trace_hash"]);
}

#[test]
fn one_moment_is_not_enough() {
    let ran = pagelab(&["run", "--inspect", "diff"]);
    assert_eq!(ran.status, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--since"), "{ran:?}");
    let ran = pagelab(&["run", "--since", "5000", "--inspect", "spaces"]);
    assert_eq!(ran.status, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("working-set"), "{ran:?}");
}
