//! Linux programs, each run natively and in the guest: the same output and the same end.
//!
//! The programs are those of `programs/`, built by `cc` as static.

use pagelab_tests::{Ran, kvm, pagelab};
use serde_json::Value;
use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A program, built in a directory of its own.
struct Program {
    directory: TempDir,
    name: &'static str,
}

impl Program {
    fn build(name: &'static str, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
        let built = Command::new("cc")
            .args(["-O1", "-Wall", "-o"])
            .arg(directory.path().join(name))
            .args(flags)
            .arg(sources.join(name).with_extension("c"))
            .output()
            .expect("cc is installed; remedy: apt-get install gcc libc6-dev");
        assert!(built.status.success(), "{built:?}");
        Self { directory, name }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(self.name)
    }

    fn in_guest(&self, options: &[&str]) -> Ran {
        let path = self.path();
        let path = path.to_str().expect("the path is UTF-8");
        let mut arguments = vec!["run", "--memory", "64M"];
        arguments.extend(options);
        arguments.extend(["--", path]);
        pagelab(&arguments)
    }

    /// Compares output and end with those on this machine's own Linux.
    fn is_the_same(&self) {
        if !kvm() {
            return;
        }
        let native = Command::new(self.path()).output().expect("it starts");
        let status = native.status;
        let expected = status.code().or(status.signal().map(|signal| 128 + signal));
        let ran = self.in_guest(&[]);
        let stdout = String::from_utf8_lossy(&native.stdout);
        assert_eq!(ran.stdout, stdout, "{}", ran.stderr);
        assert_eq!(ran.status, expected, "{}", ran.stderr);
        assert!(ran.stderr.contains("audits held"), "{}", ran.stderr);
    }
}

#[test]
fn children_are_born_end_and_are_waited_for() {
    Program::build("fork", &["-static"]).is_the_same();
}

#[test]
fn signals_reach_handlers_or_kill() {
    Program::build("signals", &["-static"]).is_the_same();
}

#[test]
fn exec_replaces_a_program() {
    Program::build("exec", &["-static"]).is_the_same();
}

#[test]
fn a_position_independent_program_runs() {
    Program::build("exec", &["-static-pie", "-fPIE"]).is_the_same();
}

#[test]
fn small_calls_answer_as_linux_does() {
    Program::build("misc", &["-static"]).is_the_same();
}

#[test]
fn the_same_program_gives_the_same_trace() {
    if !kvm() {
        return;
    }
    let program = Program::build("fork", &["-static"]);
    let run = || -> Value { program.in_guest(&["--format", "json"]).json() };
    let (first, second) = (run(), run());
    assert_eq!(first["program"]["status"], 17, "{first}");
    assert_eq!(first["trace_hash"], second["trace_hash"]);
    assert_eq!(first["events"], second["events"]);
}
