//! The guest's workload `access`: it tries its own tables and notes what its CPU did; the walker
//! must say the same. A second route to the truth beside the test `access`, which makes its tables
//! on the host.

use pagelab::{
    inspect::{
        image::read_object,
        pagetable::{Access, AccessFault, AccessKind, PageTables, PagingState},
    },
    machine::{Stop, doctor::Backend},
};
use pagelab_abi::{
    access::{self, AccessBatch, AccessRecord, NO_FAULT, PAGE_FAULT},
    platform::{Doorbell, ExitCode},
};

use crate::{
    guest::{Guest, has_kvm},
    tcg,
};

/// Fewest records that the workload is worth.
const MIN_RECORDS: u64 = 100_000;

/// Records after which to stop where ring 0 is interpreted.
const INTERPRETED_RECORDS: u64 = 40_000;

/// Wrong predictions that are shown.
const SHOWN: usize = 10;

#[derive(Default)]
struct Score {
    records: u64,
    faults: u64,
    wrong: Vec<String>,
}

#[test]
fn the_guest_s_cpu_does_what_the_walker_says() {
    if !has_kvm() {
        return;
    }
    let mut guest = Guest::boot("workload=access seed=1", 64 << 20);
    let model = guest.paging().model;
    let is_tcg = tcg::is_software();
    // Where ring 0 is interpreted an access takes half a millisecond; and settings that come after
    // SMEP has changed within one machine meet translations that such a KVM kept from before, which
    // let NX bits through that are reserved by then. The test `access` has a machine for each.
    let is_interpreted = Backend::claimed() == Backend::InterpretedRing0;
    let enough = if is_interpreted {
        INTERPRETED_RECORDS
    } else {
        u64::MAX
    };
    let mut score = Score::default();
    loop {
        match guest.run() {
            Stop::Doorbell(Doorbell::Batch) => {
                let batch = guest.root().access;
                assert_eq!(batch.physical_bits, u32::from(model.phys_bits));
                assert_eq!(batch.gib_pages != 0, model.gib_pages);
                let state = PagingState {
                    cr0: batch.cr0,
                    cr3: batch.cr3,
                    cr4: batch.cr4,
                    efer: batch.efer,
                    pkru: 0,
                    model,
                };
                if score.records >= enough {
                    println!("SKIPPED: all but the first settings, since ring 0 is interpreted");
                    break;
                }
                compare(&guest, &batch, state, is_tcg, &mut score);
            }
            Stop::Doorbell(_) => {}
            Stop::Exit(code) => {
                assert_eq!(code, ExitCode::Success);
                break;
            }
            other => panic!("the guest did not end: {other:?}"),
        }
    }
    println!(
        "{} accesses, {} faulted, {} wrong",
        score.records,
        score.faults,
        score.wrong.len()
    );
    assert!(
        score.wrong.is_empty(),
        "{}",
        score.wrong[..score.wrong.len().min(SHOWN)].join("\n")
    );
    assert!(
        score.records >= MIN_RECORDS.min(enough),
        "only {} records",
        score.records
    );
    assert!(score.faults > 0 && score.faults < score.records);
}

/// Compares each record with the walker's prediction.
fn compare(
    guest: &Guest,
    batch: &AccessBatch,
    state: PagingState,
    is_tcg: bool,
    score: &mut Score,
) {
    guest.memory(|memory| {
        let tables = PageTables::new(memory, state).expect("the guest's tables");
        for index in 0..u64::from(batch.count) {
            let at = batch.records + index * size_of::<AccessRecord>() as u64;
            let record: AccessRecord = read_object(memory, at).expect("records in memory");
            let kind = match access::AccessKind::from_u8(record.kind).expect("a known kind") {
                access::AccessKind::Read => AccessKind::Read,
                access::AccessKind::Write => AccessKind::Write,
                access::AccessKind::Fetch => AccessKind::Fetch,
            };
            let access = Access {
                kind,
                user: record.ring == 3,
                ac: false,
            };
            let expected = match tables.access(record.address, access) {
                Ok(_) => (NO_FAULT, 0),
                Err(AccessFault::Page(fault)) => (PAGE_FAULT, tcg::error_code(fault, is_tcg)),
                Err(AccessFault::Other(fault)) => panic!("{fault}"),
            };
            score.records += 1;
            score.faults += u64::from(record.vector != NO_FAULT);
            let right = expected == (record.vector, record.error_code) && record.wrong_cr2 == 0;
            if !right {
                score.wrong.push(format!(
                    "{record:x?} under {state:x?}: predicted {expected:x?}; chain {:x?}",
                    tables.translate(record.address)
                ));
            }
        }
    });
}
