//! One experiment, two backends: this host's /dev/kvm and AMD-V emulated by QEMU. Everything in
//! the report that is not about the host has to be equal.

use pagelab_tests::{binary, is_emulated, kvm, report};
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const RUN: [&str; 2] = ["--memory", "128M"];

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/nested-kvm")
}

/// Why there is no second backend here, if there is none.
fn missing() -> Option<String> {
    let check = Command::new(script())
        .arg("--check")
        .output()
        .expect("the script can be started");
    (!check.status.success()).then(|| String::from_utf8_lossy(&check.stdout).into_owned())
}

/// What must not depend on the backend: all but the host and the CPU's own features.
fn reproducible(mut report: Value) -> Value {
    report
        .as_object_mut()
        .unwrap()
        .remove("host")
        .expect("a report says where it ran");
    report["page_table"]
        .as_object_mut()
        .unwrap()
        .remove("state")
        .expect("and on which CPU");
    report
}

/// Whether two backends can be compared here; says why if not.
fn can_compare() -> bool {
    if !kvm() {
        return false;
    }
    if is_emulated() {
        println!("this is the emulated machine itself: compared from outside");
        return false;
    }
    if let Some(missing) = missing() {
        let required = env::var_os("PAGELAB_REQUIRE_KVM").is_some_and(|value| value == "1");
        assert!(!required, "scripts/nested-kvm cannot run here:\n{missing}");
        println!("SKIPPED: scripts/nested-kvm cannot run here:\n{missing}");
        return false;
    }
    true
}

/// The report of a run on emulated AMD-V, in `folder`, with these options of the script.
fn there(folder: &Path, options: &[&str], arguments: &[&str]) -> Value {
    let output = Command::new(script().canonicalize().expect("the script is there"))
        .args(["--sealed", "--timeout", "300"])
        .args(options)
        .arg(binary())
        .args(["run", "--format", "json"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the script can be started");
    let there: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("not JSON ({error}): {output:?}"));
    assert_eq!(there["host"]["backend"], "AMD-V");
    there
}

#[test]
fn the_same_run_on_another_backend() {
    if !can_compare() {
        return;
    }
    let here = report(&RUN);
    let there = there(Path::new("."), &[], &RUN);
    assert_eq!(here["trace_hash"], there["trace_hash"]);
    assert_eq!(reproducible(here), reproducible(there));
}

/// Programs with glibc, which asks the CPU what it can before it does anything else.
#[test]
fn the_same_programs_on_another_backend() {
    let Some(folder) = option_env!("PAGELAB_TEST_PROGRAMS").map(Path::new) else {
        println!("SKIPPED: there was no C compiler when the tests were built");
        return;
    };
    if !can_compare() {
        return;
    }
    for program in [
        "./children",
        "./signals",
        "./files",
        "./modify",
        "./counters",
    ] {
        compare(folder, &[program]);
    }
}

/// Somebody else's program, with a shell's variety of faults.
#[test]
fn the_same_shell_on_another_backend() {
    const BUSYBOX: &str = "/usr/bin/busybox";
    if !Path::new(BUSYBOX).exists() {
        let required = env::var_os("PAGELAB_REQUIRE_PROGRAMS").is_some_and(|value| value == "1");
        assert!(
            !required,
            "there is no {BUSYBOX}: apt-get install busybox-static"
        );
        println!("SKIPPED: there is no {BUSYBOX}: apt-get install busybox-static");
        return;
    }
    if !can_compare() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    fs::copy(BUSYBOX, folder.path().join("busybox")).expect("busybox can be copied");
    let script = include_str!("../programs/shell.sh");
    compare(folder.path(), &["./busybox", "sh", "-c", script]);
}

/// Runs a program of `folder` here and there.
fn compare(folder: &Path, command: &[&str]) {
    let arguments = [&RUN[..], &["--"], command].concat();
    let here = Command::new(binary())
        .args(["run", "--format", "json"])
        .args(&arguments)
        .current_dir(folder)
        .output()
        .expect("the binary under test can be started");
    let here: Value = serde_json::from_slice(&here.stdout)
        .unwrap_or_else(|error| panic!("not JSON ({error}): {here:?}"));
    let there = there(folder, &["--copy", command[0]], &arguments);
    assert_eq!(here["trace_hash"], there["trace_hash"], "{command:?}");
    assert_eq!(reproducible(here), reproducible(there), "{command:?}");
}
