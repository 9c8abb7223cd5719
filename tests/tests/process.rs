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

/// A shell's work: variables, functions, loops, pipes, files, applets and their status.
const SCRIPT: &str = r#"
b=$1
f() { echo "f $#: $*"; return 3; }
f a "b c"; echo "status $?"
for i in 1 2 3; do echo "i $i $((i * i))"; done
i=0; while [ $i -lt 4 ]; do i=$((i + 1)); case $i in 2) continue;; 4) break;; esac; echo "w $i"; done
echo one two three | $b wc -w
printf 'c\na\nb\n' | $b sort | $b tr a-c A-C
cd /tmp || exit 9
$b mkdir -p pagelab-test/x/y && cd pagelab-test || exit 8
echo hello > file; echo world >> file; $b cat file; $b wc -c < file
$b cp file copy; $b cmp file copy && echo same
$b mv copy x/y/moved; $b find . | $b sort
$b rm -r x; $b ls
( exit 7 ); echo "subshell $?"
v=$(echo inner; echo lines); echo "$v"
$b false || echo "false $?"
$b true && echo true
/no/such/program 2>/dev/null; echo "missing $?"
$b sh -c 'kill -9 $$'; echo "killed $?"
trap 'echo trapped' USR1; kill -USR1 $$
$b seq 1 200 | $b tail -n 2
$b head -c 100000 /dev/zero | $b wc -c
echo "here $b" | $b sed 's/here.*/there/'
$b sleep 1 & wait $!; echo "waited $?"
set -- x y z; shift; echo "$# $1"
cd ..; $b rm -r pagelab-test
exit 42
"#;

#[test]
fn busybox_s_shell_runs_a_script() {
    let busybox = Path::new("/usr/bin/busybox");
    if !kvm() {
        return;
    }
    if !busybox.exists() {
        println!(
            "SKIPPED: {} is not there: apt-get install busybox-static",
            busybox.display()
        );
        return;
    }
    let native = Command::new(busybox)
        .args(["sh", "-c", SCRIPT, "sh"])
        .arg(busybox)
        .output()
        .expect("it starts");
    let path = busybox.to_str().expect("the path is UTF-8");
    let ran = pagelab(&[
        "run", "--memory", "64M", "--", path, "sh", "-c", SCRIPT, "sh", "/busybox",
    ]);
    assert_eq!(
        ran.stdout,
        String::from_utf8_lossy(&native.stdout),
        "{}",
        ran.stderr
    );
    assert_eq!(
        (ran.status, native.status.code()),
        (Some(42), Some(42)),
        "{}",
        ran.stderr
    );
}
