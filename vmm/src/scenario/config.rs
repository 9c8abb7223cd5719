//! What a run is made of: machine, workload, seed and the actions on it.

use super::{Probe, StopAt, TransparentHugepage};
use crate::{
    fault::{BitflipSpec, FaultSpec, HostFault},
    inspect::{lru, proc::TaskView, spaces::ProcessView},
    machine::DiskSource,
    nearest::nearest,
    pressure::PressureProfile,
    program::Program,
    size::ByteSize,
};
use pagelab_abi::view::ViewKind;
use std::{fmt, num::NonZeroU64, path::PathBuf, str::FromStr, time::Duration};
use thiserror::Error;

/// All that decides a run. Two runs with equal values (and the same guest) have equal traces.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// RAM.
    pub memory: ByteSize,
    /// What the CPU tells programs it is.
    pub cpu: Cpu,
    /// Zone model.
    pub zones: ZoneModel,
    /// Ends of the lower zones, if not the model's own.
    pub zone_limits: Option<ZoneLimits>,
    /// Name of the workload.
    pub workload: String,
    /// The program that is the workload, if the workload is [`pagelab_abi::program::WORKLOAD`].
    pub program: Option<Program>,
    /// Whether what the program writes goes to this process's own standard streams as well.
    pub forward: bool,
    /// Which memory of programs may come in huge pages.
    pub transparent_hugepage: TransparentHugepage,
    /// A disk to swap to; none for no swap.
    pub swap: Option<DiskSource>,
    /// A disk with files, or a directory to make one of; none for no disk.
    pub disk: Option<DiskSource>,
    /// A directory that gets what is on the disk at the end.
    pub disk_out: Option<PathBuf>,
    /// What the program and its children may have, as a memory group; none for no limit.
    pub memory_max: Option<ByteSize>,
    /// Above what they are slowed down and reclaimed from; none for no such limit.
    pub memory_high: Option<ByteSize>,
    /// What they may have in swap; none for no limit.
    pub swap_max: Option<ByteSize>,
    /// How much swap is preferred to pages of files, 0 to 200; none for the guest's 60.
    pub swappiness: Option<u32>,
    /// Seed of everything random.
    pub seed: u64,
    /// Balloon pressure; none for what the workload brings along.
    pub pressure: Option<PressureProfile>,
    /// Failing allocations; empty for what the workload brings along.
    pub faults: Vec<FaultSpec>,
    /// Requests that are shown as candidates instead ([`super::observe`]).
    pub observe: Option<FaultSpec>,
    /// Bits of the guest's memory that are turned over.
    pub bitflips: Vec<BitflipSpec>,
    /// What the host does to the machine itself.
    pub host_faults: Vec<HostFault>,
    /// What to inspect at the end.
    pub inspect: Vec<Inspection>,
    /// Where to stop.
    pub stop_at: Option<StopAt>,
    /// The first moment of what is inspected of two.
    pub since: Option<StopAt>,
    /// Events from one audit of a program that runs to the next; none for distances that double.
    pub audit_every: Option<NonZeroU64>,
    /// What must hold, besides the audits.
    pub probes: Vec<Probe>,
    /// The event at which a run that has not ended counts as hung; none for no such event.
    pub event_limit: Option<u64>,
    /// Another kernel than the built-in one.
    pub kernel: Option<PathBuf>,
    /// More words for the kernel's command line.
    pub append: Option<String>,
    /// Where to save the machine at the end.
    pub save: Option<PathBuf>,
    /// Where to keep the run at the point where it stops, to go on from there.
    pub snapshot: Option<PathBuf>,
    /// Slab debugging letters.
    pub slab_debug: Option<String>,
    /// Whether the console goes to standard error.
    pub console: bool,
    /// Time without a sign of life after which the guest counts as hung.
    pub watchdog: Duration,
    /// Time after which the run ends as hung, whatever the guest does.
    pub time_limit: Duration,
}

impl Default for RunConfig {
    /// The default scenario: 1 GiB, classic zones, seed 1.
    fn default() -> Self {
        Self {
            memory: ByteSize(1 << 30),
            cpu: Cpu::Baseline,
            transparent_hugepage: TransparentHugepage::default(),
            zones: ZoneModel::Classic,
            zone_limits: None,
            workload: "default".to_owned(),
            program: None,
            forward: false,
            swap: None,
            disk: None,
            disk_out: None,
            memory_max: None,
            memory_high: None,
            swap_max: None,
            swappiness: None,
            seed: 1,
            pressure: None,
            faults: Vec::new(),
            observe: None,
            bitflips: Vec::new(),
            host_faults: Vec::new(),
            inspect: Vec::new(),
            stop_at: None,
            since: None,
            audit_every: None,
            probes: Vec::new(),
            event_limit: None,
            kernel: None,
            append: None,
            save: None,
            snapshot: None,
            slab_debug: None,
            console: false,
            watchdog: Duration::from_secs(30),
            time_limit: Duration::from_secs(3600),
        }
    }
}

/// What CPUID tells programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// x86-64-v2, the same on every host: so are the runs of programs.
    Baseline,
    /// What KVM supports here.
    Host,
}

/// How physical memory is divided into zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneModel {
    /// DMA below 16 MiB, NORMAL below 896 MiB, HIGHMEM above: 32-bit Linux.
    Classic,
    /// DMA, DMA32 below 4 GiB, NORMAL, MOVABLE: 64-bit Linux.
    X86_64,
}

/// Upper ends of the two lower zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneLimits {
    /// End of DMA.
    pub lower: ByteSize,
    /// End of NORMAL (classic) or of DMA32 (x86_64).
    pub upper: ByteSize,
}

/// Something to print of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inspection {
    /// The map of the page tables with effective rights.
    Pagetable,
    /// A file of /proc.
    View(ViewKind),
    /// A file of /proc/PID, of one process or of all.
    Task(TaskView, Option<u32>),
    /// The lists that reclaim works on.
    Lru,
    /// A view of the memory of one process or of all.
    Process(ProcessView, Option<u32>),
}

/// Why a word of the configuration cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A name that is not in a list.
    #[error("unknown {what} '{name}'{hint}; known are: {known}", hint = hint(nearest))]
    Unknown {
        /// What the name should name.
        what: &'static str,
        /// What was written.
        name: String,
        /// The known name that is closest, if one is close.
        nearest: Option<String>,
        /// All known names.
        known: String,
    },
    /// Requests of the swap device are to fail, but there is none.
    #[error("fault {0} needs a swap device; give one with --swap, such as --swap 256M")]
    NoSwap(Box<FaultSpec>),
    /// Requests of the disk for files are to fail, or it is to be read, but there is none.
    #[error("{0} needs a disk with files; give one with --disk, such as --disk 64M")]
    NoDisk(String),
    /// A number that no process has.
    #[error("'{0}' is no process number; write one from 1 on, such as maps=1, or none for all")]
    BadPid(String),
    /// A number for what is not a process's.
    #[error("{0} is not of one process; write it without a number")]
    NotOfAProcess(String),
    /// A view of two moments, and only one is named.
    #[error(
        "{0} is of two moments; name the first one with --since, such as --since 5000, and the \
         second one with --stop-at"
    )]
    NeedsSince(&'static str),
    /// A second moment without use.
    #[error("--since is for --inspect diff or working-set; ask for one of them")]
    SinceInVain,
    /// Limits that cannot be read.
    #[error(
        "zone limits '{0}' are not two sizes; write the ends of the two lower zones, such as 16M,896M"
    )]
    BadLimits(String),
    /// Limits in the wrong order.
    #[error("zone limits {lower},{upper} are out of order; the first must be below the second")]
    LimitsOutOfOrder {
        /// End of the lowest zone.
        lower: ByteSize,
        /// End of the next.
        upper: ByteSize,
    },
    /// Limits that would cut a largest buddy block.
    #[error("zone limit {0} is not a multiple of 4M, the largest block; write {1}")]
    LimitNotAligned(ByteSize, ByteSize),
}

fn hint(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|name| format!(", did you mean '{name}'?"))
        .unwrap_or_default()
}

impl ConfigError {
    /// The error for a name that is not among the known ones.
    pub(crate) fn unknown(what: &'static str, name: &str, known: &[&str]) -> Self {
        Self::Unknown {
            what,
            name: name.to_owned(),
            nearest: nearest(name, known.iter().copied()).map(str::to_owned),
            known: known.join(", "),
        }
    }
}

impl Cpu {
    const ALL: [Self; 2] = [Self::Baseline, Self::Host];

    /// The name on the command lines of host and guest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Host => "host",
        }
    }
}

impl FromStr for Cpu {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL
            .into_iter()
            .find(|cpu| cpu.name() == name)
            .ok_or_else(|| ConfigError::unknown("CPU", name, &Self::ALL.map(Self::name)))
    }
}

impl ZoneModel {
    const ALL: [Self; 2] = [Self::Classic, Self::X86_64];

    /// The name on the command lines of host and guest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::X86_64 => "x86_64",
        }
    }
}

impl FromStr for ZoneModel {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL
            .into_iter()
            .find(|model| model.name() == name)
            .ok_or_else(|| ConfigError::unknown("zone model", name, &Self::ALL.map(Self::name)))
    }
}

/// Reads letters of Linux's `slab_debug`, or `-` for none.
///
/// # Errors
/// What is wrong with them.
pub fn slab_debug(text: &str) -> Result<String, String> {
    let known = text == "-" || (!text.is_empty() && text.chars().all(|it| "FZPU".contains(it)));
    if known {
        return Ok(text.to_owned());
    }
    Err(format!(
        "'{text}' has other letters than F (sanity checks), Z (red zones), P (poison) and U \
         (user tracking); write some of these, or - for none"
    ))
}

/// Bytes of the largest buddy block (order 10); zones begin and end at multiples of it.
const LARGEST_BLOCK: u64 = 4 << 20;

impl FromStr for ZoneLimits {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let bad = || ConfigError::BadLimits(text.to_owned());
        let (lower, upper) = text.split_once(',').ok_or_else(bad)?;
        let limits = Self {
            lower: lower.parse().map_err(|_| bad())?,
            upper: upper.parse().map_err(|_| bad())?,
        };
        for limit in [limits.lower, limits.upper] {
            if limit.0 == 0 || !limit.0.is_multiple_of(LARGEST_BLOCK) {
                let next = (limit.0 / LARGEST_BLOCK)
                    .saturating_add(1)
                    .saturating_mul(LARGEST_BLOCK);
                return Err(ConfigError::LimitNotAligned(limit, ByteSize(next)));
            }
        }
        if limits.lower >= limits.upper {
            return Err(ConfigError::LimitsOutOfOrder {
                lower: limits.lower,
                upper: limits.upper,
            });
        }
        Ok(limits)
    }
}

impl fmt::Display for ZoneLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.lower, self.upper)
    }
}

impl Inspection {
    /// All of them, in the order in which they are printed.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Pagetable]
            .into_iter()
            .chain(ViewKind::ALL.map(Self::View))
            .chain([Self::Lru])
            .chain(TaskView::ALL.map(|view| Self::Task(view, None)))
            .chain(ProcessView::ALL.map(|view| Self::Process(view, None)))
    }

    /// The name on the command line and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pagetable => "pagetable",
            Self::View(kind) => kind.name(),
            Self::Lru => lru::NAME,
            Self::Task(view, _) => view.name(),
            Self::Process(view, _) => view.name(),
        }
    }
}

impl FromStr for Inspection {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (name, pid) = match text.split_once('=') {
            Some((name, pid)) => (name, Some(pid)),
            None => (text, None),
        };
        let what = Self::named(name)?;
        match (what, pid) {
            (_, None) => Ok(what),
            (Self::Task(view, _), Some(pid)) => Ok(Self::Task(view, Some(number(pid)?))),
            (Self::Process(view, _), Some(pid)) => Ok(Self::Process(view, Some(number(pid)?))),
            (_, Some(_)) => Err(ConfigError::NotOfAProcess(name.to_owned())),
        }
    }
}

/// A process's number.
fn number(pid: &str) -> Result<u32, ConfigError> {
    let number = pid.parse().ok().filter(|pid| *pid > 0);
    number.ok_or_else(|| ConfigError::BadPid(pid.to_owned()))
}

impl Inspection {
    /// Whether it is of two moments.
    pub const fn has_two_moments(self) -> bool {
        matches!(self, Self::Process(view, _) if view.has_two_moments())
    }

    fn named(name: &str) -> Result<Self, ConfigError> {
        Self::all().find(|what| what.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(Self::name).collect();
            ConfigError::unknown("inspection", name, &names)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_judged() {
        let limits: ZoneLimits = "16M,896M".parse().unwrap();
        assert_eq!(limits.to_string(), "16M,896M");
        let error = |text: &str| text.parse::<ZoneLimits>().unwrap_err().to_string();
        assert!(error("16M").contains("such as 16M,896M"));
        assert!(error("896M,16M").contains("out of order"));
        assert!(error("5M,896M").contains("write 8M"));
        assert!(error("0,896M").contains("write 4M"));
    }

    #[test]
    fn unknown_names_get_the_nearest() {
        let error = "clasic".parse::<ZoneModel>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown zone model 'clasic', did you mean 'classic'?; known are: classic, x86_64"
        );
        let error = "buddyinf".parse::<Inspection>().unwrap_err().to_string();
        assert!(error.contains("did you mean 'buddyinfo'?"));
    }

    #[test]
    fn views_of_a_process_take_its_number() {
        let parse = |text: &str| text.parse::<Inspection>();
        assert_eq!(
            parse("maps=12"),
            Ok(Inspection::Task(TaskView::Maps, Some(12)))
        );
        assert_eq!(parse("rmap"), Ok(Inspection::Task(TaskView::Rmap, None)));
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(error("maps=0").contains("no process number"));
        assert!(error("maps=x").contains("'x'"));
        assert!(error("buddyinfo=1").contains("without a number"));
        assert_eq!(
            parse("working-set=3"),
            Ok(Inspection::Process(ProcessView::WorkingSet, Some(3)))
        );
        assert!(error("wx=0").contains("no process number"));
    }
}
