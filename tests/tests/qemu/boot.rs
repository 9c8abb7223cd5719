//! The guest boots, works and ends.

use crate::machine::{Accel, Qemu, Setup, has_qemu};
use pagelab_abi::platform::ExitCode;

/// Runs a guest to its end: exit code and console.
fn run(setup: Setup<'_>) -> (u32, String) {
    let mut qemu = Qemu::start(setup);
    let code = qemu.exit_code();
    (code, qemu.serial())
}

/// The `trace …` of the guest's last line.
fn trace(serial: &str) -> &str {
    let (_, trace) = serial
        .rsplit_once("trace ")
        .unwrap_or_else(|| panic!("no trace: {serial}"));
    trace.trim_end()
}

#[test]
fn workloads_end_with_success() {
    if !has_qemu() {
        return;
    }
    for workload in [
        "none", "buddy", "slab", "kmalloc", "highmem", "storm", "oom", "default",
    ] {
        for memory in ["64M", "1G"] {
            let append = format!("workload={workload}");
            let (code, serial) = run(Setup {
                memory,
                ..Setup::new(&append)
            });
            assert_eq!(
                code,
                ExitCode::Success as u32,
                "{workload}, {memory}: {serial}"
            );
            assert!(
                serial.contains(" 0 mismatches, "),
                "{workload}, {memory}: {serial}"
            );
        }
    }
}

#[test]
fn failing_allocations_are_survived() {
    if !has_qemu() {
        return;
    }
    let append = "fail_page_alloc=1,20,0,-1 failslab=1,10,0,-1";
    let (code, serial) = run(Setup::new(append));
    assert_eq!(code, ExitCode::Success as u32, "{serial}");
    let account = serial.lines().find(|line| line.starts_with("workload: "));
    let account = account.unwrap_or_else(|| panic!("no account: {serial}"));
    let failed = |what: &str| -> u64 {
        let (before, _) = account.split_once(what).expect("the account names it");
        let (_, failed) = before.rsplit_once('+').expect("succeeded+failed");
        failed.parse().expect("a number")
    };
    assert!(
        failed(" pages,") > 0 && failed(" objects,") > 0,
        "{account}"
    );
}

#[test]
fn ends_that_are_no_success_have_their_codes() {
    if !has_qemu() {
        return;
    }
    for (append, code, says) in [
        (
            "workload=panic",
            ExitCode::Panic,
            "kernel panic: asked for by the command line",
        ),
        ("workload=nosuch", ExitCode::Unfit, "no workload nosuch"),
        (
            "zones=nosuch",
            ExitCode::Unfit,
            "zones=nosuch is not classic or x86_64",
        ),
        ("workload=double-free", ExitCode::Panic, "kernel panic: "),
    ] {
        let (found, serial) = run(Setup::new(append));
        assert_eq!(found, code as u32, "{append}: {serial}");
        assert!(serial.contains(says), "{append}: {serial}");
    }
}

#[test]
fn a_run_is_the_same_every_time_and_under_kvm() {
    if !has_qemu() {
        return;
    }
    let setup = Setup::new("workload=default seed=7");
    let (_, first) = run(setup);
    let (_, second) = run(setup);
    assert_eq!(trace(&first), trace(&second));
    let (_, other) = run(Setup::new("workload=default seed=8"));
    assert_ne!(trace(&first), trace(&other), "the seed makes no difference");
    if pagelab_tests::kvm() {
        let (code, kvm) = run(Setup {
            accel: Accel::Kvm,
            ..setup
        });
        assert_eq!(code, ExitCode::Success as u32, "{kvm}");
        assert_eq!(trace(&first), trace(&kvm));
    }
}

#[test]
fn both_zone_models_fit_the_memory() {
    if !has_qemu() {
        return;
    }
    for (append, zones) in [
        (
            "workload=none",
            "DMA 15 MiB, Normal 880 MiB, HighMem 128 MiB",
        ),
        ("workload=none zones=x86_64", "DMA 15 MiB, DMA32 1008 MiB"),
        (
            "workload=none zone_limits=32M,512M",
            "DMA 31 MiB, Normal 480 MiB, HighMem 512 MiB",
        ),
    ] {
        let (code, serial) = run(Setup {
            memory: "1G",
            ..Setup::new(append)
        });
        assert_eq!(code, ExitCode::Success as u32, "{append}: {serial}");
        assert!(serial.contains(zones), "{append}: {serial}");
    }
}
