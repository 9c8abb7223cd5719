//! The command itself with hostile kernels: exit status, report, and nothing else.

use crate::asm::Asm;
use pagelab::machine::testing::{has_kvm, pvh_elf};
use pagelab_abi::platform::Doorbell;
use pagelab_tests::pagelab;
use std::fs;

/// Exit status of a guest that gave no sign of life.
const HUNG: i32 = 6;

/// Runs `pagelab run` on this code, and checks that it ends with this status and a report.
fn run(name: &str, code: &[u8], status: i32) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("kernel.elf");
    fs::write(&path, pvh_elf(code)).expect("the kernel can be written");
    let path = path.to_str().expect("a path in UTF-8");
    // Only an endless guest meets its limits: on a slow machine another one must not.
    let limit = if status == HUNG { "1" } else { "600" };
    let ran = pagelab(&[
        "run",
        "--memory",
        "16M",
        "--kernel",
        path,
        "--watchdog",
        limit,
        "--format",
        "json",
    ]);
    assert_eq!(ran.status, Some(status), "{name}: {ran:#?}");
    assert!(!ran.stderr.contains("panicked"), "{name}: {ran:#?}");
    let report = ran.json();
    let reasons = report["reasons"].as_array().expect("reasons");
    assert!(!reasons.is_empty(), "{name}: {report:#}");
}

#[test]
fn hostile_kernels_end_with_their_exit_status() {
    if !has_kvm() {
        return;
    }
    let bell = {
        let mut asm = Asm::default();
        asm.ring(Doorbell::Ready);
        asm.jump_back(0);
        asm.code
    };
    let mut claims = Asm::default();
    claims.exit(0);
    let mut exits = Asm::default();
    exits.exit(0xdead);
    let mut panics = Asm::default();
    panics.exit(2);
    let mut jumps = Asm::default();
    jumps.eax(0xd800_0000);
    jumps.raw(&[0xff, 0xe0]);
    for (name, code, status) in [
        ("endless loop", &[0xeb, 0xfe][..], HUNG),
        ("halt with interrupts off", &[0xfa, 0xf4], HUNG),
        ("triple fault", &[0x0f, 0x0b], 4),
        ("a jump into the hole", &jumps.code, 5),
        ("success without a single audit", &claims.code, 1),
        ("an exit code of no meaning", &exits.code, 1),
        ("a panic without a record", &panics.code, 3),
        ("a doorbell without a root page", &bell, 1),
    ] {
        run(name, code, status);
    }
}
