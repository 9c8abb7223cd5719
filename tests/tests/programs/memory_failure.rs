//! Machine checks: the memory of a page breaks while a program runs. Linux itself cannot be asked without the
//! right to break pages (madvise `MADV_HWPOISON`), so what is expected is what Linux's documentation says.

use super::{Build, SMALL, guest, programs};
use serde_json::Value;
use std::path::Path;

const PROGRAM: [&str; 1] = ["./memory_failure"];

/// What it says where nothing breaks.
pub(super) const WHOLE: &str = "\
anonymous, whole: 1
anonymous: 2
file, clean: 97
file, dirty: 120
file, dirty, whole: 121
shared, whole: 7
shared: 7
pipe: 0
write of it: 1
in a child: 2
first fsync: 0
second fsync: 0
pread: 1
given up: 0
written again: 9
stored: 8
";

/// What it says when one page of each kind has broken.
const BROKEN: &str = "\
anonymous, whole: 1
anonymous: SIGBUS code 4, its address, lsb 12
file, clean: 97
file, dirty: SIGBUS code 4, its address, lsb 12
file, dirty, whole: 121
shared, whole: 7
shared: SIGBUS code 4, its address, lsb 12
pipe: 0
write of it: errno 14
in a child: SIGBUS code 4, its address, lsb 12
first fsync: errno 5
second fsync: 0
pread: 1
given up: 0
written again: 9
stored: 8
";

/// The program on a disk that has a file of its own each time.
pub(super) fn run(folder: &Path, flags: &[&str]) -> Value {
    let disk = tempfile::tempdir().unwrap();
    std::fs::write(disk.path().join("content"), vec![b'a'; 4 * 4096]).unwrap();
    let disk = ["--disk", disk.path().to_str().unwrap()];
    guest(folder, &[&SMALL[..], &disk, flags].concat(), &PROGRAM)
}

pub(super) fn stdout(report: &Value) -> &str {
    report["program"]["stdout"].as_str().unwrap()
}

/// An event at which the program waits.
pub(super) fn waiting(folder: &Path) -> u64 {
    let whole = run(folder, &[]);
    assert_eq!(stdout(&whole), WHOLE);
    let calls = whole["events_by_kind"].as_array().unwrap().iter();
    let calls = calls.filter(|entry| entry["kind"] == "syscall");
    let calls: u64 = calls.map(|entry| entry["count"].as_u64().unwrap()).sum();
    // The loop of 400 comes before the last few.
    let stop = format!("syscall,nth={}", calls - 200);
    let report = run(folder, &["--stop-at", &stop]);
    report["stopped_at"].as_u64().unwrap()
}

#[test]
fn each_kind_of_page_breaks_as_on_linux() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let event = waiting(folder);
    let faults = [
        "pid=1,gva=0x30001000",
        "pid=1,gva=0x40000000",
        "pid=1,gva=0x40001000",
        "pid=1,gva=0x50001000",
        "nth=9,of=free",
    ];
    let faults = (0..)
        .zip(faults)
        .map(|(later, which)| format!("machine_check,{which},at={}", event + later));
    let flags: Vec<String> = faults
        .flat_map(|fault| ["--fault".to_owned(), fault])
        .collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let report = run(folder, &flags);
    assert_eq!(stdout(&report), BROKEN);
    assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
    let acts = report["faults"]["host_acts"].as_array().unwrap().iter();
    let outcomes: Vec<&str> = acts.map(|act| act["outcome"].as_str().unwrap()).collect();
    assert_eq!(
        outcomes,
        [
            "dirty LRU page: Recovered, lost to 1 page-table entry",
            "clean LRU page: Recovered",
            "dirty page-cache page: Recovered, lost to 1 page-table entry",
            "dirty page without a store: Recovered, lost to 1 page-table entry",
            "free buddy page: Recovered",
        ]
    );
    // And again, to the byte.
    assert_eq!(run(folder, &flags)["trace_hash"], report["trace_hash"]);
}

#[test]
fn what_is_the_kernels_own_ends_it_with_a_name() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let event = waiting(folder);
    for (class, words) in [
        ("slab", "unrecoverable: kernel slab page"),
        ("kernel", "unrecoverable: kernel page"),
    ] {
        let fault = format!("machine_check,nth=1,of={class},at={event}");
        let report = run(folder, &["--fault", &fault]);
        assert_eq!(report["verdict"], "panicked", "{report}");
        assert!(report.to_string().contains(words), "{report}");
    }
    let nowhere = format!("machine_check,pid=1,gva=0x1000,at={event}");
    let report = run(folder, &["--fault", &nowhere]);
    assert_eq!(report["faults"]["host_acts"][0]["done"], false);
    assert_eq!(stdout(&report), WHOLE);
}
