//! A kernel with a planted bug is found out, by an audit, by the guest's own checks or by what the program
//! sees; and the same failures are survived without the bug. The bugs are in `pagelab_mm::mutation`.

use pagelab_tests::{kvm, pagelab};
use serde_json::Value;
use std::{fs, path::PathBuf, sync::OnceLock};

/// How a bug is brought to light.
struct Bug {
    name: &'static str,
    /// What `programs/undo.c` does.
    does: &'static [&'static str],
    /// What goes wrong; `@` is a number from 1 on.
    fault: &'static str,
    /// The last of these numbers at which the bug shows at the latest.
    last: u32,
    /// More of the machine.
    options: &'static [&'static str],
}

const SWAP: &[&str] = &["--swap", "16M"];
const DISK: &[&str] = &["--disk", "4M", "--audit-every", "1"];
const CLOSELY: &[&str] = &["--audit-every", "1"];

const BUGS: [Bug; 11] = [
    bug(
        "fork-undo",
        &["copies"],
        "fail_page_alloc,site=fork,nth=@",
        3,
        &[],
    ),
    bug(
        "cow-reuse",
        &["copies"],
        "fail_page_alloc,site=copy_to_own,nth=@",
        3,
        &[],
    ),
    bug(
        "watermark-off-by-one",
        &["copies"],
        "fail_page_alloc,site=fork,nth=@",
        1,
        &[],
    ),
    bug(
        "refcount-leak",
        &["private-file"],
        "fail_page_alloc,site=copy_of_file_page,nth=@",
        12,
        &[],
    ),
    bug(
        "rss-leak",
        &["private-file"],
        "fail_page_alloc,site=copy_of_file_page,nth=@",
        12,
        CLOSELY,
    ),
    bug(
        "slab-double-free",
        &["rights"],
        "failslab,site=isolate,nth=@",
        4,
        &[],
    ),
    bug(
        "mprotect-undo",
        &["rights"],
        "failslab,site=isolate,nth=@",
        4,
        CLOSELY,
    ),
    bug(
        "exec-undo",
        &["program"],
        "fail_page_alloc,site=execve,nth=@",
        4,
        &[],
    ),
    bug(
        "swap-write-leak",
        &["swap"],
        "swap_io,rw=write,nth=@",
        1,
        SWAP,
    ),
    bug(
        "swap-slot-reuse",
        &["swap"],
        "swap_io,rw=read,probability=100,times=2",
        1,
        SWAP,
    ),
    bug(
        "lost-dirty",
        &["hole"],
        "fail_page_alloc,site=page_mkwrite,nth=@",
        2,
        DISK,
    ),
];

const fn bug(
    name: &'static str,
    does: &'static [&'static str],
    fault: &'static str,
    last: u32,
    options: &'static [&'static str],
) -> Bug {
    Bug {
        name,
        does,
        fault,
        last,
        options,
    }
}

/// Where the compiled programs are; none if they cannot be run here, which is said.
fn programs() -> Option<&'static str> {
    let folder = option_env!("PAGELAB_TEST_PROGRAMS");
    if folder.is_none() {
        let required = std::env::var_os("PAGELAB_REQUIRE_PROGRAMS");
        assert!(
            required.is_none_or(|value| value != "1"),
            "there was no C compiler"
        );
        println!("SKIPPED: there was no C compiler when the tests were built");
    }
    folder.filter(|_| kvm())
}

/// The kernel that has the bugs, as a file.
fn kernel() -> &'static str {
    static KERNEL: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = KERNEL.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mutant");
        fs::write(&path, pagelab::machine::embedded::mutant()).unwrap();
        (folder, path)
    });
    path.to_str().unwrap()
}

/// Runs the program with one of the faults, with the bug or without. Returns the report.
fn run(folder: &str, bug: &Bug, number: u32, is_planted: bool) -> Value {
    let fault = bug.fault.replace('@', &number.to_string());
    let append = match is_planted {
        true => format!("mutation={}", bug.name),
        false => "quiet".to_owned(),
    };
    let mut arguments = vec![
        "run",
        "--memory",
        "16M",
        "--format",
        "json",
        "--kernel",
        kernel(),
        "--append",
        &append,
        "--fault",
        &fault,
    ];
    arguments.extend(bug.options);
    let program = format!("{folder}/undo");
    arguments.extend(["--", &program]);
    arguments.extend(bug.does);
    pagelab(&arguments).json()
}

#[test]
fn each_planted_bug_is_found_and_without_it_all_is_well() {
    let Some(folder) = programs() else {
        return;
    };
    for bug in &BUGS {
        let found = (1..=bug.last).find(|number| {
            let mutant = run(folder, bug, *number, true);
            mutant["verdict"] != "held" && run(folder, bug, *number, false)["verdict"] == "held"
        });
        assert!(
            found.is_some(),
            "{} is not found by {}",
            bug.name,
            bug.fault
        );
    }
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
