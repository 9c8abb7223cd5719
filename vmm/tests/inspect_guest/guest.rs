//! A guest that is run from stop to stop.

use kvm_bindings::KVM_MAX_CPUID_ENTRIES;
pub(crate) use pagelab::machine::testing::has_kvm;
use pagelab::{
    inspect::{
        image::{CpuRegisters, LiveMemory, PhysMem},
        pagetable::{CpuModel, DeviceRange, PagingState},
        report::{self, PagetableReport},
    },
    machine::{Kernel, Machine, MachineConfig, Stop, host},
};
use pagelab_abi::{
    PAGE_SHIFT,
    platform::{Doorbell, MMIO_BASE, MMIO_END},
    root::Root,
};

/// A machine with the guest that is built into pagelab.
pub(crate) struct Guest {
    machine: Machine,
}

impl Guest {
    /// A guest before its first instruction.
    pub(crate) fn boot(cmdline: &str, memory: u64) -> Self {
        let mut config = MachineConfig::new(Kernel::Embedded);
        config.memory = memory;
        config.cmdline = cmdline.to_owned();
        Self {
            machine: Machine::new(config).expect("a machine"),
        }
    }

    /// Runs to the next stop.
    pub(crate) fn run(&mut self) -> Stop {
        match self.machine.run().expect("KVM") {
            Stop::Crash(report) | Stop::Hung(report) => panic!("{report}"),
            stop => stop,
        }
    }

    /// Runs to the end of boot.
    pub(crate) fn run_to_ready(&mut self) {
        loop {
            match self.run() {
                Stop::Doorbell(Doorbell::Ready) => return,
                Stop::Doorbell(_) => {}
                other => panic!("the guest ended before it was ready: {other:?}"),
            }
        }
    }

    /// A copy of its root page.
    pub(crate) fn root(&self) -> Box<Root> {
        self.machine.root().expect("a root page")
    }

    /// Its registers, as a dump has them.
    pub(crate) fn registers(&self) -> CpuRegisters {
        let registers = self.machine.registers().expect("registers");
        let control = registers.control;
        let mut cpu = CpuRegisters {
            rip: registers.rip,
            rflags: registers.rflags,
            cr: [control.cr0, 0, control.cr2, control.cr3, control.cr4],
            efer: Some(control.efer),
            pkru: Some(control.pkru),
            ..CpuRegisters::default()
        };
        cpu.segments[0].selector = registers.cs.into();
        cpu
    }

    /// Physical address of its root page.
    pub(crate) fn root_gpa(&self) -> u64 {
        self.machine.root_pfn().expect("a root page") << PAGE_SHIFT
    }

    /// The registers that translate addresses.
    pub(crate) fn paging(&self) -> PagingState {
        let kvm = host::open().expect("KVM");
        let cpuid = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .expect("CPUID");
        let registers = self.machine.control_registers().expect("registers");
        PagingState::from_control(&registers, CpuModel::from_cpuid(&cpuid))
    }

    /// Lends its memory.
    pub(crate) fn memory<R>(&self, look: impl FnOnce(&LiveMemory<'_>) -> R) -> R {
        // SAFETY: the machine runs only while it is borrowed mutably.
        look(&unsafe { LiveMemory::new(self.machine.memory()) })
    }

    /// All bytes of its memory.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.memory(|memory| {
            let ranges = memory.ranges().iter();
            let slices = ranges.map(|range| {
                memory
                    .slice(range.start, (range.end - range.start) as usize)
                    .expect("RAM")
            });
            slices.collect::<Vec<_>>().concat()
        })
    }

    /// The map of its page tables and the audits.
    pub(crate) fn pagetable(&self) -> PagetableReport {
        let devices = [DeviceRange {
            name: "virtio-mmio".into(),
            range: MMIO_BASE..MMIO_END,
        }];
        let root = self.root();
        self.memory(|memory| {
            report::pagetable(memory, self.paging(), Some(&root), &devices).expect("page tables")
        })
    }
}
