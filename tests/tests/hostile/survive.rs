//! Runs a guest to its end, as `pagelab run` does.

use pagelab::{
    machine::{DiskSource, testing::pvh_elf},
    report::{Human, Paint, Report},
    scenario::{self, RunConfig},
    size::ByteSize,
};
use std::{fs, thread, time::Duration};

/// Bytes of RAM of a hostile guest.
pub(crate) const MEMORY: u64 = 16 << 20;

/// Bytes of its disk.
pub(crate) const DISK: u64 = 1 << 20;

/// Names the case on standard error if its test panics.
pub(crate) struct Case {
    name: &'static str,
    seed: u64,
}

impl Case {
    pub(crate) fn new(name: &'static str, seed: u64) -> Self {
        Self { name, seed }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("in case '{}' with seed {}", self.name, self.seed);
        }
    }
}

/// Runs the scenario with this code as its kernel. The watchdog and the time limit are short: what does not
/// end by itself is ended by them, and on a slow machine so may be what does.
pub(crate) fn survive(case: &Case, code: &[u8]) -> Report {
    let limits = [Duration::from_millis(60), Duration::from_millis(600)];
    run(case, code, limits)
}

/// As [`survive`], for a guest that ends by itself, however slow the machine.
pub(crate) fn ends(case: &Case, code: &[u8]) -> Report {
    run(case, code, [Duration::from_secs(600); 2])
}

fn run(case: &Case, code: &[u8], [watchdog, time_limit]: [Duration; 2]) -> Report {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("kernel.elf");
    fs::write(&path, pvh_elf(code)).expect("the kernel can be written");
    let config = RunConfig {
        memory: ByteSize(MEMORY),
        kernel: Some(path),
        swap: Some(DiskSource::Memory(ByteSize(DISK))),
        watchdog,
        time_limit,
        seed: case.seed,
        ..RunConfig::default()
    };
    let report = scenario::run(&config).unwrap_or_else(|error| panic!("no report: {error}"));
    let text = Human::new(&report, Paint::new(false)).to_string();
    assert!(text.contains("Verdict"), "{text}");
    serde_json::to_string(&report).expect("the report is JSON");
    report
}
