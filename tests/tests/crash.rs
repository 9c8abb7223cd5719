//! Guests that come to grief: a report, an exit status of its own, never a panic of the VMM.

use pagelab_tests::{Ran, kvm, pagelab};

fn crashed(workload: &str, more: &[&str]) -> Ran {
    let mut arguments = vec!["run", "--memory", "64M", "--workload", workload];
    arguments.extend(more);
    let ran = pagelab(&arguments);
    assert!(!ran.stderr.contains("panicked at"), "{ran:#?}");
    ran
}

#[test]
fn a_panic_is_symbolised() {
    if !kvm() {
        return;
    }
    let ran = crashed("panic", &[]);
    assert_eq!(ran.status, Some(3), "{ran:#?}");
    assert!(ran.stdout.contains("PANICKED"), "{ran:#?}");
    assert!(
        ran.stdout.contains("guest/src/workload"),
        "no backtrace: {ran:#?}"
    );
}

#[test]
fn a_bad_opcode_names_the_instruction() {
    if !kvm() {
        return;
    }
    let ran = crashed("bad-opcode", &[]);
    assert_eq!(ran.status, Some(3), "{ran:#?}");
    assert!(ran.stdout.contains("ud2"), "{ran:#?}");
}

#[test]
fn a_triple_fault_shows_registers() {
    if !kvm() {
        return;
    }
    let ran = crashed("triple-fault", &[]);
    assert_eq!(ran.status, Some(4), "{ran:#?}");
    assert!(
        ran.stdout.contains("TRIPLE FAULT") && ran.stdout.contains("rip"),
        "{ran:#?}"
    );
}

#[test]
fn an_endless_loop_is_ended() {
    if !kvm() {
        return;
    }
    let ran = crashed("spin", &["--watchdog", "1"]);
    assert_eq!(ran.status, Some(6), "{ran:#?}");
    assert!(ran.stdout.contains("HUNG"), "{ran:#?}");
}

#[test]
fn a_stack_overflow_hits_the_guard_page() {
    if !kvm() {
        return;
    }
    let ran = crashed("stack-overflow", &[]);
    assert_eq!(ran.status, Some(3), "{ran:#?}");
    assert!(ran.stdout.contains("stack overflow"), "{ran:#?}");
}

#[test]
fn a_double_free_is_named() {
    if !kvm() {
        return;
    }
    let ran = crashed("double-free", &[]);
    assert_eq!(ran.status, Some(3), "{ran:#?}");
    assert!(ran.stdout.contains("double free"), "{ran:#?}");
}
