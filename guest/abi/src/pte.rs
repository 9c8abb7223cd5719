//! Entries of the guest's page tables for programs: x86-64's bits, and the guest's use of those
//! that the CPU ignores (Linux arch/x86/include/asm/pgtable_types.h has the same).

/// The entry maps or leads on.
pub const PTE_PRESENT: u64 = 1 << 0;
/// Stores are allowed.
pub const PTE_WRITE: u64 = 1 << 1;
/// Ring 3 may use it.
pub const PTE_USER: u64 = 1 << 2;
/// The CPU has used it.
pub const PTE_ACCESSED: u64 = 1 << 5;
/// The CPU has stored through it.
pub const PTE_DIRTY: u64 = 1 << 6;
/// In an entry above the last level: maps a large page.
pub const PTE_LARGE: u64 = 1 << 7;
/// Without [`PTE_PRESENT`]: the entry holds a page, with a reference, that nobody may access.
pub const PTE_PROTNONE: u64 = 1 << 8;
/// The frame has no reference from this entry: it is the zero page.
pub const PTE_SPECIAL: u64 = 1 << 9;
/// Instruction fetches are not allowed.
pub const PTE_NX: u64 = 1 << 63;
/// Physical address of the frame or of the next table.
pub const PTE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Lowest address that a program may map (Linux: `mmap_min_addr`).
pub const USER_START: u64 = 0x1_0000;
/// First address that is too high for a program (Linux: `TASK_SIZE_MAX`).
pub const USER_END: u64 = 0x7fff_ffff_f000;
/// Entries of the top-level table that are the program's.
pub const USER_PGD_ENTRIES: usize = 256;
