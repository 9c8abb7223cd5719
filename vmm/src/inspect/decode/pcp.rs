//! Per-CPU state: lists of free pages, and counters.

use std::{fmt, sync::atomic::Ordering::Relaxed};

use pagelab_abi::{
    mm::MmState,
    page::{MigrateType, NONE, PageFlags},
    percpu::{MAX_CPUS, NR_PCP_LISTS, PCP_MAX_ORDER, PerCpu, pcp_list},
    vmstat::NR_VM_EVENTS,
};

use super::{DecodeError, FrameSet, Snapshot, Zone, free_list::Described, mem_map::Descriptor};
use crate::inspect::image::{PhysMem, read_object};

/// A copy of one CPU's state.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Its number.
    pub number: usize,
    /// Whether it uses the memory manager.
    pub online: bool,
    /// Not zero while it is reclaiming.
    pub reclaim_depth: u32,
    /// Its free pages by zone.
    pub pcp: Vec<Pcp>,
    /// Its share of each counter.
    pub events: [u64; NR_VM_EVENTS],
}

/// One CPU's free pages of one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcp {
    /// Frames in all lists, as the guest counts them.
    pub count: u32,
    /// Frames above which a batch goes back; 0 while another CPU asks for a drain.
    pub high: u32,
    /// Frames moved at once.
    pub batch: u32,
    /// What `high` is while no drain is asked for.
    pub high_config: u32,
    /// First pfn of each list.
    pub lists: [u32; NR_PCP_LISTS],
}

impl Cpu {
    /// All CPUs of a state that stands at `gpa`.
    pub(super) fn decode_all(
        mem: &dyn PhysMem,
        state: &MmState,
        gpa: u64,
        nr_zones: usize,
    ) -> Result<Vec<Self>, DecodeError> {
        let field = |field, found: u32, expected: String| DecodeError::Field {
            what: "the memory manager's state",
            gpa,
            field,
            found: found.into(),
            expected,
        };
        if !(1..=MAX_CPUS as u32).contains(&state.nr_cpus) {
            return Err(field("nr_cpus", state.nr_cpus, format!("1 to {MAX_CPUS}")));
        }
        let size = size_of::<PerCpu>() as u32;
        if state.percpu_stride < size {
            let expected = format!("at least {size}");
            return Err(field("percpu_stride", state.percpu_stride, expected));
        }
        (0..state.nr_cpus)
            .map(|number| {
                let offset = u64::from(number) * u64::from(state.percpu_stride);
                let percpu = read_object(mem, state.percpu.wrapping_add(offset))
                    .map_err(DecodeError::unreadable("per-CPU area"))?;
                Ok(Self::decode(number as usize, &percpu, nr_zones))
            })
            .collect()
    }

    fn decode(number: usize, percpu: &PerCpu, nr_zones: usize) -> Self {
        let pcp = percpu.pcp.iter().take(nr_zones).map(|pcp| Pcp {
            count: pcp.count.load(Relaxed),
            high: pcp.high.load(Relaxed),
            batch: pcp.batch.load(Relaxed),
            high_config: pcp.high_config.load(Relaxed),
            lists: pcp.lists.each_ref().map(|head| head.load(Relaxed)),
        });
        Self {
            number,
            online: percpu.online.load(Relaxed) != 0,
            reclaim_depth: percpu.reclaim_depth.load(Relaxed),
            pcp: pcp.collect(),
            events: percpu.vm_events.each_ref().map(|event| event.load(Relaxed)),
        }
    }
}

/// What is wrong with a per-CPU list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PcpFault {
    /// A link leads to a frame that the zone does not have or whose descriptor is not valid.
    Outside(u32),
    /// A member is in this list, or in another, for the second time. Loops end here.
    Again(u32),
    /// The descriptor of a member says that it belongs elsewhere: pfn and packed word.
    Stranger(u32, u32),
}

impl fmt::Display for PcpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Outside(pfn) => {
                write!(f, "it leads to pfn {pfn:#x}, which the zone does not have")
            }
            Self::Again(pfn) => write!(f, "pfn {pfn:#x} is in a per-CPU list already"),
            Self::Stranger(pfn, word) => write!(
                f,
                "pfn {pfn:#x} is in it, but its descriptor says {}",
                Described(word)
            ),
        }
    }
}

impl Snapshot<'_> {
    /// Walks one of a CPU's lists and calls `visit` with each sound member. `seen` is shared by
    /// all walks, so that all together visit no frame twice.
    ///
    /// # Errors
    /// Where the list breaks.
    pub fn walk_pcp_list(
        &self,
        cpu: &Cpu,
        zone: &Zone,
        (order, migrate): (u32, MigrateType),
        seen: &mut FrameSet,
        mut visit: impl FnMut(u32, &Descriptor),
    ) -> Result<(), PcpFault> {
        let mut at = cpu.pcp[zone.index].lists[pcp_list(order, migrate as u32)];
        while at != NONE {
            let member = zone
                .pfns()
                .contains(&at)
                .then(|| self.descriptor(at))
                .flatten()
                .ok_or(PcpFault::Outside(at))?;
            let belongs = member.flags() == PageFlags::PCP
                && member.order() == order
                && member.zone() as usize == zone.index
                && member.migrate() == migrate as u32
                && at.is_multiple_of(1 << order);
            if !belongs {
                return Err(PcpFault::Stranger(at, member.word));
            }
            if !seen.insert(at) {
                return Err(PcpFault::Again(at));
            }
            visit(at, &member);
            at = member.next;
        }
        Ok(())
    }
}

/// Order and migrate type of every per-CPU list.
pub fn pcp_lists() -> impl Iterator<Item = (u32, MigrateType)> {
    use pagelab_abi::page::MIGRATE_PCPTYPES;
    (0..=PCP_MAX_ORDER).flat_map(|order| {
        let types = MigrateType::ALL.into_iter().take(MIGRATE_PCPTYPES);
        types.map(move |migrate| (order, migrate))
    })
}
