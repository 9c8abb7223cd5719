//! Failed allocations, injected by process, by call site, and by a process into itself.

use super::{Build, guest, programs};
use serde_json::Value;
use std::path::Path;

/// The smaller of the builds that are there: a sweep over execve fails in each of its pages.
fn folder() -> Option<&'static Path> {
    let musl = option_env!("PAGELAB_TEST_PROGRAMS_MUSL").map(|_| Build::Musl);
    programs(musl.unwrap_or(Build::Glibc))
}

fn text(report: &Value) -> &str {
    assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
    assert_eq!(report["program"]["status"], 0, "{}", report["program"]);
    report["program"]["stdout"].as_str().unwrap()
}

/// Number and errno of each try of an operation, up to the one that met no failure.
fn tries(text: &str, operation: &str) -> Vec<(usize, i64)> {
    let lines = text.lines().filter_map(|line| {
        let line = line.strip_prefix("until ").unwrap_or(line);
        let (name, rest) = line.split_once(' ')?;
        let (number, errno) = rest.split_once(' ')?;
        (name == operation).then(|| (number.parse().unwrap(), errno.parse().unwrap()))
    });
    let tries: Vec<_> = lines.collect();
    let last = *tries
        .last()
        .unwrap_or_else(|| panic!("no {operation} in {text}"));
    let until = format!("until {operation} {} 0", last.0);
    assert!(text.lines().any(|line| line == until), "{until}: {text}");
    assert!((1..).zip(&tries).all(|(number, tried)| number == tried.0));
    tries
}

/// Runs `fail_nth` with all audits at each system call, or at each so many events.
fn sweep(what: &[&str], every: &str) -> Option<Value> {
    let flags = ["--memory", "32M", "--audit-every", every];
    let command = [&["./fail_nth"], what].concat();
    Some(guest(folder()?, &flags, &command))
}

const ENOMEM: i64 = 12;
const EFAULT: i64 = 14;

#[test]
fn each_failure_of_each_call_is_undone() {
    let Some(report) = sweep(&[], "1") else {
        return;
    };
    let text = text(&report);
    // Failures at least, and what the call may answer: a read into memory that is not there yet fails as
    // if it never would be.
    for (operation, failures, errno) in [
        ("fork", 10, ENOMEM),
        ("mmap", 1, ENOMEM),
        ("mprotect", 2, ENOMEM),
        ("munmap", 1, ENOMEM),
        ("mremap", 0, ENOMEM),
        ("populate", 3, ENOMEM),
        ("brk", 0, ENOMEM),
        ("read", 1, EFAULT),
        ("write", 5, ENOMEM),
        ("open", 5, ENOMEM),
        ("pipe", 3, ENOMEM),
    ] {
        let tries = tries(text, operation);
        let failed = tries.iter().filter(|(_, found)| *found == errno).count();
        assert!(failed >= failures, "{operation}: {tries:?}");
        assert!(
            tries.iter().all(|(_, found)| [0, errno].contains(found)),
            "{operation}: {tries:?}"
        );
    }
    let audits = report["audits"].as_array().unwrap();
    let moments = audits
        .iter()
        .filter(|audit| audit["name"] == "page-references")
        .count();
    assert!(moments > 4 * text.lines().count(), "{moments} moments");
}

#[test]
fn each_failure_of_reading_and_writing_a_disk_is_undone() {
    let Some(folder) = folder() else { return };
    let flags = ["--memory", "32M", "--disk", "4M", "--audit-every", "1"];
    let report = guest(folder, &flags, &["./fail_nth", "disk"]);
    let text = text(&report);
    // Failures that were met, and those that the call had to tell. What fails while pages are read
    // ahead costs nothing: each page is read alone then.
    for (operation, met, told) in [
        ("disk_read", 3, 0),
        ("disk_map", 4, 0),
        ("disk_modify", 1, 1),
        ("disk_write", 1, 1),
        ("disk_open", 5, 5),
    ] {
        let tries = tries(text, operation);
        assert!(tries.len() > met, "{operation}: {tries:?}");
        let failed = tries.iter().filter(|(_, found)| *found == ENOMEM).count();
        assert!(failed >= told, "{operation}: {tries:?}");
        assert!(
            tries.iter().all(|(_, found)| [0, ENOMEM].contains(found)),
            "{operation}: {tries:?}"
        );
    }
    assert_eq!(
        tries(text, "disk_read").iter().map(|it| it.1).sum::<i64>(),
        0
    );
}

#[test]
fn each_failure_of_execve_is_undone() {
    let Some(report) = sweep(&["execve"], "40") else {
        return;
    };
    let tries = tries(text(&report), "execve");
    let failed = tries.iter().filter(|(_, errno)| *errno == ENOMEM).count();
    assert!(failed >= 10, "{tries:?}");
    assert!(
        tries.iter().all(|(_, errno)| [0, ENOMEM].contains(errno)),
        "{tries:?}"
    );
}

/// What `who_fails` writes while this fault is armed.
fn who_fails(fault: &str, arguments: &[&str]) -> Option<String> {
    let flags = ["--memory", "32M", "--fault", fault];
    let command = [&["./who_fails"], arguments].concat();
    let report = guest(folder()?, &flags, &command);
    let injector = &report["faults"]["injectors"][0];
    assert!(injector["injected"].as_u64() > Some(0), "{injector}");
    Some(text(&report).to_owned())
}

#[test]
fn allocations_of_a_process_fail() {
    let only_child = "parent: ok\nchild: Out of memory\nparent: ok\n";
    for (filter, arguments) in [
        ("comm=victim,site=madvise", &[][..]),
        ("task-filter=1,site=madvise", &["tasks"]),
        ("pid=2,site=madvise", &[]),
    ] {
        let fault = format!("fail_page_alloc,probability=100,{filter}");
        let Some(text) = who_fails(&fault, arguments) else {
            return;
        };
        let text = text.replace("Cannot allocate memory", "Out of memory");
        assert_eq!(text, only_child, "{fault}");
    }
}

#[test]
fn allocations_at_a_call_site_fail() {
    let fault = "fail_page_alloc,probability=100,times=1,site=fork";
    let Some(text) = who_fails(fault, &[]) else {
        return;
    };
    let text = text.replace("Cannot allocate memory", "Out of memory");
    assert_eq!(
        text,
        "parent: ok\nfork: Out of memory\nchild: ok\nparent: ok\n"
    );
}

#[test]
fn a_call_site_that_is_not_there_is_named() {
    let ran = pagelab_tests::pagelab(&["run", "--fault", "failslab,nth=1,site=mprotct"]);
    assert_eq!(ran.status, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("site=mprotct"), "{ran:?}");
    assert!(ran.stderr.contains("did you mean mprotect?"), "{ran:?}");
}
