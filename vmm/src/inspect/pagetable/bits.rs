//! Bits of control registers and of page-table entries (SDM volume 3, sections 2.5 and 4.3 to 4.5).

/// CR0.PE: protected mode.
pub const CR0_PE: u64 = 1 << 0;
/// CR0.WP: ring 0, too, obeys read-only pages.
pub const CR0_WP: u64 = 1 << 16;
/// CR0.PG: paging.
pub const CR0_PG: u64 = 1 << 31;
/// CR0 as a running kernel has it.
pub const CR0_TYPICAL: u64 = CR0_PE | CR0_WP | CR0_PG;

/// CR4.PSE: large pages in 32-bit paging; without meaning here.
pub const CR4_PSE: u64 = 1 << 4;
/// CR4.PAE: entries of 64 bits.
pub const CR4_PAE: u64 = 1 << 5;
/// CR4.PGE: global pages.
pub const CR4_PGE: u64 = 1 << 7;
/// CR4.LA57: five levels.
pub const CR4_LA57: u64 = 1 << 12;
/// CR4.SMEP: ring 0 does not execute user pages.
pub const CR4_SMEP: u64 = 1 << 20;
/// CR4.SMAP: ring 0 does not touch user pages, unless EFLAGS.AC is set.
pub const CR4_SMAP: u64 = 1 << 21;
/// CR4.PKE: protection keys for user pages.
pub const CR4_PKE: u64 = 1 << 22;

/// EFER.LME: long mode wanted.
pub const EFER_LME: u64 = 1 << 8;
/// EFER.LMA: long mode active.
pub const EFER_LMA: u64 = 1 << 10;
/// EFER.NXE: the NX bit exists.
pub const EFER_NXE: u64 = 1 << 11;
/// EFER as a 64-bit kernel has it.
pub const EFER_TYPICAL: u64 = EFER_LME | EFER_LMA | EFER_NXE;

/// EFLAGS.AC: lifts SMAP for explicit accesses.
pub const EFLAGS_AC: u64 = 1 << 18;

/// P: the entry is present.
pub const P: u64 = 1 << 0;
/// R/W: writable.
pub const W: u64 = 1 << 1;
/// U/S: for user mode.
pub const U: u64 = 1 << 2;
/// PWT.
pub const PWT: u64 = 1 << 3;
/// PCD.
pub const PCD: u64 = 1 << 4;
/// A: accessed.
pub const A: u64 = 1 << 5;
/// D: dirty.
pub const D: u64 = 1 << 6;
/// PS: the entry maps a large page (levels 2 and 3).
pub const PS: u64 = 1 << 7;
/// PAT in an entry of level 1.
pub const PAT: u64 = 1 << 7;
/// G: global.
pub const G: u64 = 1 << 8;
/// PAT in an entry that maps a large page.
pub const PAT_LARGE: u64 = 1 << 12;
/// The protection key.
pub const PKEY: u64 = 0xf << PKEY_SHIFT;
/// Lowest bit of the protection key.
pub const PKEY_SHIFT: u32 = 59;
/// XD, also called NX: no instruction fetch.
pub const NX: u64 = 1 << 63;
/// The address field at its widest, bits 12 to 51.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
