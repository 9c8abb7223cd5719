//! PVH boot: what the guest finds in memory and in its registers at its first instruction.
//!
//! Source: Xen, docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h.
//!
//! ```text
//!  BOOT_AREA   0x6000  hvm_start_info, module list, memory map
//!              0x7000  command line, NUL-terminated
//!              0x8000  end
//!  initramfs   page-aligned, ends at the end of low RAM or at the configured limit (896 MiB), whichever is lower
//! ```

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};
use linux_loader::cmdline::Cmdline;
use linux_loader::configurator::pvh::PvhBootConfigurator;
use linux_loader::configurator::{BootConfigurator, BootParams};
use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_start_info};
use linux_loader::loader::load_cmdline;
use thiserror::Error;
use vm_memory::GuestAddress;

use super::initramfs::Initramfs;
use super::kernel::KernelLayout;
use super::memory::GuestMemory;
use crate::size::ByteSize;

/// Where the boot information goes. No kernel segment may overlap it.
pub const BOOT_AREA: Range<u64> = START_INFO..CMDLINE + CMDLINE_MAX as u64;

/// Longest command line in bytes, its NUL included.
pub const CMDLINE_MAX: usize = 4096;

const START_INFO: u64 = 0x6000;
const MODULE_LIST: u64 = 0x6040;
const MEMORY_MAP: u64 = 0x6080;
const CMDLINE: u64 = 0x7000;

/// `XEN_HVM_START_MAGIC_VALUE`.
const START_MAGIC: u32 = 0x336e_c578;

/// Type of RAM in the memory map (`XEN_HVM_MEMMAP_TYPE_RAM`).
const MEMMAP_RAM: u32 = 1;

/// Why the guest cannot be prepared for its first instruction.
#[derive(Debug, Error)]
pub enum BootError {
    /// The command line holds something that cannot be passed.
    #[error(
        "command line {text:?} is not usable: {why}; use printable ASCII, at most {} bytes",
        CMDLINE_MAX - 1
    )]
    Cmdline {
        /// The command line.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The initial ramfs cannot be read.
    #[error("initial ramfs {}: {source}; check the path and its permissions", path.display())]
    InitramfsRead {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The initial ramfs and the kernel do not both fit.
    #[error(
        "initial ramfs {name} of {size} bytes does not fit in the {} that the kernel leaves; give \
         more memory", ByteSize(*room)
    )]
    InitramfsTooLarge {
        /// The file, or what it was made of.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// Bytes that are free for it.
        room: u64,
    },
    /// The boot information could not be written.
    #[error("cannot write the boot information: {0}")]
    Configure(String),
}

/// Writes the boot information and the initial ramfs, the latter below a limit.
pub(super) fn write(
    memory: &GuestMemory,
    ram: &[Range<u64>],
    kernel: &KernelLayout,
    initramfs: Option<(&Initramfs, u64)>,
    cmdline: &str,
) -> Result<(), BootError> {
    write_cmdline(memory, cmdline)?;
    let module = match initramfs {
        Some((initramfs, limit)) => Some(initramfs.write(memory, ram, kernel, limit)?),
        None => None,
    };
    let map: Vec<_> = ram
        .iter()
        .map(|range| hvm_memmap_table_entry {
            addr: range.start,
            size: range.end - range.start,
            type_: MEMMAP_RAM,
            reserved: 0,
        })
        .collect();
    let start_info = hvm_start_info {
        magic: START_MAGIC,
        version: 1,
        nr_modules: module.is_some().into(),
        modlist_paddr: if module.is_some() { MODULE_LIST } else { 0 },
        cmdline_paddr: CMDLINE,
        memmap_paddr: MEMORY_MAP,
        memmap_entries: map.len() as u32,
        ..Default::default()
    };
    let mut params = BootParams::new(&start_info, GuestAddress(START_INFO));
    params.set_sections(&map, GuestAddress(MEMORY_MAP));
    if let Some(module) = module {
        params.set_modules(&[module], GuestAddress(MODULE_LIST));
    }
    PvhBootConfigurator::write_bootparams(&params, memory)
        .map_err(|error| BootError::Configure(error.to_string()))
}

fn write_cmdline(memory: &GuestMemory, text: &str) -> Result<(), BootError> {
    let refused = |why: String| BootError::Cmdline {
        text: text.to_owned(),
        why,
    };
    let mut cmdline = Cmdline::new(CMDLINE_MAX).map_err(|error| refused(error.to_string()))?;
    if !text.is_empty() {
        cmdline
            .insert_str(text)
            .map_err(|error| refused(error.to_string()))?;
    }
    load_cmdline(memory, GuestAddress(CMDLINE), &cmdline)
        .map_err(|error| BootError::Configure(error.to_string()))
}

/// General registers at the first instruction.
pub(super) fn registers(entry: u64) -> kvm_regs {
    kvm_regs {
        rip: entry,
        rbx: START_INFO,
        // Bit 1 always reads as one (Intel SDM vol. 1, 3.4.3).
        rflags: 1 << 1,
        ..Default::default()
    }
}

/// Sets the system registers for the first instruction: 32-bit protected mode, flat segments, no
/// paging.
pub(super) fn set_system_registers(sregs: &mut kvm_sregs) {
    // Type 11: execute/read, accessed; 3: read/write, accessed; 11 in a system segment: busy
    // 32-bit TSS (Intel SDM vol. 3, 3.4.5.1 and 3.5).
    let flat = |selector, type_| kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
    let data = flat(0x10, 3);
    sregs.cs = flat(0x8, 11);
    sregs.ds = data;
    sregs.es = data;
    sregs.fs = data;
    sregs.gs = data;
    sregs.ss = data;
    sregs.tr = kvm_segment {
        limit: 0x67,
        selector: 0x18,
        type_: 11,
        present: 1,
        ..Default::default()
    };
    sregs.gdt.limit = 0;
    sregs.idt.limit = 0;
    // PE, and ET which always reads as one.
    sregs.cr0 = 1 | 1 << 4;
    sregs.cr4 = 0;
    sregs.efer = 0;
}

#[cfg(test)]
mod tests {
    use super::super::initramfs::INITRAMFS_LIMIT;
    use super::*;
    use crate::machine::memory::{allocate, ram_ranges};
    use linux_loader::loader::elf::start_info::hvm_modlist_entry;
    use std::io::Write;
    use vm_memory::Bytes;

    const KERNEL: KernelLayout = KernelLayout {
        entry: 0x10_0000,
        end: 0x20_0000,
    };

    fn boot(
        memory: u64,
        initramfs: Option<Initramfs>,
        cmdline: &str,
    ) -> Result<GuestMemory, BootError> {
        let ram = ram_ranges(memory).unwrap();
        let guest = allocate(&ram).unwrap();
        let initramfs = initramfs.as_ref().map(|it| (it, INITRAMFS_LIMIT));
        write(&guest, &ram, &KERNEL, initramfs, cmdline)?;
        Ok(guest)
    }

    #[test]
    fn the_memory_map_has_both_ranges() {
        let guest = boot(8 << 30, None, "seed=1").unwrap();
        let info: hvm_start_info = guest.read_obj(GuestAddress(START_INFO)).unwrap();
        assert_eq!((info.magic, info.version), (START_MAGIC, 1));
        assert_eq!((info.memmap_entries, info.nr_modules), (2, 0));
        let entry: hvm_memmap_table_entry = guest.read_obj(GuestAddress(MEMORY_MAP + 24)).unwrap();
        assert_eq!(entry.addr, 4 << 30);
        assert_eq!(entry.size, (8 << 30) - 0xd000_0000);
        let mut text = [0; 7];
        guest.read_slice(&mut text, GuestAddress(CMDLINE)).unwrap();
        assert_eq!(&text, b"seed=1\0");
    }

    #[test]
    fn the_initramfs_ends_low_memory() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 5000]).unwrap();
        for initramfs in [
            Initramfs::Path(file.path().into()),
            Initramfs::Bytes(vec![7; 5000].into()),
        ] {
            let guest = boot(16 << 20, Some(initramfs), "").unwrap();
            let module: hvm_modlist_entry = guest.read_obj(GuestAddress(MODULE_LIST)).unwrap();
            assert_eq!((module.paddr, module.size), ((16 << 20) - 8192, 5000));
            let last: u8 = guest.read_obj(GuestAddress(module.paddr + 4999)).unwrap();
            assert_eq!(last, 7);
        }
    }

    #[test]
    fn bad_files_are_named() {
        let text = |path: &str| {
            let error = boot(16 << 20, Some(Initramfs::Path(path.into())), "").unwrap_err();
            error.to_string()
        };
        assert!(text("/no/such/ramfs").contains("/no/such/ramfs"));
        assert!(text("/dev/null").contains("not a regular file"));
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(15 << 20).unwrap();
        let path = file.path().to_str().unwrap();
        assert!(text(path).contains("15728640 bytes does not fit in the 14M"));
        let bytes = Initramfs::Bytes(vec![0; 15 << 20].into());
        let error = boot(16 << 20, Some(bytes), "").unwrap_err().to_string();
        assert!(error.contains("does not fit"));
    }

    #[test]
    fn bad_command_lines_are_named() {
        for text in ["a\0b", "naïve=1", &"x".repeat(CMDLINE_MAX)] {
            let error = boot(16 << 20, None, text).unwrap_err();
            assert!(matches!(error, BootError::Cmdline { .. }), "{error}");
        }
    }
}
