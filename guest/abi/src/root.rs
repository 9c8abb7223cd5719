//! The page from which the host finds everything.
//!
//! It is page-aligned in the kernel's data. A running guest names its pfn at
//! [`crate::platform::ROOT_PORT`]; in a saved image it is the page below 896 MiB that starts with
//! [`MAGIC`].

use crate::{
    VERSION, access::AccessBatch, control::Control, event::EventClock, event_log::EventLog,
    oom::OomKills, panic::PanicRecord, program::ProgramEnd, swap::DiskIo, task::TaskList,
    tlb::TlbFlushes, view::ViewBuffer, workload::Progress,
};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// First eight bytes of the root page.
pub const MAGIC: [u8; 8] = *b"PAGELAB\x1a";

/// The root. Its physical addresses are valid from [`crate::platform::Doorbell::Ready`] on.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(4096))]
pub struct Root {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`] of the guest.
    pub version: u32,
    /// `size_of::<Root>()` in the guest.
    pub size: u32,
    /// The kernel's own place in memory.
    pub kernel: KernelMap,
    /// The event clock.
    pub clock: EventClock,
    /// What the host asks for.
    pub control: Control,
    /// What the workload has done.
    pub progress: Progress,
    /// Texts for the host.
    pub view: ViewBuffer,
    /// Where the memory manager's structures are.
    pub mm: MmLayout,
    /// The last words of a guest that panicked.
    pub panic: PanicRecord,
    /// Results of the workload `access`.
    pub access: AccessBatch,
    /// All processes.
    pub tasks: TaskList,
    /// What became of the program that is the workload.
    pub program: ProgramEnd,
    /// What the guest did with its swap device.
    pub swap_io: DiskIo,
    /// What the guest did with its disk for files.
    pub file_io: DiskIo,
    /// Who was killed for want of memory.
    pub oom: OomKills,
    /// Where events are recorded.
    pub log: EventLog,
    /// What the CPU was made to forget.
    pub tlb: TlbFlushes,
    /// Zero up to the end of the page.
    pub reserved: [u8; RESERVED],
}

/// Bytes of [`Root::reserved`].
const RESERVED: usize = 4096
    - 16
    - size_of::<KernelMap>()
    - size_of::<EventClock>()
    - size_of::<Control>()
    - size_of::<Progress>()
    - size_of::<ViewBuffer>()
    - size_of::<MmLayout>()
    - size_of::<PanicRecord>()
    - size_of::<AccessBatch>()
    - size_of::<TaskList>()
    - size_of::<ProgramEnd>()
    - 2 * size_of::<DiskIo>()
    - size_of::<OomKills>()
    - size_of::<EventLog>()
    - size_of::<TlbFlushes>();

/// Physical addresses of the kernel image's parts (bytes, page-aligned, ends exclusive) and its
/// page table.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct KernelMap {
    /// Start of the executable part.
    pub text_start: u64,
    /// End of the executable part.
    pub text_end: u64,
    /// Start of the read-only data.
    pub rodata_start: u64,
    /// End of the read-only data.
    pub rodata_end: u64,
    /// Start of the writable data.
    pub data_start: u64,
    /// End of the writable data, bss included.
    pub data_end: u64,
    /// The kernel's CR3.
    pub cr3: u64,
    /// Physical memory below this address is in the direct map.
    pub direct_map_end: u64,
}

/// Where the memory manager's structures are: physical addresses and counts. Filled in by
/// `pagelab-mm` at the end of early boot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct MmLayout {
    /// Physical address of the memory manager's own root structure.
    pub state: u64,
    /// Its size in bytes.
    pub state_size: u64,
}

impl Root {
    /// A root page with nothing in it but magic, version and size.
    pub const fn new() -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            size: size_of::<Self>() as u32,
            kernel: KernelMap {
                text_start: 0,
                text_end: 0,
                rodata_start: 0,
                rodata_end: 0,
                data_start: 0,
                data_end: 0,
                cr3: 0,
                direct_map_end: 0,
            },
            clock: EventClock::new(),
            control: Control::new(),
            progress: Progress::new(),
            view: ViewBuffer::new(),
            mm: MmLayout {
                state: 0,
                state_size: 0,
            },
            panic: PanicRecord::new(),
            access: AccessBatch::new(),
            tasks: TaskList::new(),
            program: ProgramEnd::new(),
            swap_io: DiskIo::new(),
            file_io: DiskIo::new(),
            oom: OomKills::new(),
            log: EventLog::new(),
            tlb: TlbFlushes::new(),
            reserved: [0; RESERVED],
        }
    }
}

impl Default for Root {
    fn default() -> Self {
        Self::new()
    }
}
