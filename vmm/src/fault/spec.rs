//! The grammar of `--fault`: `NAME[,KNOB=VALUE]…`.

use super::{
    FaultError,
    bitflip::BITFLIP,
    caller::{self, CallerFilter},
    host::HOST_FAULTS,
};
use crate::nearest::nearest;
use pagelab_abi::{gfp::Gfp, task::PID_MAX};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Most events that a request can be made to take longer. A guest gives up a disk that takes more than
/// [`pagelab_abi::swap::IO_TIMEOUT`].
const MAX_DELAY: u64 = 1_000_000_000;

/// Which allocations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Page allocations (`alloc_pages` and everything above it).
    FailPageAlloc,
    /// Slab allocations (`kmem_cache_alloc`, `kmalloc`).
    Failslab,
    /// Requests to the swap device, which answers them with an error, or late.
    SwapIo,
    /// Requests to the disk with files, which answers them with an error, or late.
    FileIo,
}

/// The two things that a disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadWrite {
    /// From the disk to memory.
    Read,
    /// From memory to the disk.
    Write,
}

impl ReadWrite {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// One fault, armed at one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpec {
    /// Which allocations.
    pub kind: FaultKind,
    /// Percent of the candidates, 0 to 100.
    pub probability: u32,
    /// Only each n-th candidate that probability let through, at least 1.
    pub interval: u32,
    /// At most this many failures; -1 for no limit.
    pub times: i32,
    /// Bytes that are allocated before the first failure.
    pub space: i32,
    /// Only requests of at least this order (`fail_page_alloc`), 0 to 10.
    pub min_order: u32,
    /// Only requests with all of these flags; empty for any.
    pub gfp: Gfp,
    /// Exactly the n-th candidate, counted from 1; 0 for not.
    pub nth: u64,
    /// After that the n-th candidate from there, counted from 1; 0 for none.
    pub then: u64,
    /// Only the cache of this name (`failslab`); empty for any.
    pub cache: String,
    /// Only requests of these callers (`fail_page_alloc`, `failslab`).
    pub caller: CallerFilter,
    /// Only requests of this direction (`swap_io`, `file_io`); none for both.
    pub rw: Option<ReadWrite>,
    /// Events that a request takes longer, and then succeeds (`swap_io`, `file_io`); 0 if it fails.
    pub delay: u64,
    /// Event at which the fault is armed; none for the end of boot.
    pub at: Option<u64>,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::FailPageAlloc,
        Self::Failslab,
        Self::SwapIo,
        Self::FileIo,
    ];

    /// Linux's name, where Linux has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FailPageAlloc => "fail_page_alloc",
            Self::Failslab => "failslab",
            Self::SwapIo => "swap_io",
            Self::FileIo => "file_io",
        }
    }

    /// The knobs that it takes.
    pub const fn knobs(self) -> &'static [&'static str] {
        match self {
            Self::FailPageAlloc => &[
                "probability",
                "interval",
                "times",
                "space",
                "min-order",
                "gfp",
                "pid",
                "comm",
                "task-filter",
                "site",
                "nth",
                "then",
                "at",
            ],
            Self::Failslab => &[
                "probability",
                "interval",
                "times",
                "space",
                "cache",
                "gfp",
                "pid",
                "comm",
                "task-filter",
                "site",
                "nth",
                "then",
                "at",
            ],
            Self::SwapIo | Self::FileIo => &[
                "probability",
                "interval",
                "times",
                "space",
                "rw",
                "delay",
                "nth",
                "then",
                "at",
            ],
        }
    }
}

impl FaultSpec {
    /// A fault of this kind with all knobs at rest; it fires only when `nth` or `probability` is
    /// set.
    pub const fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            probability: 0,
            interval: 1,
            times: -1,
            space: 0,
            min_order: 0,
            gfp: Gfp::empty(),
            nth: 0,
            then: 0,
            cache: String::new(),
            caller: CallerFilter::new(),
            rw: None,
            delay: 0,
            at: None,
        }
    }

    fn set(&mut self, knob: &'static str, value: &str) -> Result<(), FaultError> {
        match knob {
            "probability" => {
                self.probability = number(knob, value, 0..=100, "a percentage from 0 to 100")?;
            }
            "interval" => {
                self.interval = number(knob, value, 1..=u32::MAX, "a count from 1 to 4294967295")?;
            }
            "times" => {
                self.times = number(
                    knob,
                    value,
                    -1..=i32::MAX,
                    "a count from 0, or -1 for no limit",
                )?;
            }
            "space" => {
                self.space = number(
                    knob,
                    value,
                    0..=i32::MAX,
                    "a number of bytes from 0 to 2147483647",
                )?;
            }
            "min-order" => self.min_order = number(knob, value, 0..=10, "an order from 0 to 10")?,
            "then" => self.then = number(knob, value, 1..=u64::MAX, "a number from 1")?,
            "nth" => self.nth = number(knob, value, 1..=u64::MAX, "a number from 1")?,
            "at" => self.at = Some(number(knob, value, 0..=u64::MAX, "a number of events")?),
            "gfp" => self.gfp = gfp(value)?,
            "rw" => self.rw = Some(read_write(value)?),
            "delay" => {
                let allowed = "a number of events from 1 to 1000000000";
                self.delay = number(knob, value, 1..=MAX_DELAY, allowed)?;
            }
            "pid" => {
                let most = PID_MAX - 1;
                let pid = number(knob, value, 1..=most, "a process's number, 1 to 32767")?;
                self.caller.pid = Some(pid);
            }
            "comm" => self.caller.comm = caller::comm(value)?,
            "task-filter" => {
                self.caller.task_filter = number(knob, value, 0..=1, "0 or 1")? == 1;
            }
            "site" => self.caller.site = caller::site(value)?,
            _ => self.cache = cache(value)?,
        }
        Ok(())
    }
}

/// A number within a range, or the error that says what is allowed.
fn number<T: FromStr + PartialOrd>(
    knob: &'static str,
    value: &str,
    range: std::ops::RangeInclusive<T>,
    allowed: &'static str,
) -> Result<T, FaultError> {
    value
        .parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| FaultError::BadValue {
            knob,
            value: value.to_owned(),
            allowed,
        })
}

/// `gfp=HIGHMEM|MOVABLE`: names as in [`Gfp`].
fn gfp(value: &str) -> Result<Gfp, FaultError> {
    value.split('|').try_fold(Gfp::empty(), |all, name| {
        let name = name.trim().to_ascii_uppercase();
        Gfp::from_name(name.trim_start_matches("__").trim_start_matches("GFP_"))
            .map(|flag| all | flag)
            .ok_or_else(|| FaultError::BadValue {
                knob: "gfp",
                value: value.to_owned(),
                allowed: "flag names joined by '|', such as KERNEL, ATOMIC, HIGHMEM|MOVABLE",
            })
    })
}

/// `rw=read` or `rw=write`.
fn read_write(value: &str) -> Result<ReadWrite, FaultError> {
    [ReadWrite::Read, ReadWrite::Write]
        .into_iter()
        .find(|direction| direction.name() == value)
        .ok_or_else(|| FaultError::BadValue {
            knob: "rw",
            value: value.to_owned(),
            allowed: "read or write",
        })
}

/// `cache=kmalloc-64`.
fn cache(value: &str) -> Result<String, FaultError> {
    if value.is_empty() || value.len() > 23 || !value.is_ascii() {
        return Err(FaultError::BadValue {
            knob: "cache",
            value: value.to_owned(),
            allowed: "a cache's name of 1 to 23 ASCII characters, as in slabinfo",
        });
    }
    Ok(value.to_owned())
}

impl FromStr for FaultSpec {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default().trim();
        let names = FaultKind::ALL.map(FaultKind::name);
        let kind = FaultKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| FaultError::UnknownKind {
                name: name.to_owned(),
                nearest: nearest(name, names.into_iter().chain([BITFLIP]).chain(HOST_FAULTS)),
                known: format!(
                    "{}, {BITFLIP}, {}",
                    names.join(", "),
                    HOST_FAULTS.join(", ")
                ),
            })?;
        let mut spec = Self::new(kind);
        let mut given: Vec<&'static str> = Vec::new();
        for part in parts {
            let (word, value) = part
                .trim()
                .split_once('=')
                .ok_or_else(|| FaultError::NoValue(part.trim().to_owned()))?;
            let word = word.trim().replace('_', "-");
            let knob = *kind
                .knobs()
                .iter()
                .find(|knob| **knob == word)
                .ok_or_else(|| FaultError::UnknownKnob {
                    fault: kind.name(),
                    nearest: nearest(&word, kind.knobs().iter().copied()),
                    known: kind.knobs().join(", "),
                    knob: word.clone(),
                })?;
            if given.contains(&knob) {
                return Err(FaultError::Twice(knob));
            }
            given.push(knob);
            spec.set(knob, value.trim())?;
        }
        if spec.nth == 0 && spec.then != 0 {
            return Err(FaultError::InVain("then"));
        }
        if spec.nth == 0 && spec.probability == 0 && !given.contains(&"probability") {
            return Err(FaultError::NeverFires(kind.name()));
        }
        Ok(spec)
    }
}

impl fmt::Display for FaultSpec {
    /// The shortest text that parses to the same fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        let rest = Self::new(self.kind);
        if self.nth != 0 {
            write!(f, ",nth={}", self.nth)?;
        }
        if self.then != 0 {
            write!(f, ",then={}", self.then)?;
        }
        if self.probability != 0 || self.nth == 0 {
            write!(f, ",probability={}", self.probability)?;
        }
        if self.interval != rest.interval {
            write!(f, ",interval={}", self.interval)?;
        }
        if self.times != rest.times {
            write!(f, ",times={}", self.times)?;
        }
        if self.space != rest.space {
            write!(f, ",space={}", self.space)?;
        }
        if self.min_order != rest.min_order {
            write!(f, ",min-order={}", self.min_order)?;
        }
        if !self.gfp.is_empty() {
            let names: Vec<_> = self.gfp.iter_names().map(|(name, _)| name).collect();
            write!(f, ",gfp={}", names.join("|"))?;
        }
        if !self.cache.is_empty() {
            write!(f, ",cache={}", self.cache)?;
        }
        self.caller.fmt(f)?;
        if let Some(direction) = self.rw {
            write!(f, ",rw={}", direction.name())?;
        }
        if self.delay != 0 {
            write!(f, ",delay={}", self.delay)?;
        }
        if let Some(at) = self.at {
            write!(f, ",at={at}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_linux_knobs() {
        let spec: FaultSpec =
            "fail_page_alloc,probability=50,interval=3,times=10,space=4096,min-order=2,gfp=GFP_HIGHMEM|movable,at=100"
                .parse()
                .unwrap();
        assert_eq!(spec.kind, FaultKind::FailPageAlloc);
        assert_eq!((spec.probability, spec.interval, spec.times), (50, 3, 10));
        assert_eq!((spec.space, spec.min_order, spec.at), (4096, 2, Some(100)));
        assert_eq!(spec.gfp, Gfp::HIGHMEM | Gfp::MOVABLE);
        let spec: FaultSpec = "failslab,nth=7,cache=kmalloc-64".parse().unwrap();
        assert_eq!((spec.nth, spec.cache.as_str()), (7, "kmalloc-64"));
    }

    #[test]
    fn errors_name_value_and_remedy() {
        let error = |text: &str| text.parse::<FaultSpec>().unwrap_err().to_string();
        assert_eq!(
            error("fail_page_aloc,nth=1"),
            "unknown fault 'fail_page_aloc', did you mean 'fail_page_alloc'?; known are: fail_page_alloc, failslab, swap_io, file_io, bitflip, machine_check, readonly, host_latency"
        );
        assert!(error("failslab,nht=1").contains("did you mean 'nth'?"));
        assert!(
            error("failslab,min-order=1,nth=1").contains("unknown knob 'min-order' of failslab")
        );
        assert!(error("failslab,probability=101").contains("probability=101 is out of range"));
        assert!(error("swap_io,nth=1,rw=both").contains("rw=both"));
        assert!(error("swap_io,nth=1,delay=0").contains("a number of events from 1"));
        assert!(error("failslab,nth=1,delay=5").contains("unknown knob 'delay' of failslab"));
        assert!(error("swap_io,nth=1,gfp=ZERO").contains("unknown knob 'gfp' of swap_io"));
        assert!(error("failslab,then=1,probability=1").contains("then has no use"));
        assert!(error("failslab,nth=0").contains("nth takes a number from 1"));
        assert!(error("failslab,nth").contains("nth=VALUE"));
        assert!(error("failslab,nth=1,nth=2").contains("given twice"));
        assert!(error("failslab").contains("would never fire"));
        assert!(error("failslab,nth=1,pid=0").contains("pid takes a process's number"));
        assert!(error("failslab,nth=1,comm=").contains("comm takes"));
        assert!(error("failslab,nth=1,site=a::").contains("site takes"));
        assert!(error("failslab,nth=1,task-filter=2").contains("takes 0 or 1"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "\\PC{0,60}") {
            let _ = text.parse::<FaultSpec>();
        }

        #[test]
        fn display_parses_to_the_same(
            kind in 0usize..4, write: Option<bool>, delay in 0u64..=MAX_DELAY, probability in 0u32..=100, interval in 1u32..9, times in -1i32..9,
            space in 0i32..9, order in 0u32..=10, nth in 1u64..9, then in 0u64..9, at: Option<u64>, bits in 0u32..1 << 16,
            pid in prop::option::of(1u32..PID_MAX), comm in "[a-z]{0,3}", task_filter: bool,
            site in prop::sample::select(vec!["", "fork", "copy_pages"]),
        ) {
            let kind = FaultKind::ALL[kind];
            let direction = |write| if write { ReadWrite::Write } else { ReadWrite::Read };
            let spec = FaultSpec {
                probability, interval, times, space, nth, then, at,
                gfp: match kind {
                    FaultKind::SwapIo | FaultKind::FileIo => Gfp::empty(),
                    _ => Gfp::from_bits_truncate(bits),
                },
                min_order: if kind == FaultKind::FailPageAlloc { order } else { 0 },
                cache: match kind {
                    FaultKind::Failslab => "kmalloc-8".into(),
                    _ => String::new(),
                },
                caller: match kind {
                    FaultKind::SwapIo | FaultKind::FileIo => CallerFilter::new(),
                    _ => CallerFilter { pid, comm, task_filter, site: site.to_owned() },
                },
                rw: write.filter(|_| kind >= FaultKind::SwapIo).map(direction),
                delay: if kind >= FaultKind::SwapIo { delay } else { 0 },
                ..FaultSpec::new(kind)
            };
            prop_assert_eq!(spec.to_string().parse::<FaultSpec>().unwrap(), spec);
        }
    }
}
