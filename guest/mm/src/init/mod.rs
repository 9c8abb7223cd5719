//! From the boot allocator to the page allocator.
//!
//! * this file: what is asked for, and the order of the steps.
//! * `metadata`: memory for the structures.
//! * `populate`: handing free RAM to the zones, in time that grows with the number of blocks.

mod metadata;
mod populate;

use crate::{
    Mm, Pfn,
    direct_map::DirectMap,
    machine::Machine,
    memblock::{Memblock, MemblockError},
    shrinker::ShrinkerTable,
    user_mm::ThpEnabled,
    zone::{ZoneConfig, request_table, watermark},
};
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use pagelab_abi::{PAGE_SHIFT, mm::MmState, root::MmLayout};

/// What [`Mm::init`] is to make.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The zones.
    pub zones: ZoneConfig,
    /// CPUs that will use the memory manager, 1 to [`crate::MAX_CPUS`].
    pub cpus: u32,
    /// Physical address up to which memory is in the direct map, where metadata has to be.
    pub direct_map_end: u64,
}

/// Why there is no page allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError {
    /// The boot allocator has no RAM.
    NoMemory,
    /// RAM ends beyond what a pfn of 32 bits can name (physical address).
    TooMuchMemory(u64),
    /// Not between 1 and [`crate::MAX_CPUS`].
    Cpus(u32),
    /// The boot allocator could not give memory for the metadata.
    Memblock(MemblockError),
    /// Memory that the boot allocator gave is not in the direct map (physical address).
    NotMapped(u64),
}

impl From<MemblockError> for InitError {
    fn from(error: MemblockError) -> Self {
        Self::Memblock(error)
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => write!(f, "the machine has no memory"),
            Self::TooMuchMemory(end) => {
                write!(
                    f,
                    "memory ends at {end:#x}, beyond the 8 TiB that pfns reach"
                )
            }
            Self::Cpus(cpus) => write!(
                f,
                "{cpus} CPUs asked for, but the memory manager takes 1 to {}",
                crate::MAX_CPUS
            ),
            Self::Memblock(error) => error.fmt(f),
            Self::NotMapped(address) => write!(f, "{address:#x} is not in the direct map"),
        }
    }
}

impl core::error::Error for InitError {}

impl<M: Machine + 'static> Mm<M> {
    /// Builds the page allocator from what the boot allocator knows: all RAM added, and the kernel
    /// image, the ramfs and the firmware's tables reserved. All other RAM becomes free.
    ///
    /// The metadata (a descriptor of 32 bytes for each frame, and some KiB) is taken from
    /// `memblock` first; after this call `memblock` is history, and the host finds its tables in
    /// [`MmState`]. The caller keeps the result in a static, and writes [`Mm::layout`] into the root
    /// page.
    ///
    /// # Errors
    /// [`InitError`].
    pub fn init(machine: M, memblock: &mut Memblock, config: Config) -> Result<Self, InitError> {
        if config.cpus == 0 || config.cpus as usize > crate::MAX_CPUS {
            return Err(InitError::Cpus(config.cpus));
        }
        let metadata = metadata::allocate(&machine, memblock, &config)?;
        let (state, map) = (metadata.state, metadata.map);
        populate::add_memory(memblock, state, &map, &config.zones);
        watermark::setup(state);
        watermark::setup_pcp(state, metadata.percpu);
        for cpu in &metadata.percpu[..config.cpus as usize] {
            cpu.online.store(1, Relaxed);
        }
        let direct_map = DirectMap::of(&machine, map.start_pfn())
            .ok_or(InitError::NotMapped(Pfn(map.start_pfn()).phys()))?;
        Ok(Self {
            machine,
            map,
            direct_map,
            percpu: metadata.percpu,
            state,
            layout: MmLayout {
                state: metadata.state_address,
                state_size: size_of::<MmState>() as u64,
            },
            requests: request_table(config.zones.model(), &state.zones),
            shrinkers: ShrinkerTable::new(),
            vm: spin::Once::new(),
            page_cache: spin::Once::new(),
            stores: crate::page_cache::StoreTable::new(),
            swap: spin::Once::new(),
            thp: AtomicU32::new(ThpEnabled::default() as u32),
            bad_entries: AtomicU64::new(0),
        })
    }
}

/// The frame in which a physical address is, for addresses that are known to have one.
const fn pfn(address: u64) -> u32 {
    (address >> PAGE_SHIFT) as u32
}
