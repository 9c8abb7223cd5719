//! What may be written in an experiment file. Words are read later, where their place in the text is known.

use crate::scenario::Mode;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use toml::Spanned;

/// An experiment: what is run, what must hold, what is done to it, and how much of that is tried.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExperimentFile {
    /// What it is about, in a few words.
    pub(super) title: String,
    /// Seed of everything random.
    #[serde(default = "one")]
    pub(super) seed: u64,
    /// The machine.
    #[serde(default)]
    pub(super) machine: MachineTable,
    /// What runs on it.
    #[schemars(with = "WorkloadTable")]
    pub(super) workload: Spanned<WorkloadTable>,
    /// What must hold of each run, besides all audits.
    #[serde(default)]
    pub(super) steady_state: Vec<SteadyStateTable>,
    /// What is done to the guest, each by itself, or in pairs.
    #[serde(default)]
    pub(super) fault: Vec<FaultTable>,
    /// How much of that is tried.
    #[serde(default)]
    pub(super) explore: ExploreTable,
}

const fn one() -> u64 {
    1
}

/// The machine, with the words that the options of `pagelab run` of the same names take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MachineTable {
    /// RAM, 16M to 64G; 64M if it is not said.
    #[schemars(with = "Option<String>")]
    pub(super) memory: Option<Spanned<String>>,
    /// Zone model: classic or x86_64.
    #[schemars(with = "Option<String>")]
    pub(super) zones: Option<Spanned<String>>,
    /// Where the lower zones end, such as 16M,48M.
    #[schemars(with = "Option<String>")]
    pub(super) limits: Option<Spanned<String>>,
    /// What the program and its children may have, as a memory group.
    #[schemars(with = "Option<String>")]
    pub(super) memory_max: Option<Spanned<String>>,
    /// A disk to swap to, in memory of the host: its size.
    #[schemars(with = "Option<String>")]
    pub(super) swap: Option<Spanned<String>>,
    /// A disk with files: a size for an empty one, or a directory for a copy of it.
    #[schemars(with = "Option<String>")]
    pub(super) disk: Option<Spanned<String>>,
    /// Files for the program, each HOST or HOST:GUEST.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) files: Vec<Spanned<String>>,
    /// Which memory of programs may come in huge pages: always, madvise, never.
    #[schemars(with = "Option<String>")]
    pub(super) transparent_hugepage: Option<Spanned<String>>,
    /// Slab debugging by Linux's letters: F, Z, P, U.
    #[schemars(with = "Option<String>")]
    pub(super) slab_debug: Option<Spanned<String>>,
    /// Another kernel than the built-in one: its file.
    #[schemars(with = "Option<String>")]
    pub(super) kernel: Option<Spanned<String>>,
    /// More words for the kernel's command line, such as mutation=cow-reuse.
    #[schemars(with = "Option<String>")]
    pub(super) append: Option<Spanned<String>>,
}

/// What runs: one of the guest's own workloads, or a program.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WorkloadTable {
    /// A workload that the guest has itself; `pagelab run --workload help` lists them.
    #[schemars(with = "Option<String>")]
    pub(super) builtin: Option<Spanned<String>>,
    /// A static Linux program, and its arguments.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) program: Option<Spanned<Vec<String>>>,
    /// Variables for the program's environment, each NAME=VALUE.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) env: Vec<Spanned<String>>,
    /// The exit status with which the program ends without faults; 0 if it is not said.
    #[schemars(with = "Option<u8>")]
    pub(super) status: Option<Spanned<u8>>,
}

/// Something that must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SteadyStateTable {
    /// An audit's name, or an expression over fields of vmstat.
    #[schemars(with = "String")]
    pub(super) probe: Spanned<String>,
    /// When it must hold: start, end or continuous.
    #[serde(default)]
    pub(super) mode: Mode,
}

/// How much is tried.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ExploreTable {
    /// exhaustive, sample or pairs.
    #[schemars(with = "Option<String>")]
    pub(super) strategy: Option<Spanned<String>>,
    /// Of a sample: the probability that a true share is within the margin, such as 0.95.
    #[schemars(with = "Option<f64>")]
    pub(super) confidence: Option<Spanned<f64>>,
    /// Of a sample: half the width of the interval, such as 0.05.
    #[schemars(with = "Option<f64>")]
    pub(super) margin: Option<Spanned<f64>>,
    /// Whether of fault points that are alike only the first is tried, and counts for all: failures at one call
    /// site and in one state, and flips of one bit between two uses of it.
    #[schemars(with = "Option<bool>")]
    pub(super) prune: Option<Spanned<bool>>,
    /// Events that one experiment may take in all.
    #[schemars(with = "Option<u64>")]
    pub(super) timeout: Option<Spanned<u64>>,
    /// Events from one audit of a program that runs to the next; distances that double if it is not said.
    #[schemars(with = "Option<u64>")]
    pub(super) audit_every: Option<Spanned<u64>>,
}

/// A number or a text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Knob {
    Number(u64),
    Text(String),
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The table of a fault and the list of its knobs, from one list of names.
macro_rules! fault_table {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal,)+) => {
        /// What is done to the guest, with the knobs that `--fault` takes for this kind. `nth`, `bit` and `event`
        /// take several: a number, "1..", "5..20" with both ends in it, "3,5,9".
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct FaultTable {
            /// fail_page_alloc, failslab, swap_io, file_io, bitflip, machine_check, readonly,
            /// host_latency or pressure.
            #[schemars(with = "String")]
            pub(super) kind: Spanned<String>,
            $(
                $(#[doc = $doc])+
                #[serde(rename = $name)]
                #[schemars(with = "Option<Knob>")]
                $field: Option<Spanned<Knob>>,
            )+
        }

        impl FaultTable {
            /// The knobs that are set.
            pub(super) fn knobs(&self) -> Vec<(&'static str, &Spanned<Knob>)> {
                let all = [$(($name, &self.$field),)+];
                let set = all.into_iter();
                set.filter_map(|(name, knob)| Some((name, knob.as_ref()?))).collect()
            }
        }
    };
}

fault_table! {
    /// Which candidates fail, or which frames break, one in each experiment, counted from 1.
    nth = "nth",
    /// Percent of the candidates.
    probability = "probability",
    /// Only each so many of them.
    interval = "interval",
    /// At most so many failures.
    times = "times",
    /// Bytes before the first failure.
    space = "space",
    /// Only requests of at least this order.
    min_order = "min-order",
    /// Only requests with these flags.
    gfp = "gfp",
    /// Only this slab cache.
    cache = "cache",
    /// Only this process, or of a bit flip: its memory.
    pid = "pid",
    /// Only processes of this name.
    comm = "comm",
    /// 1 for only processes that asked for it.
    task_filter = "task-filter",
    /// Only within this function of the kernel.
    site = "site",
    /// Only read or write.
    rw = "rw",
    /// Events that a request takes longer, and then succeeds; of host_latency: microseconds that a page takes.
    delay = "delay",
    /// Event at which it is armed; of a bit flip: the guest physical address.
    at = "at",
    /// Of a bit flip: page, zone, vma, pte or user.
    structure = "struct",
    /// Of a bit flip or a machine check: a frame's number.
    pfn = "pfn",
    /// Of a bit flip: a zone's name.
    zone = "zone",
    /// Of a bit flip: an address of the process.
    va = "va",
    /// Of a machine check: an address of the process.
    gva = "gva",
    /// Of a machine check with nth: user, anon, file, free, slab or kernel.
    of = "of",
    /// Of a bit flip: a field's name.
    field = "field",
    /// Bits that are turned over, one in each experiment.
    bit = "bit",
    /// Events at which they are turned over, one in each experiment.
    event = "event",
    /// Of host_latency: lives or dies.
    handler = "handler",
    /// Of pressure: what the balloon is asked for, as behind --pressure.
    profile = "profile",
}
