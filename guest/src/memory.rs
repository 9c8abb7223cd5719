//! From the loader's memory map to the memory manager.

use crate::{
    arch::{
        kmap,
        layout::{self, EARLY_END, PAGE_SIZE},
        paging::{self, Plan, mapper::NoFrames},
        pvh::BootInfo,
    },
    cmdline::{Cmdline, Device},
    machine::{self, Guest},
    root, view,
};
use core::{fmt, ops::Range};
use pagelab_abi::{platform::KERNEL_BASE, root::KernelMap, slab::CacheFlags, zone::ZoneKind};
use pagelab_mm::{
    Mm,
    init::{Config, InitError},
    memblock::{Memblock, MemblockError},
    slab::{UnknownLetter, parse_slab_debug},
    zone::{ZoneConfig, ZoneLimitError},
};
use spin::Once;

/// The memory manager of this kernel.
pub(crate) type Memory = Mm<Guest>;

static MEMORY: Once<Memory> = Once::new();

/// The slab allocator of this kernel.
pub(crate) type Slab = pagelab_mm::slab::Slab<'static, Memory>;

/// The slab allocator.
pub(crate) fn slab() -> Slab {
    mm().slab()
}

/// The memory manager.
///
/// # Panics
/// Before [`init`] is done.
#[inline]
pub(crate) fn mm() -> &'static Memory {
    MEMORY
        .get()
        .expect("the memory manager is initialised at boot")
}

/// Physical addresses with 32-bit pfns end here.
const MAX_PHYSICAL: u64 = 1 << 44;

/// Why there is no memory to work with.
#[derive(Debug)]
pub(crate) enum Error {
    Limits(ZoneLimitError),
    Memblock(MemblockError),
    /// No frames for the page tables below the first GiB.
    PageTables,
    /// A device's registers overlap RAM (physical address).
    DeviceInRam(u64),
    Init(InitError),
    SlabDebug(UnknownLetter),
    /// No page for the slab allocator, or for the caches of address spaces.
    Slab,
}

impl From<UnknownLetter> for Error {
    fn from(error: UnknownLetter) -> Self {
        Self::SlabDebug(error)
    }
}

impl From<ZoneLimitError> for Error {
    fn from(error: ZoneLimitError) -> Self {
        Self::Limits(error)
    }
}

impl From<MemblockError> for Error {
    fn from(error: MemblockError) -> Self {
        Self::Memblock(error)
    }
}

impl From<NoFrames> for Error {
    fn from(NoFrames: NoFrames) -> Self {
        Self::PageTables
    }
}

impl From<InitError> for Error {
    fn from(error: InitError) -> Self {
        Self::Init(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limits(error) => error.fmt(f),
            Self::Memblock(error) => error.fmt(f),
            Self::PageTables => write!(f, "too little memory for the kernel's page tables"),
            Self::DeviceInRam(at) => write!(f, "device registers at {at:#x} overlap RAM"),
            Self::Init(error) => error.fmt(f),
            Self::SlabDebug(error) => error.fmt(f),
            Self::Slab => write!(f, "too little memory for the slab allocator"),
        }
    }
}

/// What boot has made before the switch to its own page tables.
pub(crate) struct Prepared {
    memblock: Memblock,
    config: Config,
    slab_debug: CacheFlags,
    /// For CR3.
    pub(crate) root_table: u64,
    kmap_table: u64,
}

/// Reads the memory map and makes the kernel's page tables.
pub(crate) fn prepare(info: &BootInfo, cmdline: &Cmdline<'_>) -> Result<Prepared, Error> {
    let zones = ZoneConfig::with_limits(cmdline.model, cmdline.zone_limits())?;
    let mut memblock = Memblock::new();
    for ram in info.ram() {
        let start = ram.start.next_multiple_of(PAGE_SIZE);
        let end = ram.end.min(MAX_PHYSICAL) & !(PAGE_SIZE - 1);
        memblock.add(start, end.saturating_sub(start))?;
    }
    // The first page holds nothing, so that no allocation has the physical address 0.
    reserve(&mut memblock, 0..PAGE_SIZE)?;
    reserve(&mut memblock, layout::image())?;
    if let Some(initrd) = &info.initrd {
        reserve(&mut memblock, initrd.clone())?;
    }
    check_devices(cmdline.devices(), &memblock)?;

    let slab_debug = match cmdline.slab_debug {
        Some(letters) => parse_slab_debug(letters)?,
        None => CacheFlags::empty(),
    };

    let ram = *memblock.memory();
    let ram_end = ram
        .as_slice()
        .last()
        .map_or(0, pagelab_abi::memblock::Region::end);
    let direct_map_end = zones.direct_map_end(ram_end);
    let limit = direct_map_end.min(EARLY_END);
    let tables = paging::build(
        Plan {
            ram: &mut ram.as_slice().iter().map(|ram| ram.base..ram.end()),
            direct_map_end,
            devices: &mut cmdline.devices().iter().map(|device| device.window.clone()),
        },
        &mut |pages| {
            let bytes = pages * PAGE_SIZE;
            let at = memblock.alloc(bytes, PAGE_SIZE, limit).ok()?;
            // SAFETY: below EARLY_END, which the entry code has mapped, and nobody else's.
            unsafe {
                core::ptr::write_bytes((KERNEL_BASE + at) as *mut u64, 0, bytes as usize / 8)
            };
            Some(at)
        },
    )?;
    root::set_kernel(KernelMap {
        text_start: layout::text().start,
        text_end: layout::text().end,
        rodata_start: layout::rodata().start,
        rodata_end: layout::rodata().end,
        data_start: layout::data().start,
        data_end: layout::data().end,
        cr3: tables.root,
        direct_map_end,
    });
    let config = Config {
        zones,
        cpus: 1,
        direct_map_end,
    };
    view::init(memblock.alloc(view::BUFFER_PAGES * PAGE_SIZE, PAGE_SIZE, limit)?);
    Ok(Prepared {
        memblock,
        config,
        slab_debug,
        root_table: tables.root,
        kmap_table: tables.kmap_table,
    })
}

/// Starts the memory manager, on the kernel's own page tables.
pub(crate) fn init(mut prepared: Prepared) -> Result<&'static Memory, Error> {
    machine::set_direct_map_end(prepared.config.direct_map_end);
    machine::set_kernel_pgd(prepared.root_table);
    kmap::init(prepared.kmap_table);
    let mm = Mm::init(Guest, &mut prepared.memblock, prepared.config)?;
    let mm = MEMORY.call_once(|| mm);
    mm.slab_init(prepared.slab_debug).map_err(|_| Error::Slab)?;
    mm.vm_init().map_err(|_| Error::Slab)?;
    root::set_mm(mm.layout());
    Ok(mm)
}

/// Takes the pages that a range touches.
fn reserve(memblock: &mut Memblock, range: Range<u64>) -> Result<(), MemblockError> {
    let start = range.start & !(PAGE_SIZE - 1);
    let end = range
        .end
        .checked_next_multiple_of(PAGE_SIZE)
        .unwrap_or(range.end);
    memblock.reserve(start, end - start)
}

fn check_devices(devices: &[Device], memblock: &Memblock) -> Result<(), Error> {
    let ram = memblock.memory();
    for Device { window, .. } in devices {
        let overlaps = |ram: &&pagelab_abi::memblock::Region| {
            ram.base < window.end.next_multiple_of(PAGE_SIZE) && window.start < ram.end()
        };
        if window.end > MAX_PHYSICAL || ram.as_slice().iter().any(|ram| overlaps(&ram)) {
            return Err(Error::DeviceInRam(window.start));
        }
    }
    Ok(())
}

/// The zones in one line: names and present memory in MiB.
pub(crate) struct Summary(pub(crate) &'static Memory);

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for zone in self.0.zones() {
            let name = ZoneKind::from_u32(zone.kind).map_or("?", ZoneKind::name);
            write!(
                f,
                "{separator}{name} {} MiB",
                (u64::from(zone.present) * PAGE_SIZE) >> 20
            )?;
            separator = ", ";
        }
        Ok(())
    }
}
