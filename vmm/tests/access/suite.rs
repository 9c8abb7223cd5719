//! Running chains under all control registers, and keeping the score.

use std::{collections::BTreeMap, fmt::Write};

use kvm_ioctls::Kvm;
use pagelab::inspect::{
    image::LiveMemory,
    pagetable::{
        Access, AccessFault, AccessKind, Fault, PageTables, PagingState,
        bits::{CR0_WP, CR4_PKE, CR4_SMAP, CR4_SMEP, EFER_NXE},
    },
};

use crate::{
    chain::Chain,
    cpu::{Cpu, Ending, Features, base_state},
    space::{Address, CHAINS, Space, frame, frame_number},
    tcg,
};

/// PKRU that is tried with protection keys: no access with odd keys but 15, no writes with keys 2
/// to 5 and 15.
const PKRU: u32 = 0x9555_5ee4 & !(1 << 26);

/// Cases counted by what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    pub(crate) cases: u64,
    pub(crate) reached: u64,
    pub(crate) faulted: u64,
    pub(crate) wrong: u64,
}

/// The score.
pub(crate) struct Suite {
    kvm: Kvm,
    features: Features,
    total: Total,
    lines: String,
    refused: Vec<PagingState>,
    /// The first of each kind of wrong prediction.
    wrong: BTreeMap<String, String>,
}

impl Suite {
    pub(crate) fn new(features: Features) -> Self {
        Self {
            kvm: Kvm::new().expect("KVM"),
            features,
            total: Total::default(),
            lines: String::new(),
            refused: Vec::new(),
            wrong: BTreeMap::new(),
        }
    }

    /// Every setting of the control registers to try. SMEP and SMAP are tried whatever CPUID says:
    /// some KVMs honour them and do not offer them, and others refuse them.
    fn states(&self) -> Vec<PagingState> {
        let features = &self.features;
        let base = base_state(features);
        let mut states = vec![base];
        let mut double = |has: bool, change: &dyn Fn(&mut PagingState)| {
            if has {
                let changed: Vec<_> = states
                    .iter()
                    .map(|state| {
                        let mut state = *state;
                        change(&mut state);
                        state
                    })
                    .collect();
                states.extend(changed);
            }
        };
        double(true, &|state| state.cr0 |= CR0_WP);
        double(features.nx, &|state| state.efer |= EFER_NXE);
        double(true, &|state| state.cr4 |= CR4_SMEP);
        double(true, &|state| state.cr4 |= CR4_SMAP);
        double(features.pku, &|state| {
            state.cr4 |= CR4_PKE;
            state.pkru = PKRU;
        });
        states
    }

    /// Makes all accesses to all chains.
    pub(crate) fn run(&mut self, name: &str, chains: Vec<Chain>) {
        let before = self.total;
        let states = self.states();
        for (batch, chains) in chains.chunks(CHAINS).enumerate() {
            // Many settings: each batch takes a share, the plain ones with NX and WP always.
            let share = |index: usize| states.len() <= 8 || index % 8 == batch % 8 || index == 3;
            for (_, state) in states.iter().enumerate().filter(|(index, _)| share(*index)) {
                self.run_batch(chains, *state);
            }
        }
        let cases = self.total.cases - before.cases;
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.lines,
            "{name}: {} chains, {cases} accesses",
            chains.len()
        );
    }

    /// Makes all accesses to some chains under one setting, on a machine of its own: the host
    /// changes no table that a CPU has seen.
    fn run_batch(&mut self, chains: &[Chain], state: PagingState) {
        let space = Space::new(chains);
        let mut cpu = Cpu::new(&self.kvm, &space);
        if !cpu.set_paging(&state) {
            self.refuse(state);
            return;
        }
        for address in &space.addresses {
            for access in accesses(&state) {
                self.check(&space, &mut cpu, state, *address, access);
            }
        }
    }

    /// Notes that the CPU does not take a setting that CPUID offers.
    fn refuse(&mut self, state: PagingState) {
        if !self.refused.contains(&state) {
            self.refused.push(state);
        }
    }

    fn check(
        &mut self,
        space: &Space,
        cpu: &mut Cpu<'_>,
        state: PagingState,
        address: Address,
        access: Access,
    ) {
        // A write goes beside the frame's own bytes, which stay as they are.
        let va = address.va
            + if access.kind == AccessKind::Write {
                8
            } else {
                0
            };
        let stamp = 0x5741_4c4b_0000_0000 | self.total.cases;
        let predicted = {
            // SAFETY: the vCPU does not run, and no other thread knows this memory.
            let memory = unsafe { LiveMemory::new(&space.memory) };
            let tables = PageTables::new(&memory, state).expect("the top table is in memory");
            tables.access(va, access)
        };
        let ending = cpu.access(va, access, stamp);
        let expected = match predicted {
            Ok(gpa) => Ending::Reached(match access.kind {
                AccessKind::Read => space.read(gpa),
                AccessKind::Write => stamp,
                AccessKind::Fetch => frame_number(gpa),
            }),
            Err(AccessFault::Page(fault)) => Ending::Exception {
                vector: 14,
                error_code: tcg::error_code(fault, self.features.is_tcg).into(),
                address: va,
            },
            Err(AccessFault::Other(Fault::NonCanonical { .. })) => Ending::Exception {
                vector: 13,
                error_code: 0,
                address: 0,
            },
            Err(AccessFault::Other(other)) => panic!("no table is outside memory: {other}"),
        };
        self.total.cases += 1;
        let mut right = ending == Some(expected);
        match predicted {
            Ok(gpa) => {
                self.total.reached += 1;
                right &= access.kind != AccessKind::Write || space.read(gpa) == stamp;
                right &= gpa & !0xfff == frame(frame_number(gpa));
            }
            Err(_) => self.total.faulted += 1,
        }
        if !right {
            self.total.wrong += 1;
            let kind = format!("{:x?} for {:x?}", ending.map(Ending::kind), expected.kind());
            self.wrong.entry(kind).or_insert_with(|| {
                format!(
                    "{access:?} at {va:#x} with {:x?} under {state:x?}: \
                     predicted {expected:x?}, the CPU did {ending:x?}",
                    address.chain
                )
            });
        }
    }

    /// Addresses between the halves. Only in ring 3: some interpreters of ring 0 let an access
    /// through that a CPU refuses.
    pub(crate) fn run_noncanonical(&mut self) {
        let space = Space::new(&[]);
        let mut cpu = Cpu::new(&self.kvm, &space);
        let state = base_state(&self.features);
        assert!(cpu.set_paging(&state), "plain long mode");
        for va in [
            1 << 47,
            0xffff_7fff_ffff_f000,
            0x8000_0000_0000_0000,
            0x5555_0000_0000_0000,
        ] {
            let address = Address {
                va,
                chain: Chain::default(),
            };
            for access in accesses(&state).into_iter().filter(|access| access.user) {
                self.check(&space, &mut cpu, state, address, access);
            }
        }
    }

    pub(crate) fn total(&self) -> Total {
        self.total
    }

    pub(crate) fn summary(&self) -> String {
        let Total {
            cases,
            reached,
            faulted,
            wrong,
        } = self.total;
        let mut text = self.lines.clone();
        for state in &self.refused {
            let PagingState { cr0, cr4, efer, .. } = state;
            let _ = writeln!(
                text,
                "SKIPPED: this CPU refuses cr0 {cr0:#x}, cr4 {cr4:#x}, efer {efer:#x}"
            );
        }
        if self.features.is_tcg {
            let _ = writeln!(
                text,
                "SKIPPED: bit P beside RSVD, which this CPU leaves out"
            );
        }
        let _ = write!(
            text,
            "{cases} accesses: {reached} made, {faulted} faulted, {wrong} wrong"
        );
        text
    }

    pub(crate) fn first_wrong(&self) -> String {
        self.wrong.values().cloned().collect::<Vec<_>>().join("\n")
    }
}

/// All accesses that differ under `state`.
fn accesses(state: &PagingState) -> Vec<Access> {
    let mut accesses = Vec::new();
    for (user, ac) in [(false, false), (false, true), (true, false)] {
        for kind in [AccessKind::Read, AccessKind::Write, AccessKind::Fetch] {
            if !ac || (state.smap() && kind != AccessKind::Fetch) {
                accesses.push(Access { kind, user, ac });
            }
        }
    }
    accesses
}
