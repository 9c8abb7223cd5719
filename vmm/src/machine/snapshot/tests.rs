//! Snapshots of machines with pagelab's own guest: what goes on from one is what would have gone on.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use pagelab_abi::event::NEVER;
use pagelab_abi::platform::{Doorbell, ExitCode};
use vm_memory::{Bytes, GuestAddress};

use super::{Method, Outputs, Snapshot, SnapshotError};
use crate::devices::lock;
use crate::machine::disk::DiskSource;
use crate::machine::testing::has_kvm;
use crate::machine::{Kernel, Machine, MachineConfig, Stop};
use crate::size::ByteSize;

/// What is left of a run that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    hash: u64,
    events: u64,
    console: String,
    inflated: u64,
    swapped: u64,
}

/// A machine at the end of its boot, with a balloon that is asked for a part of it.
pub(super) fn booted(workload: &str) -> Machine {
    let config = MachineConfig {
        memory: 64 << 20,
        cmdline: format!("workload={workload} seed=7"),
        swap: Some(DiskSource::Memory(ByteSize(16 << 20))),
        watchdog: Duration::from_secs(300),
        ..MachineConfig::new(Kernel::Embedded)
    };
    let mut machine = Machine::new(config).unwrap();
    loop {
        match machine.run().unwrap() {
            Stop::Doorbell(Doorbell::Ready) => break,
            Stop::Doorbell(_) => {}
            other => panic!("{other:?}"),
        }
    }
    machine.balloon().unwrap().set_target(8 << 20);
    machine
}

/// Runs to this event; false if the guest ended before.
pub(super) fn run_to(machine: &mut Machine, event: u64) -> bool {
    machine.root_page().unwrap().arm_stop(event, None).unwrap();
    loop {
        match machine.run().unwrap() {
            Stop::Doorbell(Doorbell::Stop) => return true,
            Stop::Doorbell(_) => {}
            Stop::Exit(ExitCode::Success) => return false,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn run_to_end(machine: &mut Machine) -> End {
    assert!(!run_to(machine, NEVER));
    let root = machine.root().unwrap();
    End {
        hash: root.clock.hash.load(Relaxed),
        events: root.clock.count.load(Relaxed),
        console: lock(&machine.console()).text(),
        inflated: machine.balloon().unwrap().counters().inflated_pages,
        swapped: machine.swap().unwrap().counters().bytes_written,
    }
}

/// Runs to `event`, takes a snapshot there, and holds all that goes on from it to what went on at first.
fn goes_on_alike(workload: &str, events: &[u64]) -> End {
    let mut machine = booted(workload);
    let ready = machine.root().unwrap().clock.count.load(Relaxed);
    let expected = {
        let snapshot = machine.snapshot().unwrap();
        let end = run_to_end(&mut machine);
        machine.restore(&snapshot).unwrap();
        end
    };
    assert!(expected.inflated > 0, "{expected:?}");
    let mut snapshots: Vec<Snapshot> = Vec::new();
    for event in events {
        assert!(run_to(&mut machine, ready + event), "{expected:?}");
        snapshots.push(machine.snapshot().unwrap());
    }
    assert_eq!(run_to_end(&mut machine), expected);
    // Back to each, in an order that is not theirs, and twice, so that a log is there to go by.
    for snapshot in snapshots.iter().rev().chain(&snapshots) {
        for _ in 0..2 {
            machine.restore(snapshot).unwrap();
            assert_eq!(run_to_end(&mut machine), expected);
        }
    }
    expected
}

#[test]
fn a_run_goes_on_from_each_snapshot_as_it_did() {
    if !has_kvm() {
        return;
    }
    let end = goes_on_alike("buddy", &[1, 300]);
    assert!(end.events > 1000, "{end:?}");
}

#[test]
fn a_swap_device_goes_back_too() {
    if !has_kvm() {
        return;
    }
    let end = goes_on_alike("swap", &[900]);
    assert!(end.swapped > 0, "{end:?}");
}

#[test]
fn forks_on_threads_go_on_alike_and_apart() {
    if !has_kvm() {
        return;
    }
    let mut machine = booted("slab");
    let snapshot = machine.snapshot().unwrap();
    let expected = run_to_end(&mut machine);
    let fork = |snapshot: Snapshot| {
        let mut machine = snapshot.fork(Outputs::default()).unwrap();
        let first = run_to_end(&mut machine);
        let restored = machine.restore(&snapshot).unwrap();
        let second = run_to_end(&mut machine);
        assert!(restored.pages > 0, "{restored:?}");
        (first, second)
    };
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let snapshot = snapshot.clone();
            std::thread::spawn(move || fork(snapshot))
        })
        .collect();
    for thread in threads {
        let (first, second) = thread.join().unwrap();
        assert_eq!((&first, &second), (&expected, &expected));
    }
    // And the machine that all this came from.
    machine.restore(&snapshot).unwrap();
    assert_eq!(run_to_end(&mut machine), expected);
}

#[test]
fn what_this_process_stores_is_taken_back() {
    if !has_kvm() {
        return;
    }
    let mut machine = booted("none");
    let free = GuestAddress((64 << 20) - 4096);
    machine.memory().write_obj(1_u64, free).unwrap();
    let snapshot = machine.snapshot().unwrap();
    let mut fork = snapshot.fork(Outputs::default()).unwrap();
    let second = {
        machine.memory().write_obj(2_u64, free).unwrap();
        machine.snapshot().unwrap()
    };
    for machine in [&mut machine, &mut fork] {
        for (snapshot, value) in [(&snapshot, 1), (&second, 2), (&second, 2), (&snapshot, 1)] {
            machine.memory().write_obj(3_u64, free).unwrap();
            machine.restore(snapshot).unwrap();
            assert_eq!(machine.memory().read_obj::<u64>(free).unwrap(), value);
        }
    }
    assert_eq!(
        machine.restore(&snapshot).unwrap().method,
        Method::DirtyPages
    );
}

#[test]
fn a_machine_of_another_make_is_refused_and_so_is_one_that_has_ended() {
    if !has_kvm() {
        return;
    }
    let mut machine = booted("none");
    let snapshot = machine.snapshot().unwrap();
    let config = MachineConfig {
        memory: 32 << 20,
        ..MachineConfig::new(Kernel::Embedded)
    };
    let mut other = Machine::new(config).unwrap();
    let error = other.restore(&snapshot).unwrap_err();
    assert!(matches!(error, SnapshotError::OtherMachine), "{error}");
    run_to_end(&mut machine);
    assert!(matches!(machine.snapshot(), Err(SnapshotError::Ended)));
    machine.restore(&snapshot).unwrap();
    machine.snapshot().unwrap();
}
