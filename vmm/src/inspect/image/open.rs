//! Opening a saved image.

use std::{fs::File, ops::Range, path::Path};

use memmap2::Mmap;

use super::{CpuRegisters, ImageError, PhysMem, SegmentedMemory, core};
use crate::inspect::pagetable::{CpuModel, CpuModelError, PagingState, bits};

/// What the user knows better than the file. Every register that is given replaces the file's.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// A raw image: guest-physical addresses without RAM, such as the window below 4 GiB.
    pub hole: Option<Range<u64>>,
    /// Which CPU's registers to use, counted from 0.
    pub cpu: usize,
    /// CR0.
    pub cr0: Option<u64>,
    /// CR3.
    pub cr3: Option<u64>,
    /// CR4.
    pub cr4: Option<u64>,
    /// EFER.
    pub efer: Option<u64>,
    /// PKRU.
    pub pkru: Option<u32>,
    /// Width of a physical address, 32 to 52 bits.
    pub phys_bits: Option<u8>,
}

/// What kind of file an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// Memory and nothing else.
    Raw,
    /// An ELF core.
    ElfCore,
}

/// An image in a file, mapped read-only. The file must not be cut while it is open.
#[derive(Debug)]
pub struct SavedImage {
    memory: SegmentedMemory<Mmap>,
    kind: ImageKind,
    cpus: Vec<CpuRegisters>,
    paging: PagingState,
    efer_is_assumed: bool,
    root: Option<u64>,
}

impl SavedImage {
    /// Opens `path` as an ELF core if it starts like an ELF file, else as raw memory.
    ///
    /// Registers come from `options`, then from the image. QEMU's dumps lack EFER: it is taken as
    /// long mode with NX enabled, as every 64-bit kernel of today has it, which
    /// [`efer_is_assumed`](Self::efer_is_assumed) reports. A raw image has no registers at all:
    /// CR0 is taken as paging with write protection, CR4 as PAE, CR3 from the guest's root page.
    ///
    /// # Errors
    /// The file cannot be read or is not a whole image; there is no CR3.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        let map = map(path)?;
        if map.starts_with(b"KDUMP   ") || map.starts_with(b"makedumpfile") {
            return Err(ImageError::Compressed.into());
        }
        let is_elf = map.starts_with(b"\x7fELF");
        let (memory, cpus, note) = if is_elf {
            let core = core::parse(&map)?;
            let memory = SegmentedMemory::from_segments(map, core.segments);
            if memory.ranges().is_empty() {
                return Err(ImageError::NoMemory.into());
            }
            (memory, core.cpus, core.pagelab)
        } else {
            (
                SegmentedMemory::flat(map, options.hole.clone())?,
                Vec::new(),
                None,
            )
        };
        if let Some(found) = note.map(|note| note.abi_version)
            && found != pagelab_abi::VERSION
        {
            let gpa = note.map_or(0, |note| note.root);
            let expected = pagelab_abi::VERSION;
            return Err(ImageError::WrongAbi {
                gpa,
                found,
                expected,
            }
            .into());
        }
        let root = match note.map(|note| note.root) {
            Some(u64::MAX) => None,
            Some(gpa) => Some(gpa),
            None => super::find_root(&memory)?.map(|(gpa, _)| gpa),
        };
        let mut model = note.map_or_else(CpuModel::default, |note| CpuModel {
            phys_bits: note.phys_bits,
            gib_pages: note.gib_pages != 0,
            upper_global_reserved: note.upper_global_reserved != 0,
        });
        if let Some(phys_bits) = options.phys_bits {
            model.phys_bits = phys_bits;
        }
        model.check()?;
        let cpu = match cpus.get(options.cpu) {
            Some(cpu) => Some(cpu),
            None if cpus.is_empty() => None,
            None => {
                return Err(OpenError::NoSuchCpu {
                    asked: options.cpu,
                    cpus: cpus.len(),
                });
            }
        };
        let efer = options.efer.or(cpu.and_then(|cpu| cpu.efer));
        let paging = PagingState {
            cr0: options
                .cr0
                .or(cpu.map(|cpu| cpu.cr[0]))
                .unwrap_or(bits::CR0_TYPICAL),
            cr3: match options.cr3.or(cpu.map(|cpu| cpu.cr[3])) {
                Some(cr3) => cr3,
                None => cr3_of_root(&memory, root)?,
            },
            cr4: options
                .cr4
                .or(cpu.map(|cpu| cpu.cr[4]))
                .unwrap_or(bits::CR4_PAE),
            efer: efer.unwrap_or(bits::EFER_TYPICAL),
            pkru: options.pkru.or(cpu.and_then(|cpu| cpu.pkru)).unwrap_or(0),
            model,
        };
        Ok(Self {
            memory,
            kind: if is_elf {
                ImageKind::ElfCore
            } else {
                ImageKind::Raw
            },
            cpus,
            paging,
            efer_is_assumed: efer.is_none(),
            root,
        })
    }

    /// The memory.
    pub fn memory(&self) -> &(impl PhysMem + use<>) {
        &self.memory
    }

    /// What the file is.
    pub fn kind(&self) -> ImageKind {
        self.kind
    }

    /// All CPUs that the image holds.
    pub fn cpus(&self) -> &[CpuRegisters] {
        &self.cpus
    }

    /// The registers that say how the chosen CPU translates addresses.
    pub fn paging(&self) -> PagingState {
        self.paging
    }

    /// Whether EFER is a guess, since neither image nor options tell it.
    pub fn efer_is_assumed(&self) -> bool {
        self.efer_is_assumed
    }

    /// Physical address of the guest's root page; `None` if the image is not of pagelab's guest.
    pub fn root(&self) -> Option<u64> {
        self.root
    }
}

/// Why a saved image cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The image itself.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The CPU that was asked for.
    #[error("image has {cpus} CPUs, numbered from 0; there is no CPU {asked}")]
    NoSuchCpu {
        /// Number asked for.
        asked: usize,
        /// CPUs in the image.
        cpus: usize,
    },
    /// The CPU model.
    #[error(transparent)]
    Model(#[from] CpuModelError),
}

/// Maps a file read-only.
fn map(path: &Path) -> Result<Mmap, ImageError> {
    let error = |source| ImageError::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(error)?;
    if file.metadata().map_err(error)?.len() == 0 {
        return Err(ImageError::NotPageSized { size: 0 });
    }
    // SAFETY: the mapping is private and read-only. That nobody cuts or rewrites the file meanwhile
    // is the documented duty of the user; breaking it ends in SIGBUS or in a wrong answer.
    unsafe { Mmap::map(&file) }.map_err(error)
}

/// CR3 as the guest's root page has it.
fn cr3_of_root(mem: &impl PhysMem, root: Option<u64>) -> Result<u64, ImageError> {
    let root = super::read_root(mem, root.ok_or(ImageError::NoCr3)?)?;
    match root.kernel.cr3 {
        0 => Err(ImageError::NoCr3),
        cr3 => Ok(cr3),
    }
}
