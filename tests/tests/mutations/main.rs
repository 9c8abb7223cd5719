//! A campaign on a kernel with a planted bug finds the bug, by what is said of it here; the failure is
//! minimised to a command of one line that fails again; and the same failures are survived without the bug.
//! The bugs are in `pagelab_mm::mutation`.
//!
//! In the emulated machine of `scripts/nested-kvm`, where a run takes a hundred times as long, only some of
//! the bugs are hunted; with `PAGELAB_ALL_MUTATIONS=1` all are.

mod bugs;

use bugs::Bug;
use pagelab_tests::{Ran, binary, is_emulated, kvm, pagelab};
use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};
use tempfile::TempDir;

/// Where the compiled programs are; none if they cannot be run here, which is said.
fn programs() -> Option<&'static str> {
    let musl = option_env!("PAGELAB_TEST_PROGRAMS_MUSL");
    let folder = musl.or(option_env!("PAGELAB_TEST_PROGRAMS"));
    if folder.is_none() {
        let required = env::var_os("PAGELAB_REQUIRE_PROGRAMS");
        assert!(
            required.is_none_or(|value| value != "1"),
            "there was no C compiler"
        );
        println!("SKIPPED: there was no C compiler when the tests were built");
    }
    folder.filter(|_| kvm())
}

/// The kernel that has the bugs, as a file.
fn kernel() -> &'static Path {
    static KERNEL: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = KERNEL.get_or_init(|| {
        let folder = TempDir::new().expect("a folder can be made");
        let path = folder.path().join("mutant");
        fs::write(&path, pagelab::machine::embedded::mutant()).expect("it can be written");
        (folder, path)
    });
    path
}

/// A folder with the program as `undo` and the kernel as `mutant`.
fn folder(programs: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder can be made");
    let link = |from: &Path, name: &str| {
        std::os::unix::fs::symlink(from, folder.path().join(name)).expect("it can be linked");
    };
    link(&Path::new(programs).join("undo"), "undo");
    link(kernel(), "mutant");
    folder
}

/// Runs `pagelab campaign` with the bug's experiment. Returns the records, and their file.
fn campaign(folder: &Path, bug: &Bug) -> (Vec<Value>, PathBuf) {
    let file = folder.join("experiment.toml");
    fs::write(&file, bug.experiment()).expect("it can be written");
    let output = folder.join("all.jsonl");
    let ran = pagelab(&[
        "campaign",
        file.to_str().unwrap(),
        "-o",
        output.to_str().unwrap(),
    ]);
    assert_eq!(ran.status, Some(1), "{}: {ran:#?}", bug.name);
    let text = fs::read_to_string(&output).expect("it can be read");
    let line = |line| serde_json::from_str::<Value>(line).expect("a line is JSON");
    let records = text.lines().map(line).skip(1);
    let records = records.map(|line| line["record"].clone()).collect();
    (records, output)
}

/// Runs a command that a record or `pagelab minimize` names.
fn run(folder: &Path, command: &str) -> Ran {
    let words = shlex::split(command).expect("it is a shell's command");
    assert_eq!(&words[..2], ["pagelab", "run"], "{command}");
    let output = Command::new(binary())
        .args(&words[1..])
        .current_dir(folder)
        .output()
        .expect("the binary under test can be started");
    let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
    Ran {
        status: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Finds the bug with a campaign, minimises the failure, and sees that there is none without the bug.
fn hunt(bug: &Bug) {
    let Some(programs) = programs() else {
        return;
    };
    if is_emulated()
        && !bug.is_sample
        && env::var_os("PAGELAB_ALL_MUTATIONS").is_none_or(|value| value != "1")
    {
        println!("left out in the emulated machine: PAGELAB_ALL_MUTATIONS=1 demands it");
        return;
    }
    let folder = folder(programs);
    let (records, output) = campaign(folder.path(), bug);
    let found = records.iter().find(|record| bug.shows_in(record));
    let Some(record) = found else {
        panic!("{} is not found by {records:#?}", bug.name);
    };
    let id = record["id"].to_string();
    let minimized = pagelab(&["minimize", output.to_str().unwrap(), &id]);
    assert_eq!(minimized.status, Some(0), "{minimized:#?}");
    let command = minimized.stdout.trim_end();
    println!("{} | {} | {} | {command}", bug.name, bug.class, bug.what);
    assert_eq!(command.lines().count(), 1, "{command}");

    let planted = format!("mutation={}", bug.name);
    assert!(command.contains(&planted), "{command}");
    let again = run(folder.path(), command);
    let said = format!("{}{}", again.stdout, again.stderr);
    assert_ne!(again.status, Some(0), "{command}: {said}");
    assert!(said.contains(bug.what), "{command}: {said}");

    let whole = record["command"]
        .as_str()
        .unwrap()
        .replace(&planted, "quiet");
    let without = run(
        folder.path(),
        &whole.replacen("run", "run --format json", 1),
    );
    assert_eq!(without.json()["verdict"], "held", "{whole}: {without:#?}");
}

#[test]
fn the_product_refuses_to_plant_bugs() {
    if !kvm() {
        return;
    }
    let ran = pagelab(&[
        "run",
        "--memory",
        "16M",
        "--workload",
        "none",
        "--append",
        "mutation=cow-reuse",
    ]);
    assert_eq!(ran.status, Some(7), "{ran:?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("mutation=cow-reuse"), "{said}");
}
