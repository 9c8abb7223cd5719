//! The machine with pagelab's own guest.

use pagelab_abi::platform::{Doorbell, KERNEL_BASE};
use vm_memory::{Bytes, GuestAddress};

use super::crash::{CrashKind, CrashReport};
use super::testing::has_kvm;
use super::{Kernel, Machine, MachineConfig, Stop};

/// The guest at the end of its boot.
fn booted() -> Machine {
    let config = MachineConfig {
        memory: 64 << 20,
        cmdline: "workload=none".into(),
        ..MachineConfig::new(Kernel::Embedded)
    };
    let mut machine = Machine::new(config).unwrap();
    match machine.run().unwrap() {
        Stop::Doorbell(Doorbell::Ready) => machine,
        Stop::Crash(report) => panic!("{report}"),
        other => panic!("{other:?}"),
    }
}

fn names(report: &CrashReport) -> String {
    let names = report.backtrace.iter().map(|frame| frame.function.clone());
    names.flatten().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_guest_names_its_root_and_prints_a_line() {
    if !has_kvm() {
        return;
    }
    let machine = booted();
    let root = machine.root().unwrap();
    assert_eq!(root.kernel.cr3, machine.control_registers().unwrap().cr3);
    assert!(machine.first_line().is_some());
}

#[test]
fn a_guest_that_panics_leaves_a_report_with_names() {
    if !has_kvm() {
        return;
    }
    let mut machine = booted();
    // 0x06 is an invalid opcode of one byte in 64-bit mode. It is next: behind the `out` (0xef), or
    // where the CPU stands, if that has retired.
    let mut rip = machine.registers().unwrap().rip - KERNEL_BASE;
    let mut next = [0];
    machine
        .memory()
        .read_slice(&mut next, GuestAddress(rip))
        .unwrap();
    if next != [0xef] {
        rip -= 1;
    }
    let code = GuestAddress(rip + 1);
    machine.memory().write_slice(&[0x06; 16], code).unwrap();
    let report = match machine.run().unwrap() {
        Stop::Crash(report) => report,
        other => panic!("{other:?}"),
    };
    assert_eq!(report.cause, CrashKind::Panic, "{report}");
    let panic = report.panic.as_ref().expect("the guest leaves a record");
    assert_eq!(panic.vector, Some(6), "{report}");
    assert!(
        (rip + 1..rip + 3).contains(&(panic.rip - KERNEL_BASE)),
        "{report}"
    );
    assert_eq!(
        report.instruction.as_ref().unwrap().text,
        "(bad)",
        "{report}"
    );
    assert!(names(&report).contains("on_own_stack"), "{report}");
    assert!(report.backtrace.iter().any(|frame| {
        let location = frame.location.as_deref();
        location.is_some_and(|file| file.starts_with("guest/src/"))
    }));
    assert!(!report.console.is_empty());
}
