//! What can be done to the allocator.

use pagelab_abi::gfp::Gfp;
use proptest::prelude::*;

/// One step.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Allocate a block, on a CPU.
    Alloc {
        /// The CPU.
        cpu: usize,
        /// Flags.
        gfp: Gfp,
        /// Order.
        order: u32,
    },
    /// Free one of the blocks held, on a CPU.
    Free {
        /// The CPU.
        cpu: usize,
        /// Which one.
        pick: usize,
    },
    /// Make two halves of one of the blocks held.
    Split {
        /// Which one.
        pick: usize,
    },
    /// Drain one CPU's lists.
    Drain {
        /// The CPU.
        cpu: usize,
    },
    /// Drain all CPUs' lists.
    DrainAll,
    /// Blow the balloon up by a block.
    Inflate {
        /// The largest order.
        max: u32,
    },
    /// Let a block out of the balloon.
    Deflate {
        /// Which one.
        pick: usize,
    },
    /// Report free blocks to the host.
    Report {
        /// How many at most.
        count: usize,
        /// Whether the host took notice.
        reported: bool,
    },
    /// Let the n-th page allocation from now fail.
    Fail {
        /// Counted from 1.
        nth: u64,
    },
}

/// Flags of all kinds, none that waits for ever.
fn gfp() -> impl Strategy<Value = Gfp> {
    let base = prop::sample::select(vec![
        Gfp::KERNEL,
        Gfp::ATOMIC,
        Gfp::NOWAIT,
        Gfp::HIGHUSER,
        Gfp::HIGHUSER_MOVABLE,
        Gfp::KERNEL | Gfp::DMA,
        Gfp::KERNEL | Gfp::DMA32,
        Gfp::KERNEL | Gfp::RECLAIMABLE,
        Gfp::KERNEL | Gfp::NORETRY,
        Gfp::KERNEL | Gfp::MEMALLOC,
    ]);
    (base, proptest::bool::ANY, proptest::bool::ANY).prop_map(|(mut gfp, zero, compound)| {
        gfp.set(Gfp::ZERO, zero);
        gfp.set(Gfp::COMP, compound);
        gfp
    })
}

/// Any step; allocations and frees are the most likely.
pub(crate) fn any_step() -> impl Strategy<Value = Step> {
    let cpu = 0usize..2;
    prop_oneof![
        8 => (cpu.clone(), gfp(), 0u32..=10)
            .prop_map(|(cpu, gfp, order)| Step::Alloc { cpu, gfp, order }),
        6 => (cpu.clone(), any_pick()).prop_map(|(cpu, pick)| Step::Free { cpu, pick }),
        1 => any_pick().prop_map(|pick| Step::Split { pick }),
        1 => cpu.prop_map(|cpu| Step::Drain { cpu }),
        1 => Just(Step::DrainAll),
        1 => (0u32..=10).prop_map(|max| Step::Inflate { max }),
        1 => any_pick().prop_map(|pick| Step::Deflate { pick }),
        1 => (1usize..6, proptest::bool::ANY)
            .prop_map(|(count, reported)| Step::Report { count, reported }),
        1 => (1u64..4).prop_map(|nth| Step::Fail { nth }),
    ]
}

fn any_pick() -> impl Strategy<Value = usize> {
    0usize..1 << 16
}

impl Step {
    /// One of each kind, in an order in which each has something to do.
    pub(crate) fn examples() -> Vec<Self> {
        let alloc = |gfp, order| Self::Alloc { cpu: 0, gfp, order };
        vec![
            alloc(Gfp::KERNEL, 0),
            alloc(Gfp::KERNEL | Gfp::COMP, 3),
            alloc(Gfp::KERNEL | Gfp::COMP, 10),
            alloc(Gfp::HIGHUSER_MOVABLE | Gfp::ZERO, 9),
            Self::Split { pick: 3 },
            Self::Free { cpu: 1, pick: 1 },
            Self::Inflate { max: 10 },
            Self::Inflate { max: 0 },
            Self::Drain { cpu: 1 },
            Self::Report {
                count: 4,
                reported: true,
            },
            Self::Report {
                count: 4,
                reported: false,
            },
            Self::Fail { nth: 1 },
            alloc(Gfp::KERNEL, 2),
            Self::Deflate { pick: 1 },
            Self::DrainAll,
        ]
    }
}
