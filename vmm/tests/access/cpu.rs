//! The vCPU that makes the accesses.

use kvm_bindings::{
    CpuId, KVM_MAX_CPUID_ENTRIES, kvm_regs, kvm_segment, kvm_sregs, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use pagelab::inspect::pagetable::{
    Access, AccessKind, CpuModel, PagingState,
    bits::{CR0_PE, CR0_PG, CR4_PAE, EFER_LMA, EFER_LME, EFLAGS_AC},
};
use vm_memory::{GuestAddress, GuestMemoryBackend};

use crate::space::{CODE, DONE, GDT, IDT, KERNEL, MEMORY, ROOT, STACK_TOP, Space, TSS, USER, stub};
use crate::tcg;

/// What the CPU of this host offers its guests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    pub(crate) model: CpuModel,
    pub(crate) nx: bool,
    pub(crate) pku: bool,
    /// The CPU below KVM is QEMU's software CPU.
    pub(crate) is_tcg: bool,
}

impl Features {
    /// Asks KVM.
    pub(crate) fn of_host() -> Self {
        let kvm = Kvm::new().expect("KVM");
        let cpuid = supported(&kvm);
        let leaf = |function| {
            cpuid
                .as_slice()
                .iter()
                .find(|leaf| leaf.function == function && leaf.index == 0)
        };
        Self {
            model: CpuModel::from_cpuid(&cpuid),
            nx: leaf(0x8000_0001).is_some_and(|leaf| leaf.edx & 1 << 20 != 0),
            pku: leaf(7).is_some_and(|leaf| leaf.ecx & 1 << 3 != 0),
            is_tcg: tcg::is_software(),
        }
    }
}

fn supported(kvm: &Kvm) -> CpuId {
    kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .expect("CPUID")
}

/// How an access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was made; the first 8 bytes of the frame it reached, or for a fetch the frame's number.
    Reached(u64),
    /// An exception. `address` is CR2 of a page fault, else 0.
    Exception {
        vector: u8,
        error_code: u64,
        address: u64,
    },
}

impl Ending {
    /// What kind of ending it is, for sorting: -1 or the error code.
    pub(crate) fn kind(self) -> i64 {
        match self {
            Self::Reached(_) => -1,
            Self::Exception { error_code, .. } => error_code as i64,
        }
    }
}

/// A virtual machine over a [`Space`]. The memory outlives it.
pub(crate) struct Cpu<'a> {
    vcpu: VcpuFd,
    sregs: kvm_sregs,
    _vm: VmFd,
    space: &'a Space,
}

/// RBX until a frame's code sets it to the frame's number.
const NOT_FETCHED: u64 = u64::MAX;

/// RFLAGS with nothing on; bit 1 is always set.
const FLAGS: u64 = 1 << 1;

/// Selector and kind of the segments of a ring.
struct Ring {
    cs: kvm_segment,
    ss: kvm_segment,
}

impl Ring {
    fn new(user: bool) -> Self {
        let dpl = if user { 3 } else { 0 };
        let segment = |selector: u16, type_, l| kvm_segment {
            selector: selector | u16::from(dpl),
            type_,
            dpl,
            l,
            db: 1 - l,
            limit: 0xffff_ffff,
            present: 1,
            s: 1,
            g: 1,
            ..kvm_segment::default()
        };
        let (code, data) = if user { (0x20, 0x18) } else { (0x08, 0x10) };
        Self {
            cs: segment(code, 0xb, 1),
            ss: segment(data, 0x3, 0),
        }
    }
}

impl<'a> Cpu<'a> {
    /// Creates the machine.
    pub(crate) fn new(kvm: &Kvm, space: &'a Space) -> Self {
        let vm = kvm.create_vm().expect("a virtual machine");
        vm.set_tss_address(0xfffb_d000)
            .expect("room for the real-mode TSS");
        let host = space
            .memory
            .get_host_address(GuestAddress(0))
            .expect("memory at 0");
        let region = kvm_userspace_memory_region {
            memory_size: MEMORY as u64,
            userspace_addr: host as u64,
            ..Default::default()
        };
        // SAFETY: the range is the mapping that `space` owns, and `space` outlives the machine.
        unsafe { vm.set_user_memory_region(region) }.expect("a memory slot");
        let vcpu = vm.create_vcpu(0).expect("a vCPU");
        vcpu.set_cpuid2(&supported(kvm)).expect("CPUID");
        let mut sregs = vcpu.get_sregs().expect("system registers");
        sregs.gdt.base = KERNEL + GDT;
        sregs.gdt.limit = 5 * 8 - 1;
        sregs.idt.base = KERNEL + IDT;
        sregs.idt.limit = 32 * 16 - 1;
        sregs.tr = kvm_segment {
            base: KERNEL + TSS,
            limit: 103,
            selector: 0x28,
            type_: 0xb,
            present: 1,
            ..kvm_segment::default()
        };
        let data = Ring::new(true).ss;
        (sregs.ds, sregs.es, sregs.fs, sregs.gs) = (data, data, data, data);
        Self {
            vcpu,
            sregs,
            _vm: vm,
            space,
        }
    }

    /// Sets the control registers; false if the CPU refuses them.
    pub(crate) fn set_paging(&mut self, state: &PagingState) -> bool {
        self.sregs.cr0 = state.cr0;
        self.sregs.cr3 = state.cr3;
        self.sregs.cr4 = state.cr4;
        self.sregs.efer = state.efer;
        let ring = Ring::new(false);
        (self.sregs.cs, self.sregs.ss) = (ring.cs, ring.ss);
        if self.vcpu.set_sregs(&self.sregs).is_err() {
            return false;
        }
        let now = self.vcpu.get_sregs().expect("system registers");
        if (now.cr0, now.cr4, now.efer) != (state.cr0, state.cr4, state.efer) {
            return false;
        }
        !state.protection_keys() || self.set_pkru(state.pkru)
    }

    /// Loads PKRU, in ring 3, where every CPU executes it.
    fn set_pkru(&mut self, pkru: u32) -> bool {
        let regs = kvm_regs {
            rax: pkru.into(),
            ..self.regs(stub::WRPKRU, true, 0)
        };
        matches!(self.go(true, regs), Some((DONE, _)))
    }

    /// Registers to start a stub with, in ring 3 by way of a return to it.
    fn regs(&self, stub: u64, user: bool, rdi: u64) -> kvm_regs {
        kvm_regs {
            rip: if user { USER } else { KERNEL + CODE } + stub,
            rsp: STACK_TOP,
            rflags: FLAGS,
            rdi,
            ..kvm_regs::default()
        }
    }

    /// Starts in a ring and runs to a handler: its vector and the registers there, in ring 0.
    /// Setting the system registers costs more than all the rest; a return from ring 0 to ring 3
    /// does without.
    fn go(&mut self, user: bool, mut regs: kvm_regs) -> Option<(u8, kvm_regs)> {
        if user {
            let ring = Ring::new(true);
            let frame = [
                regs.rip,
                ring.cs.selector.into(),
                regs.rflags,
                regs.rsp,
                ring.ss.selector.into(),
            ];
            regs.rsp = STACK_TOP - size_of_val(&frame) as u64;
            self.space.write_stack(&frame);
            regs.rip = KERNEL + CODE + stub::IRETQ;
            regs.rflags = FLAGS;
        }
        self.vcpu.set_regs(&regs).expect("registers");
        let vector = match self.vcpu.run().expect("KVM_RUN") {
            VcpuExit::IoOut(port, _) => port as u8,
            _ => return None,
        };
        Some((vector, self.vcpu.get_regs().expect("registers")))
    }

    /// Makes one access. A write stores `value`.
    pub(crate) fn access(&mut self, va: u64, access: Access, value: u64) -> Option<Ending> {
        let stub = match access.kind {
            AccessKind::Read => stub::READ,
            AccessKind::Write => stub::WRITE,
            AccessKind::Fetch => stub::FETCH,
        };
        let mut regs = self.regs(stub, access.user, va);
        regs.rax = value;
        regs.rbx = NOT_FETCHED;
        if access.ac {
            regs.rflags |= EFLAGS_AC;
        }
        let (vector, regs) = self.go(access.user, regs)?;
        Some(match (vector, access.kind) {
            // The frame's first instruction was executed, whatever becomes of the `ud2` after it:
            // an interpreter of ring 0 was seen to apply SMAP to it.
            (_, AccessKind::Fetch) if regs.rbx != NOT_FETCHED => Ending::Reached(regs.rbx),
            (DONE, _) => Ending::Reached(regs.rax),
            _ => Ending::Exception {
                vector,
                error_code: regs.rdx,
                address: if vector == 14 { regs.rcx } else { 0 },
            },
        })
    }
}

/// The registers of long mode over the tables of a [`Space`], with nothing optional on.
pub(crate) fn base_state(features: &Features) -> PagingState {
    PagingState {
        // ET is always set on CPUs of today.
        cr0: CR0_PE | CR0_PG | 1 << 4,
        cr3: ROOT,
        cr4: CR4_PAE,
        efer: EFER_LME | EFER_LMA,
        pkru: 0,
        model: features.model,
    }
}
