//! Layout of the notes in a core.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::super::{
    ImageError,
    cpu::{CS, CpuRegisters, DS, ES, FS, GS, SS, SegmentRegister},
};

/// Name of QEMU's CPU note, type 0.
pub(super) const QEMU: &[u8] = b"QEMU";
/// Name of the notes that debuggers read.
pub(super) const CORE: &[u8] = b"CORE";
/// Name of our own note.
pub(super) const PAGELAB: &[u8] = b"PAGELAB";
/// Type of [`PagelabNote`].
pub(super) const PAGELAB_MACHINE: u32 = 1;

/// Version of [`QemuCpu`] (`QEMUCPUSTATE_VERSION`).
const QEMU_VERSION: u32 = 1;

/// A segment register in QEMU's note (`QEMUCPUSegment`, target/i386/arch_dump.c).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct QemuSegment {
    selector: u32,
    limit: u32,
    flags: u32,
    pad: u32,
    base: u64,
}

/// QEMU's CPU note (`QEMUCPUState`, target/i386/arch_dump.c). Later versions of QEMU append
/// fields without a new version; `size` tells.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct QemuCpu {
    version: u32,
    size: u32,
    general: [u64; 16],
    rip: u64,
    rflags: u64,
    segments: [QemuSegment; 10],
    cr: [u64; 5],
    kernel_gs_base: u64,
}

/// Bytes up to the first appended field.
const QEMU_MIN: usize = size_of::<QemuCpu>() - 8;

impl QemuCpu {
    /// The note for a CPU.
    pub(super) fn new(cpu: &CpuRegisters) -> Self {
        Self {
            version: QEMU_VERSION,
            size: size_of::<Self>() as u32,
            general: cpu.general,
            rip: cpu.rip,
            rflags: cpu.rflags,
            segments: cpu.segments.map(|from| QemuSegment {
                selector: from.selector,
                limit: from.limit,
                flags: from.flags,
                pad: 0,
                base: from.base,
            }),
            cr: cpu.cr,
            kernel_gs_base: cpu.kernel_gs_base.unwrap_or(0),
        }
    }

    /// The CPU in a note's descriptor.
    pub(super) fn parse(desc: &[u8]) -> Result<CpuRegisters, ImageError> {
        let short = ImageError::ShortNote {
            name: "QEMU",
            size: desc.len(),
            expected: QEMU_MIN,
        };
        if desc.len() < QEMU_MIN {
            return Err(short);
        }
        let mut note = Self::default();
        let len = desc.len().min(size_of::<Self>());
        note.as_mut_bytes()[..len].copy_from_slice(&desc[..len]);
        if note.version != QEMU_VERSION {
            return Err(ImageError::NoteVersion {
                name: "QEMU",
                found: note.version,
                expected: QEMU_VERSION,
            });
        }
        let has_gs = len == size_of::<Self>() && note.size as usize >= size_of::<Self>();
        Ok(CpuRegisters {
            general: note.general,
            rip: note.rip,
            rflags: note.rflags,
            segments: note.segments.map(|from| SegmentRegister {
                selector: from.selector,
                limit: from.limit,
                flags: from.flags,
                base: from.base,
            }),
            cr: note.cr,
            efer: None,
            pkru: None,
            kernel_gs_base: has_gs.then_some(note.kernel_gs_base),
        })
    }
}

/// The x86-64 `struct elf_prstatus` of Linux's uapi, with what a system dump can fill in.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Prstatus {
    signal_info: [u8; 32],
    pid: u32,
    ids_and_times: [u8; 76],
    /// R15, R14, R13, R12, RBP, RBX, R11, R10, R9, R8, RAX, RCX, RDX, RSI, RDI, ORIG_RAX.
    general: [u64; 16],
    rip: u64,
    cs: u64,
    eflags: u64,
    rsp: u64,
    ss: u64,
    fs_base: u64,
    gs_base: u64,
    ds: u64,
    es: u64,
    fs: u64,
    gs: u64,
    fpvalid: u64,
}

impl Prstatus {
    /// The status of CPU number `index`; debuggers want thread numbers from 1.
    pub(super) fn new(cpu: &CpuRegisters, index: u32) -> Self {
        let [
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rsp,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
        ] = cpu.general;
        let selector = |index: usize| u64::from(cpu.segments[index].selector);
        Self {
            signal_info: [0; 32],
            pid: index + 1,
            ids_and_times: [0; 76],
            general: [
                r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, 0,
            ],
            rip: cpu.rip,
            cs: selector(CS),
            eflags: cpu.rflags,
            rsp,
            ss: selector(SS),
            fs_base: cpu.segments[FS].base,
            gs_base: cpu.segments[GS].base,
            ds: selector(DS),
            es: selector(ES),
            fs: selector(FS),
            gs: selector(GS),
            fpvalid: 0,
        }
    }
}

/// Our own note: what the others leave out.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub(crate) struct PagelabNote {
    /// 1.
    pub(crate) version: u32,
    /// Version of the layouts in guest memory ([`pagelab_abi::VERSION`]).
    pub(crate) abi_version: u32,
    /// `IA32_EFER` of the first CPU.
    pub(crate) efer: u64,
    /// Protection key rights of the first CPU.
    pub(crate) pkru: u32,
    /// Width of a physical address in bits.
    pub(crate) phys_bits: u8,
    /// Not zero if the CPU has 1 GiB pages.
    pub(crate) gib_pages: u8,
    /// Not zero if bit 8 of the upper levels' entries is reserved, as on AMD.
    pub(crate) upper_global_reserved: u8,
    /// Zero.
    pub(crate) reserved: u8,
    /// Physical address of the guest's root page; `u64::MAX` if it never named one.
    pub(crate) root: u64,
}

/// Version of [`PagelabNote`].
pub(super) const PAGELAB_VERSION: u32 = 1;

impl PagelabNote {
    /// The note in a descriptor.
    pub(super) fn parse(desc: &[u8]) -> Result<Self, ImageError> {
        let (note, _) = Self::read_from_prefix(desc).map_err(|_| ImageError::ShortNote {
            name: "PAGELAB",
            size: desc.len(),
            expected: size_of::<Self>(),
        })?;
        if note.version != PAGELAB_VERSION {
            return Err(ImageError::NoteVersion {
                name: "PAGELAB",
                found: note.version,
                expected: PAGELAB_VERSION,
            });
        }
        Ok(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_have_the_sizes_of_their_sources() {
        assert_eq!(size_of::<QemuCpu>(), 440);
        assert_eq!(size_of::<Prstatus>(), 336);
        assert_eq!(size_of::<PagelabNote>(), 32);
    }

    #[test]
    fn a_qemu_note_survives_both_lengths() {
        let cpu = CpuRegisters {
            rip: 9,
            cr: [1, 0, 2, 3, 4],
            kernel_gs_base: Some(5),
            ..CpuRegisters::default()
        };
        let note = QemuCpu::new(&cpu);
        assert_eq!(QemuCpu::parse(note.as_bytes()).unwrap(), cpu);
        let old = QemuCpu::parse(&note.as_bytes()[..QEMU_MIN]).unwrap();
        assert_eq!((old.cr[3], old.kernel_gs_base), (3, None));
        assert!(matches!(
            QemuCpu::parse(&note.as_bytes()[..QEMU_MIN - 1]),
            Err(ImageError::ShortNote {
                name: "QEMU",
                size: 431,
                expected: 432
            })
        ));
        let mut newer = note;
        newer.version = 2;
        assert!(matches!(
            QemuCpu::parse(newer.as_bytes()),
            Err(ImageError::NoteVersion { found: 2, .. })
        ));
    }
}
