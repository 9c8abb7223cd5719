//! Programs that say how they will use files, and what the disk has to do for them.

use super::{Build, SMALL, alike_in, guest, programs};
use std::fs;
use tempfile::TempDir;

/// Pages of the program's file.
const PAGES: u64 = 160;

/// A directory with the file that the program reads.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("of-a-test"), "").unwrap();
    let content: Vec<u8> = (0..PAGES)
        .flat_map(|page| [(page * 5 + 1) as u8; 4096])
        .collect();
    fs::write(directory.path().join("file"), content).unwrap();
    directory
}

#[test]
fn advice_changes_no_file_and_has_linux_s_errors() {
    for &build in crate::compare::libraries(&["./advice"]) {
        if let Some(folder) = programs(build) {
            let empty = tempfile::tempdir().unwrap();
            fs::write(empty.path().join("of-a-test"), "").unwrap();
            let disk = ["--disk", empty.path().to_str().unwrap()];
            alike_in(folder, &disk, &["./advice"]);
        }
    }
}

/// Requests to read that the disk gets, bytes that it reads, and major faults, when the program follows
/// this advice.
fn requests(advice: &str, options: &[&str]) -> Option<(u64, u64, u64)> {
    let folder = programs(Build::Glibc)?;
    let directory = directory();
    let disk = ["--disk", directory.path().to_str().unwrap()];
    let flags = [&SMALL[..], &disk, options].concat();
    let report = guest(folder, &flags, &["./advice", advice]);
    assert_eq!(report["verdict"], "held", "{advice}: {report:#}");
    let stdout = report["program"]["stdout"].as_str().unwrap();
    let rounds = stdout.matches("right: 160\n").count();
    assert_eq!(rounds, 1 + usize::from(advice == "dontneed"), "{stdout}");
    let faults = stdout.lines().last().unwrap();
    let faults = faults.strip_prefix("major faults: ").unwrap();
    let device = |key: &str| report["disk"]["device"][key].as_u64().unwrap();
    Some((
        device("reads") + device("read_errors"),
        device("bytes_read"),
        faults.parse().unwrap(),
    ))
}

#[test]
fn a_disk_is_asked_as_often_as_the_advice_lets_expect() {
    let Some((random, bytes, _)) = requests("random", &[]) else {
        return;
    };
    // What is besides the file: the file system's own blocks.
    assert!((PAGES..PAGES + 20).contains(&random), "{random}");
    let own = random - PAGES;
    let of_file = |advice: &str| {
        let (reads, all, faults) = requests(advice, &[]).unwrap();
        assert!(
            all <= bytes * if advice == "dontneed" { 3 } else { 1 },
            "{advice}"
        );
        (reads - own, faults)
    };
    // Windows of 4, 8, 16 and then 32 pages, or twice as many.
    let (normal, _) = of_file("normal");
    assert!((5..=12).contains(&normal), "{normal}");
    let (sequential, _) = of_file("sequential");
    assert!((5..=12).contains(&sequential), "{sequential}");
    assert_eq!(of_file("noreuse").0, normal);
    assert_eq!(
        of_file("jumping").0.min(PAGES / 2),
        PAGES / 2,
        "here and there"
    );
    let (willneed, _) = of_file("willneed");
    assert!((5..=8).contains(&willneed), "{willneed}");
    let (twice, _) = of_file("dontneed");
    assert!(twice > normal, "{twice}: all was dropped and read again");
    let (map_random, faults) = of_file("map-random");
    assert_eq!((map_random, faults), (PAGES, PAGES));
    for advice in ["map-normal", "map-sequential", "map-willneed"] {
        let (reads, faults) = of_file(advice);
        assert!((5..=12).contains(&reads), "{advice}: {reads}");
        assert!(faults < 8, "{advice}: {faults} major faults");
    }
}

#[test]
fn what_fails_ahead_of_a_program_does_not_reach_it() {
    // The requests of the kernel for itself come first; the others fail one by one.
    let mut absorbed = 0;
    for nth in 8..16 {
        let fault = format!("file_io,rw=read,nth={nth}");
        let Some(folder) = programs(Build::Glibc) else {
            return;
        };
        let directory = directory();
        let disk = [
            "--disk",
            directory.path().to_str().unwrap(),
            "--fault",
            &fault,
        ];
        let flags = [&SMALL[..], &disk].concat();
        let report = guest(folder, &flags, &["./advice", "normal"]);
        assert_eq!(report["verdict"], "held", "{fault}: {report:#}");
        let stdout = report["program"]["stdout"].as_str().unwrap();
        let injected = report["disk"]["device"]["injected_reads"].as_u64().unwrap();
        if injected == 1 && stdout.contains("right: 160\n") {
            absorbed += 1;
        }
        let repeated = guest(folder, &flags, &["./advice", "normal"]);
        assert_eq!(repeated["trace_hash"], report["trace_hash"], "{fault}");
    }
    assert!(absorbed >= 3, "{absorbed}");
}
