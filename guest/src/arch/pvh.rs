//! What the loader says about the machine: `hvm_start_info` of the PVH boot protocol (Xen,
//! xen/include/public/arch-x86/hvm/start_info.h).
//!
//! Nothing in it is trusted: a table outside the first GiB, too many regions or a command line
//! without an end make the machine unfit, by name.

use super::layout::EARLY_END;
use core::ops::Range;
use pagelab_abi::platform::KERNEL_BASE;
use zerocopy::FromBytes;

/// Value of [`StartInfo::magic`]: "xEn3" with the 0x80 bit of the "E" set.
const MAGIC: u32 = 0x336e_c578;

/// Type of a memory map entry that is RAM, as in an E820 map.
const RAM: u32 = 1;

/// Regions of RAM that a machine may have.
pub(crate) const MAX_REGIONS: usize = 32;

/// Entries that a memory map may have.
const MAX_ENTRIES: u32 = 128;

/// Bytes of the longest command line; that of Linux on x86.
const MAX_CMDLINE: u64 = 2048;

#[derive(FromBytes)]
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    nr_modules: u32,
    modlist_paddr: u64,
    cmdline_paddr: u64,
    rsdp_paddr: u64,
    memmap_paddr: u64,
    memmap_entries: u32,
    reserved: u32,
}

#[derive(FromBytes)]
#[repr(C)]
struct MemmapEntry {
    addr: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

#[derive(FromBytes)]
#[repr(C)]
struct ModlistEntry {
    paddr: u64,
    size: u64,
    cmdline_paddr: u64,
    reserved: u64,
}

/// Why a machine cannot be used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unfit {
    /// The start information does not begin with its magic number.
    NotPvh(u32),
    /// Version 0 has no memory map.
    Version(u32),
    /// A table lies outside the first GiB: what, where.
    OutOfReach(&'static str, u64),
    /// The memory map has no entry, or too many.
    MemmapEntries(u32),
    /// There are more regions of RAM than [`MAX_REGIONS`].
    TooManyRegions,
    /// A region or a module ends beyond the address space.
    Wraps(u64),
    /// The command line has no end or is not ASCII.
    CommandLine,
}

impl core::fmt::Display for Unfit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotPvh(magic) => write!(f, "start info has magic {magic:#x}, not {MAGIC:#x}"),
            Self::Version(version) => write!(f, "start info version {version} has no memory map"),
            Self::OutOfReach(what, at) => write!(f, "{what} at {at:#x} is not in the first GiB"),
            Self::MemmapEntries(n) => {
                write!(f, "memory map of {n} entries, not 1 to {MAX_ENTRIES}")
            }
            Self::TooManyRegions => write!(f, "more than {MAX_REGIONS} regions of RAM"),
            Self::Wraps(at) => write!(f, "region at {at:#x} ends beyond the address space"),
            Self::CommandLine => {
                write!(
                    f,
                    "command line is not ASCII of less than {MAX_CMDLINE} bytes"
                )
            }
        }
    }
}

/// The loader's information, copied.
pub(crate) struct BootInfo {
    regions: [Range<u64>; MAX_REGIONS],
    region_count: usize,
    cmdline: [u8; MAX_CMDLINE as usize],
    cmdline_len: usize,
    /// The initial ramfs, physical.
    pub(crate) initrd: Option<Range<u64>>,
}

impl BootInfo {
    /// Regions of RAM as the loader gave them: physical, in no order, not aligned.
    pub(crate) fn ram(&self) -> &[Range<u64>] {
        &self.regions[..self.region_count]
    }

    /// The command line.
    pub(crate) fn cmdline(&self) -> &str {
        core::str::from_utf8(&self.cmdline[..self.cmdline_len]).unwrap_or("")
    }

    /// Reads the start information at physical address `at`, into static memory.
    pub(crate) fn read(at: u32) -> Result<Self, Unfit> {
        let start: StartInfo = read("start info", u64::from(at))?;
        if start.magic != MAGIC {
            return Err(Unfit::NotPvh(start.magic));
        }
        if start.version == 0 {
            return Err(Unfit::Version(start.version));
        }
        let mut info = Self {
            regions: [const { 0..0 }; MAX_REGIONS],
            region_count: 0,
            cmdline: [0; MAX_CMDLINE as usize],
            cmdline_len: 0,
            initrd: None,
        };
        info.read_memmap(start.memmap_paddr, start.memmap_entries)?;
        if start.cmdline_paddr != 0 {
            info.read_cmdline(start.cmdline_paddr)?;
        }
        if start.nr_modules > 0 {
            let module: ModlistEntry = read("module list", start.modlist_paddr)?;
            let range = range(module.paddr, module.size)?;
            info.initrd = (!range.is_empty()).then_some(range);
        }
        Ok(info)
    }

    fn read_memmap(&mut self, at: u64, entries: u32) -> Result<(), Unfit> {
        if entries == 0 || entries > MAX_ENTRIES {
            return Err(Unfit::MemmapEntries(entries));
        }
        for i in 0..u64::from(entries) {
            let size = size_of::<MemmapEntry>() as u64;
            let at = at.checked_add(i * size).ok_or(Unfit::Wraps(at))?;
            let entry: MemmapEntry = read("memory map", at)?;
            let ram = range(entry.addr, entry.size)?;
            if entry.kind != RAM || ram.is_empty() {
                continue;
            }
            let slot = self
                .regions
                .get_mut(self.region_count)
                .ok_or(Unfit::TooManyRegions)?;
            *slot = ram;
            self.region_count += 1;
        }
        Ok(())
    }

    fn read_cmdline(&mut self, at: u64) -> Result<(), Unfit> {
        for (i, byte) in self.cmdline.iter_mut().enumerate() {
            *byte = read(
                "command line",
                at.checked_add(i as u64).ok_or(Unfit::CommandLine)?,
            )?;
            match *byte {
                0 => {
                    self.cmdline_len = i;
                    return Ok(());
                }
                1..=0x7f => {}
                _ => return Err(Unfit::CommandLine),
            }
        }
        Err(Unfit::CommandLine)
    }
}

fn range(start: u64, size: u64) -> Result<Range<u64>, Unfit> {
    Ok(start..start.checked_add(size).ok_or(Unfit::Wraps(start))?)
}

/// A copy of what lies at a physical address.
fn read<T: FromBytes>(what: &'static str, at: u64) -> Result<T, Unfit> {
    let end = at.checked_add(size_of::<T>() as u64);
    if end.is_none_or(|end| end > EARLY_END) {
        return Err(Unfit::OutOfReach(what, at));
    }
    // SAFETY: the entry's page tables map the first GiB at KERNEL_BASE; any bytes are a T.
    Ok(unsafe { ((KERNEL_BASE + at) as *const T).read_unaligned() })
}
