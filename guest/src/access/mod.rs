//! The workload `access`: the CPU as the truth about page tables.
//!
//! One tree of tables in which, at each level, the index of an entry spells its bits; so a virtual
//! address picks one combination of bits for each level. Each is tried in ring 0 and ring 3, for
//! read, write and fetch, under each setting of CR0.WP, EFER.NXE, CR4.SMEP and CR4.SMAP that the
//! CPU takes. What the CPU answered goes to the host in batches (`pagelab_abi::access`).

mod attempt;
mod cases;
mod settings;
mod tables;

use crate::{arch::layout::PAGE_SIZE, doorbell, memory::Memory, root, safe_point};
use attempt::Prober;
use cases::Cases;
use core::{arch::x86_64::__cpuid, ptr::NonNull};
use pagelab_abi::{
    access::{AccessBatch, AccessKind, AccessRecord},
    gfp::Gfp,
    platform::Doorbell,
};
use pagelab_mm::{Order, Pfn};
use settings::{Setting, State};
use tables::Tables;

/// Order of the block that holds a batch's records: 64 KiB.
const RECORDS_ORDER: u32 = 4;

/// Records in a batch.
const RECORDS: usize = (PAGE_SIZE << RECORDS_ORDER) as usize / size_of::<AccessRecord>();

/// Accesses tried at each address: two rings, three kinds.
const TRIES: usize = 6;

/// What the CPU says of itself.
#[derive(Clone, Copy)]
struct Cpu {
    physical_bits: u32,
    gib_pages: bool,
}

impl Cpu {
    fn new() -> Self {
        Self {
            physical_bits: __cpuid(0x8000_0008).eax & 0xff,
            gib_pages: __cpuid(0x8000_0001).edx & 1 << 26 != 0,
        }
    }
}

/// Tries all cases. False if there was no memory for it.
pub(crate) fn run(mm: &Memory, seed: u64) -> bool {
    let cpu = Cpu::new();
    let Some(tables) = Tables::build(mm, cpu) else {
        log::error!("access: no memory for the tables");
        return false;
    };
    let done = Order::new(RECORDS_ORDER).is_some_and(|order| {
        let Ok(pfn) = mm.alloc_pages(Gfp::KERNEL, order) else {
            return false;
        };
        let total = mm
            .pfn_to_ptr(pfn)
            .map(|records| Batches::new(pfn, records, cpu).run(&tables, seed));
        mm.free_pages(pfn, order);
        log::info!("access: {} cases", total.unwrap_or(0));
        total.is_some()
    });
    tables.free(mm);
    done
}

/// The records of a batch, and which batch it is.
struct Batches {
    records: NonNull<AccessRecord>,
    header: AccessBatch,
    total: u64,
}

impl Batches {
    fn new(pfn: Pfn, records: NonNull<u8>, cpu: Cpu) -> Self {
        let header = AccessBatch {
            records: pfn.phys(),
            physical_bits: cpu.physical_bits,
            gib_pages: cpu.gib_pages.into(),
            ..AccessBatch::new()
        };
        Self {
            records: records.cast(),
            header,
            total: 0,
        }
    }

    /// Tries all cases under all settings; returns how many.
    fn run(mut self, tables: &Tables, seed: u64) -> u64 {
        let prober = Prober::new(tables);
        let possible = || Setting::all().filter(Setting::is_possible);
        let settings = possible().count() as u32;
        for (number, setting) in possible().enumerate() {
            let mut cases = Cases::new(tables, seed.wrapping_add(number as u64), settings);
            // SAFETY: the tables map the kernel as its own do, and neither interrupts nor anything
            // else runs until the state is left.
            while let Some(state) = unsafe { setting.enter(tables.root()) } {
                self.begin(&state);
                for address in cases.by_ref().take(RECORDS / TRIES) {
                    for ring in [0, 3] {
                        for kind in AccessKind::ALL {
                            self.push(prober.attempt(address, kind, ring));
                        }
                    }
                }
                drop(state);
                if self.header.count == 0 {
                    break;
                }
                self.ring();
            }
        }
        self.total
    }

    fn begin(&mut self, state: &State) {
        self.header.count = 0;
        self.header.cr3 = state.cr3;
        self.header.cr0 = state.cr0;
        self.header.cr4 = state.cr4;
        self.header.efer = state.efer;
    }

    fn push(&mut self, record: AccessRecord) {
        let index = self.header.count as usize;
        assert!(index < RECORDS, "a batch has room for all its cases");
        // SAFETY: below the end of the block, which is this batch's.
        unsafe { self.records.add(index).write(record) };
        self.header.count += 1;
    }

    fn ring(&mut self) {
        root::set_access(self.header);
        doorbell::ring(Doorbell::Batch);
        safe_point::pass();
        self.total += u64::from(self.header.count);
        self.header.number += 1;
    }
}
