//! The walker's predictions against the only truth there is: the CPU.
//!
//! The host builds page tables, each test address with a chain of entries of its own, and lets a
//! vCPU read, write and fetch through them in ring 0 and ring 3. Whether the access faults, with
//! which error code, and which frame it reaches must be what `PageTables::access` says. The idea is
//! that of kvm-unit-tests' x86/access.c; here the cases are all combinations of the rights at all
//! levels, every malformation at every level, and seeded random entries, under every setting of
//! the control registers that the CPU has.

mod chain;
mod cpu;
mod space;
mod suite;
#[path = "../tcg/mod.rs"]
mod tcg;

use std::{fmt::Write, sync::mpsc, thread, time::Duration};

use chain::Chain;
use cpu::Features;
use pagelab::machine::testing::has_kvm;
use suite::Suite;

/// Fewest cases that the issue asks for.
const MIN_CASES: u64 = 100_000;

/// Longest time for all of it, on the slowest emulated machine; what takes longer hangs.
const TIME_LIMIT: Duration = Duration::from_secs(900);

#[test]
fn the_cpu_does_what_the_walker_says() {
    if !has_kvm() {
        return;
    }
    let _watch = end_if_it_hangs();
    let features = Features::of_host();
    let mut suite = Suite::new(features);
    suite.run("rights at 4 levels", Chain::all_rights(1));
    suite.run("rights at 3 levels", Chain::all_rights(2));
    if features.model.gib_pages {
        suite.run("rights at 2 levels", Chain::all_rights(3));
    }
    suite.run("malformed entries", Chain::malformed(&features));
    suite.run("random entries", Chain::random(&features, 2000));
    let total = suite.total();
    println!("{features:?}\n{}", suite.summary());
    assert_eq!(
        total.wrong,
        0,
        "{} of {} predictions were wrong:\n{}",
        total.wrong,
        total.cases,
        suite.first_wrong()
    );
    assert!(total.cases >= MIN_CASES, "only {} cases", total.cases);
    // A comparison of faults with faults alone would prove little.
    assert!(
        total.reached * 20 > total.cases,
        "only {} accesses succeeded",
        total.reached
    );
    assert!(
        total.faulted * 20 > total.cases,
        "only {} accesses faulted",
        total.faulted
    );
}

#[test]
fn addresses_that_are_not_canonical_raise_gp() {
    if !has_kvm() {
        return;
    }
    let _watch = end_if_it_hangs();
    let mut suite = Suite::new(Features::of_host());
    suite.run_noncanonical();
    let total = suite.total();
    assert_eq!(total.wrong, 0, "{}", suite.first_wrong());
    assert!(total.cases > 0);
}

/// Ends the process with a failure if the returned sender is not dropped in time.
fn end_if_it_hangs() -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        if receiver.recv_timeout(TIME_LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            let mut text = String::new();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "the access test still runs after {TIME_LIMIT:?}");
            eprint!("{text}");
            std::process::exit(1);
        }
    });
    sender
}
