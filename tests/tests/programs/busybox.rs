//! Somebody else's programs: busybox, its shell and its applets.

use super::{SMALL, alike_in, compare::skip, guest};
use pagelab_tests::kvm;
use std::{fs, path::Path};
use tempfile::TempDir;

/// Where Debian's package busybox-static puts it.
const BUSYBOX: &str = "/usr/bin/busybox";

/// A folder with busybox in it; none if it cannot be run here, which is said.
fn folder() -> Option<TempDir> {
    if !Path::new(BUSYBOX).exists() {
        skip(&format!(
            "there is no {BUSYBOX}: apt-get install busybox-static"
        ));
        return None;
    }
    if !kvm() {
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    fs::copy(BUSYBOX, folder.path().join("busybox")).expect("busybox can be copied");
    Some(folder)
}

/// Runs a script by its text, natively and in the guest.
fn script(text: &str) {
    let Some(folder) = folder() else { return };
    alike_in(folder.path(), &[], &["./busybox", "sh", "-c", text]);
}

#[test]
fn the_shell_runs_a_script() {
    script(include_str!("../../programs/shell.sh"));
}

#[test]
fn ps_top_and_free_find_what_they_look_for() {
    let Some(folder) = folder() else { return };
    let script = "sleep 9 & ./busybox ps; ./busybox top -bn1; ./busybox free; kill $!";
    let report = guest(
        folder.path(),
        &SMALL,
        &["./busybox", "sh", "-c", &script.replace("./", "/")],
    );
    assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
    assert_eq!(report["program"]["stderr"], "", "{report}");
    let stdout = report["program"]["stdout"].as_str().unwrap();
    let has = |words: &[&str]| {
        let mut lines = stdout.lines();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    for words in [
        // ps
        &["PID", "USER", "COMMAND"][..],
        &[" 1 ", "./busybox sh -c sleep 9"],
        &["/busybox ps"],
        // top
        &["Mem:", "used", "free", "cached"],
        &["CPU:", "usr", "sys", "idle"],
        &["Load average:"],
        &["PID", "PPID", "STAT", "COMMAND"],
        &["/busybox top -bn1"],
        // free
        &["total", "used", "free", "shared", "available"],
    ] {
        assert!(has(words), "{words:?} in {stdout}");
    }
    let memory: Vec<u64> = stdout
        .lines()
        .filter_map(|line| line.strip_prefix("Mem:  "))
        .flat_map(|line| line.split_whitespace().filter_map(|word| word.parse().ok()))
        .collect();
    let [total, used, free, ..] = memory[..] else {
        panic!("no line of free in {stdout}")
    };
    assert!(total > 100 << 10 && total < 128 << 10, "{stdout}");
    assert!(used > 0 && free > 0 && used + free <= total, "{stdout}");
}

#[test]
fn a_hundred_lines_of_shell_and_applets() {
    script(include_str!("../../programs/applets.sh"));
}
