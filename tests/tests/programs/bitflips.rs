//! Single bits turned over in a running guest: the audits see those that break a structure, the
//! program those in its own pages.

use super::{Build, SMALL, guest, programs};
use serde_json::Value;
use std::path::Path;

/// Places that the program `moments` has chosen: pages that it only reads, and some that it has written.
const NARROWS: u64 = 0x3000_0000;
const COMES: u64 = 0x4000_0000;

/// Runs `moments` with more flags.
fn run(folder: &Path, flags: &[&str]) -> Value {
    guest(folder, &[&SMALL[..], flags].concat(), &["./moments"])
}

/// An event at which the program stays where it is, with all its pages, and the frame of the second
/// page at [`COMES`].
fn place(folder: &Path) -> (u64, u64) {
    let report = run(
        folder,
        &["--stop-at", "syscall,nth=1500", "--inspect", "spaces=1"],
    );
    let areas = &report["views"][0]["data"]["processes"][0]["areas"];
    let mut areas = areas.as_array().unwrap().iter();
    let area = areas.find(|area| area["start"] == COMES).unwrap();
    let pfn = area["mapped"].as_array().unwrap().iter().find_map(|row| {
        let first = row["start"].as_u64().unwrap();
        let index = (COMES + 4096).checked_sub(first)? / 4096;
        (index < row["pages"].as_u64().unwrap()).then(|| row["pfn"].as_u64().unwrap() + index)
    });
    (report["stopped_at"].as_u64().unwrap(), pfn.unwrap())
}

/// Names of the audits that did not hold.
fn violated(report: &Value) -> Vec<&str> {
    let audits = report["audits"].as_array().unwrap().iter();
    let failed = audits.filter(|audit| audit["outcome"] == "violated");
    failed
        .map(|audit| audit["name"].as_str().unwrap())
        .collect()
}

#[test]
fn audits_notice_what_breaks_a_structure() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let (event, pfn) = place(folder);
    // There at once, and still there later.
    let stops = [event.to_string(), (event + 100).to_string()];
    for (place, audit) in [
        (
            format!("struct=page,pfn={pfn},field=refcount,bit=4"),
            "page-references",
        ),
        (
            format!("struct=page,pfn={pfn},field=mapcount,bit=3"),
            "page-references",
        ),
        (
            format!("struct=page,pfn={pfn},field=flags,bit=2"),
            "no-overlap",
        ),
        (
            format!("struct=pte,pid=1,va={NARROWS},bit=1"),
            "user-pages-in-areas",
        ),
        (
            format!("struct=vma,pid=1,va={COMES},field=end,bit=28"),
            "vma-trees",
        ),
        (
            "struct=zone,zone=Normal,field=free_pages,bit=2".to_owned(),
            "zone-free-count",
        ),
    ] {
        let fault = format!("bitflip,{place},event={event}");
        let stop = &stops[usize::from(audit == "page-references")];
        let report = run(folder, &["--fault", &fault, "--stop-at", stop]);
        let flip = &report["faults"]["bitflips"][0];
        assert_eq!(flip["event"], event, "{flip}");
        let byte = |key: &str| flip[key].as_u64().unwrap();
        assert_eq!((byte("before") ^ byte("after")).count_ones(), 1, "{flip}");
        assert_eq!(report["verdict"], "violated", "{fault}");
        let found = violated(&report);
        assert!(found.contains(&audit), "{fault}: {audit} not in {found:?}");
    }
}

#[test]
fn a_program_sees_a_bit_of_its_own_page() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let (event, pfn) = place(folder);
    for place in [
        format!("struct=user,pid=1,va={}", COMES + 4096),
        format!("at={}", pfn * 4096),
    ] {
        let fault = format!("bitflip,{place},bit=1,event={event}");
        let report = run(folder, &["--fault", &fault]);
        assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
        assert_eq!(report["program"]["stdout"], "4 3 7\n", "{fault}");
        assert_eq!(report["config"]["faults"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn what_is_not_there_is_not_changed() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let report = run(
        folder,
        &["--fault", "bitflip,struct=pte,pid=9,va=0x1000,event=500"],
    );
    let flip = &report["faults"]["bitflips"][0];
    assert_eq!(flip["gpa"], Value::Null);
    assert!(
        flip["reason"].as_str().unwrap().contains("process 9"),
        "{flip}"
    );
    assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
    assert_eq!(report["program"]["stdout"], "4 3 5\n");
}
