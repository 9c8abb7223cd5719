//! I/O ports, virtual addresses and command line keys.
//!
//! The machine is made of standards (PVH, 16550A, virtio-mmio), so that QEMU can stand in for the
//! host and another kernel for the guest. Only the doorbell is pagelab's own, and a guest under
//! another VMM does not ring it: it does so only if the command line has [`CMDLINE_DOORBELL`].

/// First port of the 16550A serial console (COM1).
pub const SERIAL_PORT: u16 = 0x3f8;

/// Interrupt line of the serial console.
pub const SERIAL_IRQ: u32 = 4;

/// The exit port, as QEMU's `isa-debug-exit` with `iobase=0xf4,iosize=0x04` has it: a 32-bit write
/// ends the machine. The value is an [`ExitCode`].
pub const EXIT_PORT: u16 = 0xf4;

/// The doorbell: a 32-bit write of a [`Doorbell`] stops the guest and hands control to the host.
pub const DOORBELL_PORT: u16 = 0x510;

/// A 32-bit write of the pfn of [`crate::root::Root`], before the first doorbell.
pub const ROOT_PORT: u16 = 0x514;

/// First vector of the external interrupts: interrupt line `n` arrives at vector `IRQ_BASE + n`.
pub const IRQ_BASE: u8 = 0x20;

/// Guest physical address of the first virtio-mmio device; RAM below 4 GiB ends here at the
/// latest, and RAM above continues at 4 GiB.
pub const MMIO_BASE: u64 = 0xd000_0000;

/// End of the hole below 4 GiB.
pub const MMIO_END: u64 = 0x1_0000_0000;

/// Bytes of a virtio-mmio register window.
pub const VIRTIO_MMIO_SIZE: u64 = 0x1000;

/// Where the kernel image is linked: physical address `p` of the image is at `KERNEL_BASE + p`.
/// The same address as Linux's `__START_KERNEL_map`.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// The direct map of low memory: physical address `p` is at `DIRECT_MAP + p`, never executable.
/// The same address as Linux's `PAGE_OFFSET` with 4-level page tables.
pub const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;

/// Kernel stacks, each with an unmapped guard page below it.
pub const STACK_BASE: u64 = 0xffff_c900_0000_0000;

/// Windows onto device registers.
pub const IOREMAP_BASE: u64 = 0xffff_ca00_0000_0000;

/// Per-CPU windows onto frames outside the direct map (`kmap_local`).
pub const KMAP_BASE: u64 = 0xffff_cb00_0000_0000;

/// Command line key: the zone model, `zones=classic` or `zones=x86_64`.
pub const CMDLINE_ZONES: &str = "zones";

/// Command line key: upper ends of the lower zones in bytes, `zone_limits=16M,896M`.
pub const CMDLINE_ZONE_LIMITS: &str = "zone_limits";

/// Command line key: name of the workload, `workload=default`.
pub const CMDLINE_WORKLOAD: &str = "workload";

/// Command line key: seed of everything random in the guest, `seed=1`, decimal u64.
pub const CMDLINE_SEED: &str = "seed";

/// Command line key: what CPUID tells programs, `cpu=baseline` (the same on every host) or
/// `cpu=host`; absent means baseline.
pub const CMDLINE_CPU: &str = "cpu";

/// Command line key: which memory of programs may come in huge pages, `transparent_hugepage=always`,
/// `madvise` or `never`, as Linux has it; absent means madvise.
pub const CMDLINE_TRANSPARENT_HUGEPAGE: &str = "transparent_hugepage";

/// Command line key: log level on the serial console, `loglevel=info`.
pub const CMDLINE_LOGLEVEL: &str = "loglevel";

/// Command line word: slab debugging as Linux names it, `slab_debug=FZPU` (sanity checks, red
/// zones, poison, user tracking); absent means off.
pub const CMDLINE_SLAB_DEBUG: &str = "slab_debug";

/// Command line key: a fault attribute armed at boot, in Linux's form
/// `fail_page_alloc=<interval>,<probability>,<space>,<times>`; for hosts without a doorbell.
pub const CMDLINE_FAIL_PAGE_ALLOC: &str = "fail_page_alloc";

/// As [`CMDLINE_FAIL_PAGE_ALLOC`], for slab allocations.
pub const CMDLINE_FAILSLAB: &str = "failslab";

/// Command line word without a value: the doorbell exists, `pagelab.doorbell`.
pub const CMDLINE_DOORBELL: &str = "pagelab.doorbell";

/// Command line word without a value: without a doorbell, the views go to the serial console when
/// the workload is over, `pagelab.views`.
pub const CMDLINE_VIEWS: &str = "pagelab.views";

/// Command line word without a value: without a doorbell, the phase with pressure lasts until the balloon
/// has been inflated and deflated again, `pagelab.pressure`.
pub const CMDLINE_PRESSURE: &str = "pagelab.pressure";

/// Command line key that announces a virtio-mmio device, in Linux's form
/// `virtio_mmio.device=4K@0xd0000000:5`.
pub const CMDLINE_VIRTIO_MMIO: &str = "virtio_mmio.device";

/// Command line key: the virtio-blk device that is for swap, by the address of its register window,
/// `swap=0xd0001000`.
pub const CMDLINE_SWAP: &str = "swap";

/// Command line key: the virtio-blk device with an ext2 file system, by the address of its register
/// window, `disk=0xd0002000`. It is mounted at [`crate::program::DISK_MOUNT`].
pub const CMDLINE_DISK: &str = "disk";

/// Command line key, of kernels that are built for it: a bug to plant, `mutation=cow-reuse`.
pub const CMDLINE_MUTATION: &str = "mutation";

/// Why the guest rang the doorbell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Doorbell {
    /// Boot is over: [`crate::root::Root`] is complete and interrupts can be taken.
    Ready = 1,
    /// The event at which the host wanted to stop has happened.
    Stop = 2,
    /// A phase of the workload begins; [`crate::workload::Progress::phase`] says which.
    Phase = 3,
    /// A text stands in the view buffer.
    View = 4,
    /// The workload is over and everything it held has been given back; the exit port follows.
    Done = 5,
    /// The guest has nothing to do until an interrupt arrives.
    Idle = 6,
    /// A batch of [`crate::access::AccessRecord`]s is ready.
    Batch = 7,
    /// The records of [`crate::root::Root::log`] are full.
    Log = 8,
    /// A candidate for an injected failure, which stands in [`crate::fault::FaultCandidate`]. Within an operation of the
    /// memory manager, and no event: the host may look, and nothing else.
    Candidate = 9,
}

impl Doorbell {
    /// The reason with this number, if there is one.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            1 => Self::Ready,
            2 => Self::Stop,
            3 => Self::Phase,
            4 => Self::View,
            5 => Self::Done,
            6 => Self::Idle,
            7 => Self::Batch,
            8 => Self::Log,
            9 => Self::Candidate,
            _ => return None,
        })
    }
}

/// What the guest writes to the exit port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ExitCode {
    /// Everything the guest checked held.
    Success = 0,
    /// A check inside the guest failed; the log says which.
    Failure = 1,
    /// The kernel panicked; [`crate::root::Root::panic`] holds the message and the registers.
    Panic = 2,
    /// The command line or the memory map cannot be used; the log says why.
    Unfit = 3,
}

impl ExitCode {
    /// The code with this number, if there is one.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::Success,
            1 => Self::Failure,
            2 => Self::Panic,
            3 => Self::Unfit,
            _ => return None,
        })
    }
}

/// IA32_MCG_STATUS (Intel SDM vol. 3, 15.3.1.2): the interrupted code can go on.
pub const MCG_STATUS_RIPV: u64 = 1 << 0;
/// IA32_MCG_STATUS: a machine check is being dealt with.
pub const MCG_STATUS_MCIP: u64 = 1 << 2;

/// IA32_MCi_STATUS (Intel SDM vol. 3, 15.3.2.2): the bank reports something.
pub const MCI_STATUS_VAL: u64 = 1 << 63;
/// IA32_MCi_STATUS: the CPU could not correct it.
pub const MCI_STATUS_UC: u64 = 1 << 61;
/// IA32_MCi_STATUS: the report was enabled.
pub const MCI_STATUS_EN: u64 = 1 << 60;
/// IA32_MCi_STATUS: IA32_MCi_MISC is valid.
pub const MCI_STATUS_MISCV: u64 = 1 << 59;
/// IA32_MCi_STATUS: IA32_MCi_ADDR is valid.
pub const MCI_STATUS_ADDRV: u64 = 1 << 58;
/// IA32_MCi_STATUS: the state of the CPU is lost.
pub const MCI_STATUS_PCC: u64 = 1 << 57;
/// IA32_MCi_STATUS: a machine check is raised for it, and not only an interrupt.
pub const MCI_STATUS_S: u64 = 1 << 56;
/// IA32_MCi_STATUS: MCACOD of an error that memory scrubbing found, whose recovery is optional (Intel SDM
/// vol. 3, 15.9.3.1; SRAO is S without AR).
pub const MCACOD_SCRUB: u64 = 0xc0;
/// IA32_MCi_MISC (Intel SDM vol. 3, 15.3.2.4): the address is physical, and valid from bit 12 on.
pub const MCI_MISC_PHYSICAL_PAGE: u64 = 2 << 6 | 12;
