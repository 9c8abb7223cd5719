//! Kernel stacks. Each stands at the upper end of a slot of 64 KiB, the rest of which is unmapped:
//! a stack that overflows meets its guard, not its neighbour.

use crate::arch::layout::PAGE_SIZE;
use core::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::platform::STACK_BASE;

const SLOT: u64 = 0x1_0000;

/// The stacks of the one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Stack {
    /// The kernel's own.
    Main = 0,
    /// For non-maskable interrupts.
    Nmi = 1,
    /// For double faults, among them the overflow of another stack.
    DoubleFault = 2,
    /// For machine checks.
    MachineCheck = 3,
    /// For exceptions in ring 3.
    Ring3 = 4,
}

/// Physical addresses of the stacks.
static PHYSICAL: [AtomicU64; Stack::ALL.len()] = [const { AtomicU64::new(0) }; Stack::ALL.len()];

impl Stack {
    pub(crate) const ALL: [Self; 5] = [
        Self::Main,
        Self::Nmi,
        Self::DoubleFault,
        Self::MachineCheck,
        Self::Ring3,
    ];

    /// Its size in pages.
    pub(crate) const fn pages(self) -> u64 {
        match self {
            Self::Main => 12,
            _ => 4,
        }
    }

    /// The name in a panic message.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Nmi => "NMI",
            Self::DoubleFault => "double fault",
            Self::MachineCheck => "machine check",
            Self::Ring3 => "ring 3",
        }
    }

    /// Its virtual addresses.
    pub(crate) const fn range(self) -> Range<u64> {
        let end = STACK_BASE + (self as u64 + 1) * SLOT;
        end - self.pages() * PAGE_SIZE..end
    }

    /// Its frames.
    pub(super) fn physical(self) -> Range<u64> {
        let start = PHYSICAL[self as usize].load(Relaxed);
        start..start + self.pages() * PAGE_SIZE
    }

    pub(super) fn set_physical(self, start: u64) {
        PHYSICAL[self as usize].store(start, Relaxed);
    }
}

/// The stack in whose guard an address lies.
pub(crate) fn guarded_by(address: u64) -> Option<Stack> {
    Stack::ALL.into_iter().find(|stack| {
        let stack = stack.range();
        (stack.end - SLOT..stack.start).contains(&address)
    })
}
