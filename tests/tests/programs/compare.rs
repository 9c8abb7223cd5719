//! Running a program twice and comparing what came of it.

use pagelab_tests::{binary, kvm};
use serde_json::Value;
use std::{
    env,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Command, Output, Stdio},
};

/// Variables of the guest's default environment, for Linux to give them as well.
const ENVIRONMENT: [(&str, &str); 3] = [("HOME", "/"), ("PATH", "/bin:/usr/bin"), ("TERM", "dumb")];

/// A machine that is quickly audited, with all three zones.
pub(crate) const SMALL: [&str; 4] = ["--memory", "128M", "--zone-limits", "16M,64M"];

/// What came of a program.
#[derive(Debug, PartialEq, Eq)]
struct Result {
    status: Option<i64>,
    signal: Option<i64>,
    stdout: String,
    stderr: String,
}

/// Where the compiled programs are; none if they cannot be run here, which is said.
pub(crate) fn programs() -> Option<&'static Path> {
    let Some(folder) = option_env!("PAGELAB_TEST_PROGRAMS") else {
        assert!(
            env::var_os("PAGELAB_REQUIRE_KVM").is_none_or(|value| value != "1"),
            "there was no C compiler, and PAGELAB_REQUIRE_KVM=1 demands every test"
        );
        println!("SKIPPED: there was no C compiler when the tests were built");
        return None;
    };
    kvm().then_some(Path::new(folder))
}

/// Runs a program natively and in the guest, and compares outputs and end.
pub(crate) fn alike(command: &[&str]) {
    let Some(folder) = programs() else { return };
    let native = native(folder, command);
    let report = guest(folder, &SMALL, command);
    let text = |key: &str| {
        report["program"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let ran = Result {
        status: report["program"]["status"].as_i64(),
        signal: report["program"]["signal"].as_i64(),
        stdout: text("stdout"),
        stderr: text("stderr"),
    };
    let failed = |audit: &&Value| audit["outcome"] != "held";
    let audits: Vec<_> = report["audits"]
        .as_array()
        .unwrap()
        .iter()
        .filter(failed)
        .collect();
    assert_eq!(
        report["verdict"], "held",
        "{command:?}: {} {audits:#?} {}",
        report["reasons"], report["crash"]
    );
    assert_same(command, &native.stdout, &ran.stdout);
    assert_same(command, &native.stderr, &ran.stderr);
    assert_eq!(native, ran, "{command:?}");
}

/// Names the first line that differs.
fn assert_same(command: &[&str], native: &str, guest: &str) {
    let mut guests = guest.lines();
    for (number, line) in (1..).zip(native.lines()) {
        assert_eq!(
            Some(line),
            guests.next(),
            "{command:?}, line {number}, Linux left, guest right:\n{guest}"
        );
    }
}

fn native(folder: &Path, command: &[&str]) -> Result {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(folder.join(command[0]))
        .arg0(command[0])
        .args(&command[1..])
        .current_dir(folder)
        .env_clear()
        .envs(ENVIRONMENT)
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started");
    Result {
        status: status.code().map(i64::from),
        signal: status.signal().map(i64::from),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// The report of a program in the guest.
pub(crate) fn guest(folder: &Path, flags: &[&str], command: &[&str]) -> Value {
    let output = Command::new(binary())
        .args(["run", "--format", "json"])
        .args(flags)
        .arg("--")
        .args(command)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .output()
        .expect("the binary under test can be started");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{command:?}: no report ({error}): {output:?}"))
}
