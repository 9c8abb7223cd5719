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

/// How a program was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// Static, with the C compiler's own library.
    Glibc,
    /// The same, to run at any address.
    Pie,
    /// Static, with musl.
    Musl,
}

/// What came of a program.
#[derive(Debug, PartialEq, Eq)]
struct Result {
    status: Option<i64>,
    signal: Option<i64>,
    stdout: String,
    stderr: String,
}

/// Says that something is not there, and fails where `PAGELAB_REQUIRE_PROGRAMS` is 1: in CI a
/// skipped test is no passed test.
pub(crate) fn skip(what: &str) {
    assert!(
        env::var_os("PAGELAB_REQUIRE_PROGRAMS").is_none_or(|value| value != "1"),
        "{what}, and PAGELAB_REQUIRE_PROGRAMS=1 demands every test"
    );
    println!("SKIPPED: {what}");
}

/// Where the compiled programs are; none if they cannot be run here, which is said.
pub(crate) fn programs(build: Build) -> Option<&'static Path> {
    let (folder, remedy) = match build {
        Build::Glibc => (
            option_env!("PAGELAB_TEST_PROGRAMS"),
            "apt-get install gcc libc6-dev",
        ),
        Build::Pie => (
            option_env!("PAGELAB_TEST_PROGRAMS_PIE"),
            "apt-get install gcc libc6-dev",
        ),
        Build::Musl => (
            option_env!("PAGELAB_TEST_PROGRAMS_MUSL"),
            "apt-get install musl-tools",
        ),
    };
    let Some(folder) = folder else {
        skip(&format!(
            "there was no compiler for {build:?} when the tests were built: {remedy}"
        ));
        return None;
    };
    kvm().then_some(Path::new(folder))
}

/// The C libraries that a program is tried with: both, or one of them where `PAGELAB_LIBRARIES` is `one`, as it
/// is in the emulated machine, which is slow and has nothing to do with libraries. Half of all programs then
/// have the one, half the other.
pub(crate) fn libraries(command: &[&str]) -> &'static [Build] {
    const BOTH: &[Build] = &[Build::Glibc, Build::Musl];
    if env::var_os("PAGELAB_LIBRARIES").is_none_or(|value| value != "one") {
        return BOTH;
    }
    let sum: usize = command
        .iter()
        .flat_map(|part| part.bytes())
        .map(usize::from)
        .sum();
    &BOTH[sum % 2..=sum % 2]
}

/// Runs a program natively and in the guest, and compares outputs and end, as built with each
/// library.
pub(crate) fn alike(command: &[&str]) {
    for build in libraries(command) {
        alike_as(*build, command);
    }
}

/// As [`alike`], unless Linux says a line here that begins with `otherwise`: then this host's Linux, or its CPU, is
/// no reference for it.
pub(crate) fn alike_unless(otherwise: &str, command: &[&str]) {
    for &build in libraries(command) {
        let Some(folder) = programs(build) else {
            continue;
        };
        let stdout = native(folder, command).stdout;
        match stdout.lines().find(|line| line.starts_with(otherwise)) {
            Some(line) => println!("SKIPPED: {command:?} says '{line}' here"),
            None => alike_in(folder, &[], command),
        }
    }
}

/// The same of one build.
pub(crate) fn alike_as(build: Build, command: &[&str]) {
    if let Some(folder) = programs(build) {
        alike_in(folder, &[], command);
    }
}

/// The same of a program in `folder`, with more options for the guest.
pub(crate) fn alike_in(folder: &Path, options: &[&str], command: &[&str]) {
    alike_on(&[&SMALL, options].concat(), folder, command);
}

/// The same on a machine with these options only. Returns the guest's report.
pub(crate) fn alike_on(options: &[&str], folder: &Path, command: &[&str]) -> Value {
    let native = native(folder, command);
    let report = guest(folder, options, command);
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
    assert_same(command, &native.stdout, &ran.stdout);
    assert_same(command, &native.stderr, &ran.stderr);
    assert_eq!(native, ran, "{command:?}");
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
    report
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
