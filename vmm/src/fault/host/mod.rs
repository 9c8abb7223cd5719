//! Faults that the host's own hardware would have: what the VMM does to the machine at one event.

mod latency;
mod machine_check;
mod readonly;

pub use latency::LatencySpec;
pub use machine_check::{MachineCheckSpec, Target};
pub use readonly::{ReadonlyFrames, ReadonlySpec};

use super::{FaultError, knobs::Written};
use std::{fmt, str::FromStr};

/// One thing that the host does to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostFault {
    /// A frame's memory breaks, and a machine check says so.
    MachineCheck(MachineCheckSpec),
    /// Stores to some frames are dropped from then on.
    Readonly(ReadonlySpec),
    /// Memory is slow from then on.
    Latency(LatencySpec),
}

/// Their names.
pub const HOST_FAULTS: [&str; 3] = [
    machine_check::MACHINE_CHECK,
    readonly::READONLY,
    latency::HOST_LATENCY,
];

const AT: &str = "a number of events";

impl HostFault {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MachineCheck(_) => machine_check::MACHINE_CHECK,
            Self::Readonly(_) => readonly::READONLY,
            Self::Latency(_) => latency::HOST_LATENCY,
        }
    }

    /// The event at which it strikes; none for the end of boot.
    pub const fn at(&self) -> Option<u64> {
        match self {
            Self::MachineCheck(spec) => spec.at,
            Self::Readonly(spec) => spec.at,
            Self::Latency(spec) => spec.at,
        }
    }

    /// Which of several things strikes, if it is chosen by a number, counted from 1.
    pub const fn nth(&self) -> Option<u64> {
        let target = match self {
            Self::MachineCheck(spec) => &spec.target,
            Self::Readonly(ReadonlySpec {
                frames: ReadonlyFrames::One(target),
                ..
            }) => target,
            Self::Readonly(_) | Self::Latency(_) => return None,
        };
        match target {
            Target::Nth(nth, _) => Some(*nth),
            Target::Frame(_) | Target::User(..) => None,
        }
    }

    /// The same for another one of these things, if they are chosen by a number.
    #[must_use]
    pub fn with_nth(mut self, nth: u64) -> Self {
        let target = match &mut self {
            Self::MachineCheck(spec) => &mut spec.target,
            Self::Readonly(ReadonlySpec {
                frames: ReadonlyFrames::One(target),
                ..
            }) => target,
            Self::Readonly(_) | Self::Latency(_) => return self,
        };
        if let Target::Nth(number, _) = target {
            *number = nth;
        }
        self
    }
}

impl FromStr for HostFault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        match text.split(',').next().unwrap_or_default().trim() {
            readonly::READONLY => ReadonlySpec::read(text).map(Self::Readonly),
            latency::HOST_LATENCY => LatencySpec::read(text).map(Self::Latency),
            _ => MachineCheckSpec::read(text).map(Self::MachineCheck),
        }
    }
}

impl fmt::Display for HostFault {
    /// The text that parses to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MachineCheck(spec) => spec.fmt(f),
            Self::Readonly(spec) => spec.fmt(f),
            Self::Latency(spec) => spec.fmt(f),
        }?;
        match self.at() {
            Some(at) => write!(f, ",at={at}"),
            None => Ok(()),
        }
    }
}

/// Whether a text asks for one of these.
pub fn is_host_fault(text: &str) -> bool {
    let name = text.split(',').next().unwrap_or_default().trim();
    HOST_FAULTS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_form_is_read_and_written_back() {
        for text in [
            "machine_check,pfn=0x1234",
            "machine_check,pid=1,gva=0x400000,at=900",
            "machine_check,nth=3,of=anon,at=900",
            "machine_check,nth=1,of=user",
            "readonly,pfn=0x100..0x110,at=7",
            "readonly,pfn=0x100",
            "host_latency,delay=50",
            "host_latency,delay=0,interval=7,handler=dies,nth=20,at=9",
            "readonly,nth=2,of=kernel,at=7",
            "readonly,pid=1,gva=0x400000",
            "readonly,struct=zone,zone=Normal",
            "readonly,struct=page,pfn=0x12",
            "readonly,struct=pte,pid=1,gva=0x400000,at=9",
        ] {
            assert!(is_host_fault(text));
            assert_eq!(text.parse::<HostFault>().unwrap().to_string(), text);
        }
        let third: HostFault = "machine_check,nth=3".parse().unwrap();
        assert_eq!(third.nth(), Some(3));
        assert_eq!(third.with_nth(4).to_string(), "machine_check,nth=4,of=user");
        assert!(!is_host_fault("bitflip,at=1"));
    }

    #[test]
    fn errors_name_value_and_remedy() {
        let error = |text: &str| text.parse::<HostFault>().unwrap_err().to_string();
        assert!(error("machine_check").contains("pfn"));
        assert!(error("machine_check,pfm=1").contains("did you mean 'pfn'?"));
        assert!(error("machine_check,pfn=x").contains("pfn=x"));
        assert!(error("machine_check,pfn=1,nth=1").contains("pfn has no use"));
        assert!(error("machine_check,gva=1").contains("pid"));
        assert!(error("machine_check,nth=0").contains("from 1"));
        assert!(error("machine_check,nth=1,of=anom").contains("anon"));
        assert!(error("machine_check,pfn=1,pfn=2").contains("twice"));
        assert!(error("host_latency,delay=99999999").contains("10000000"));
        assert!(error("host_latency,handler=naps").contains("lives or dies"));
        assert!(error("host_latency,delay=1,nth=3").contains("nth"));
        assert!(error("readonly,pfn=9..3").contains("pfn=9..3"));
        assert!(error("readonly,struct=slab").contains("page, zone or pte"));
        assert!(error("readonly,struct=zone,zone=Hihg").contains("HighMem"));
        assert!(error("readonly,pfn=1,zone=DMA").contains("zone"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "(machine_check|readonly|host_latency)[,=a-z0-9.]{0,60}") {
            let _ = text.parse::<HostFault>();
        }
    }
}
