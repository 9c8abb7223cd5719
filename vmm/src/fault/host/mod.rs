//! Faults that the host's own hardware would have: what the VMM does to the machine at one event.

mod machine_check;

pub use machine_check::{MachineCheckSpec, Target};

use super::{FaultError, knobs::Written};
use std::{fmt, str::FromStr};

/// One thing that the host does to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostFault {
    /// A frame's memory breaks, and a machine check says so.
    MachineCheck(MachineCheckSpec),
}

/// Their names.
pub const HOST_FAULTS: [&str; 1] = [machine_check::MACHINE_CHECK];

const AT: &str = "a number of events";

impl HostFault {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MachineCheck(_) => machine_check::MACHINE_CHECK,
        }
    }

    /// The event at which it strikes; none for the end of boot.
    pub const fn at(&self) -> Option<u64> {
        match self {
            Self::MachineCheck(spec) => spec.at,
        }
    }

    /// Which of several things strikes, if it is chosen by a number, counted from 1.
    pub const fn nth(&self) -> Option<u64> {
        match self {
            Self::MachineCheck(spec) => match spec.target {
                Target::Nth(nth, _) => Some(nth),
                Target::Frame(_) | Target::User(..) => None,
            },
        }
    }

    /// The same for another one of these things, if they are chosen by a number.
    #[must_use]
    pub fn with_nth(self, nth: u64) -> Self {
        match self {
            Self::MachineCheck(mut spec) => {
                if let Target::Nth(number, _) = &mut spec.target {
                    *number = nth;
                }
                Self::MachineCheck(spec)
            }
        }
    }
}

impl FromStr for HostFault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        MachineCheckSpec::read(text).map(Self::MachineCheck)
    }
}

impl fmt::Display for HostFault {
    /// The text that parses to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MachineCheck(spec) => spec.fmt(f),
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
        assert!(error("machine_check,pfn=1,nth=1").contains("nth"));
        assert!(error("machine_check,gva=1").contains("pid"));
        assert!(error("machine_check,nth=0").contains("from 1"));
        assert!(error("machine_check,nth=1,of=anom").contains("anon"));
        assert!(error("machine_check,pfn=1,pfn=2").contains("twice"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "machine_check[,=a-z0-9]{0,60}") {
            let _ = text.parse::<HostFault>();
        }
    }
}
