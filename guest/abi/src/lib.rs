//! Everything that pagelab's host and guest agree on.
//!
//! The host never links the guest's logic, and the guest never links the host's: what they share
//! are the layouts, numbers and names in this crate, and nothing else. A change to any of them
//! changes [`VERSION`], and each side refuses the other's version by name.
//!
//! * [`platform`]: I/O ports, virtual address layout, kernel command line keys.
//! * [`program`]: a Linux program as the workload.
//! * [`root`]: the page from which the host finds every structure of the guest.
//! * [`event`]: the event clock and the trace hash.
//! * [`control`]: what the host writes while the guest stands at an event.
//! * [`access`]: what the CPU said about generated page tables.
//! * [`fault`]: fault-injection knobs, named as Linux names them.
//! * [`gfp`]: allocation flags.
//! * [`memblock`], [`mm`], [`page`], [`percpu`], [`vmstat`], [`zone`], `slab`: the memory manager's
//!   structures in RAM.
//! * [`mm_struct`], [`vma`], [`pte`]: an address space, its areas, the entries of its page tables. [`tlb`]: what
//!   the CPU was made to forget of them.
//! * [`mman`], [`errno`]: arguments and errors of the memory system calls.
//! * [`mod@task`], the processes.
//! * [`page_cache`]: the files' pages. [`swap`]: slots, and the swap device.
//! * [`memory_failure`]: frames whose memory is broken.
//! * [`memcg`]: groups of processes with a limit. [`oom`]: who was killed for want of memory. [`mod@panic`]: what a dying guest leaves behind.
//! * [`view`]: texts in Linux's /proc formats, handed from guest to host.
//! * [`workload`]: phases and results of the guest's workload.
//!
//! All structures are `repr(C)` with explicit padding, little-endian, and hold *physical*
//! addresses or page frame numbers (pfn), so a reader needs no page table. Fields that several
//! CPUs write are atomics of the same layout as the plain integer.
#![no_std]
#![forbid(unsafe_code)]

pub mod access;
pub mod control;
pub mod errno;
pub mod event;
pub mod event_log;
pub mod fault;
pub mod gfp;
pub mod lru;
pub mod memblock;
pub mod memcg;
pub mod memory_failure;
pub mod mm;
pub mod mm_struct;
pub mod mman;
pub mod oom;
pub mod page;
pub mod page_cache;
pub mod panic;
pub mod percpu;
pub mod platform;
pub mod program;
pub mod pte;
pub mod root;
pub mod slab;
pub mod swap;
pub mod task;
pub mod tlb;
pub mod view;
pub mod vma;
pub mod vmstat;
pub mod workload;
pub mod zone;

/// Version of every layout in this crate. Increased by each incompatible change.
pub const VERSION: u32 = 5;

/// Bytes in a page frame, the unit of all physical memory management.
pub const PAGE_SIZE: u64 = 4096;

/// Binary logarithm of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
