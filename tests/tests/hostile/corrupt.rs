//! The real guest, its memory corrupted: whoever reads it must cope with what it finds.

use crate::{
    random::Random,
    survive::{Case, MEMORY},
};
use pagelab::{
    inspect::{
        Outcome, audit,
        decode::Snapshot,
        image::{PhysMem, SegmentedMemory},
        pagetable::{CpuModel, PagingState},
        proc, report,
    },
    machine::{DiskSource, Kernel, Machine, MachineConfig, Stop, testing::has_kvm},
    size::ByteSize,
};
use pagelab_abi::{mm::MmState, platform::Doorbell, root::Root, swap::SwapInfo, view::ViewKind};
use std::{mem::offset_of, ops::Range};
use vm_memory::{Bytes, GuestAddress};

/// A guest in the middle of its work.
struct Victim {
    memory: Vec<u8>,
    root: u64,
    paging: PagingState,
    /// Where its structures are.
    targets: Vec<Range<u64>>,
}

/// Runs the guest to the phase with pressure and copies its memory.
fn victim() -> Victim {
    let config = MachineConfig {
        memory: MEMORY,
        cmdline: "workload=default".to_owned(),
        swap: Some(DiskSource::Memory(ByteSize(1 << 20))),
        ..MachineConfig::new(Kernel::Embedded)
    };
    let mut machine = Machine::new(config).expect("the machine can be built");
    let mut phases = 0;
    while phases < 2 {
        match machine.run().expect("the guest can be run") {
            Stop::Doorbell(bell) => phases += u32::from(bell == Doorbell::Phase),
            other => panic!("{other:?}"),
        }
    }
    let mut memory = vec![0; MEMORY as usize];
    let copied = machine.memory().read_slice(&mut memory, GuestAddress(0));
    copied.expect("RAM can be read");
    let registers = machine
        .control_registers()
        .expect("KVM tells the registers");
    let paging = PagingState::from_control(&registers, CpuModel::from_cpuid(machine.cpuid()));
    let root = machine
        .root_page()
        .expect("the guest named its root page")
        .address();
    let targets = targets(&memory, root, paging.cr3);
    Victim {
        memory,
        root,
        paging,
        targets,
    }
}

fn view(memory: &[u8]) -> impl PhysMem {
    SegmentedMemory::flat(memory, None).expect("memory is a whole number of pages")
}

fn targets(memory: &[u8], root: u64, cr3: u64) -> Vec<Range<u64>> {
    let memory = view(memory);
    let snapshot = Snapshot::read(&memory, root).expect("the guest can be decoded");
    let state = snapshot.state_gpa;
    let page = |gpa: u64| gpa..gpa + 4096;
    let mut targets = vec![
        root..root + size_of::<Root>() as u64,
        state..state + snapshot.root.mm.state_size,
        page(cr3 & !0xfff),
    ];
    // The map of the swap slots: its head with the clusters, and the slots of the first.
    let word = |gpa: u64| {
        let mut bytes = [0; 8];
        memory.read(gpa, &mut bytes).expect("it is in RAM");
        u64::from_le_bytes(bytes)
    };
    let swap = word(state + offset_of!(MmState, swap) as u64);
    let slots = word(swap + size_of::<SwapInfo>() as u64);
    targets.extend([swap..swap + 192, page(slots)]);
    // Page descriptors, the table of pageblocks, per-CPU lists and whatever else boot allocated.
    targets.extend(snapshot.reserved.bytes().iter().cloned());
    targets
}

/// Reads everything there is to read. True if every audit held.
fn read_all(memory: &[u8], victim: &Victim) -> bool {
    let memory = view(memory);
    let mut results = audit::all(&memory, victim.root, audit::Moment::Anywhere);
    if let Ok(snapshot) = Snapshot::read(&memory, victim.root) {
        for kind in ViewKind::ALL {
            // The text or a reason: either is an answer.
            let _ = proc::text(&snapshot, kind);
        }
        audit::zones(&snapshot);
        results.push(audit::fault_accounting(&snapshot));
    }
    let root = pagelab::inspect::image::read_root(&memory, victim.root).ok();
    if let Ok(report) = report::pagetable(&memory, victim.paging, root.as_ref(), &[]) {
        assert!(!report.map.display(100).to_string().is_empty());
        results.extend(report.audits);
    }
    results.iter().all(|result| result.outcome == Outcome::Held)
}

#[test]
fn corrupt_structures_are_read_and_seen() {
    if !has_kvm() {
        return;
    }
    let victim = victim();
    let mut seen = 0;
    let cases = 150;
    for seed in 0..cases {
        let _case = Case::new("corrupt structures", seed);
        let random = &mut Random::new(seed);
        let mut memory = victim.memory.clone();
        for _ in 0..1 + random.below(8) {
            let target = victim.targets[random.below(victim.targets.len() as u64) as usize].clone();
            let at = target.start + random.below(target.end - target.start) / 8 * 8;
            let word = &mut memory[at as usize..at as usize + 8];
            match random.below(3) {
                0 => word[random.below(8) as usize] ^= 1 << random.below(8),
                1 => word.copy_from_slice(&random.nasty().to_le_bytes()),
                // Another place of the guest's own structures: cycles.
                _ => word
                    .copy_from_slice(&(target.start + random.below(4096) / 64 * 64).to_le_bytes()),
            }
        }
        seen += u64::from(!read_all(&memory, &victim));
    }
    assert!(
        seen > cases / 4,
        "the audits saw only {seen} of {cases} corruptions"
    );
}
