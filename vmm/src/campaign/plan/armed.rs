//! What is done to the guest in one experiment, as the run takes it.

use crate::{
    fault::{BitflipSpec, FaultSpec, HostFault},
    pressure::PressureProfile,
    scenario::RunConfig,
};

/// One thing that is done to the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Armed {
    /// Requests fail.
    Failure(Box<FaultSpec>),
    /// A bit is turned over.
    Flip(BitflipSpec),
    /// The host does something to the machine itself.
    Host(HostFault),
    /// The balloon takes memory.
    Pressure(PressureProfile),
}

/// Two faults that cannot be armed in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incompatible;

impl Armed {
    /// The options of `pagelab run` that do it.
    pub fn options(&self) -> [String; 2] {
        match self {
            Self::Failure(spec) => ["--fault".to_owned(), spec.to_string()],
            Self::Flip(spec) => ["--fault".to_owned(), spec.to_string()],
            Self::Host(fault) => ["--fault".to_owned(), fault.to_string()],
            Self::Pressure(profile) => ["--pressure".to_owned(), profile.text().to_owned()],
        }
    }

    /// Enters it into a run.
    pub fn enter(&self, config: &mut RunConfig) {
        match self {
            Self::Failure(spec) => config.faults.push((**spec).clone()),
            Self::Flip(spec) => config.bitflips.push(*spec),
            Self::Host(fault) => config.host_faults.push(fault.clone()),
            Self::Pressure(profile) => config.pressure = Some(profile.clone()),
        }
    }

    /// What of it shows before it strikes: experiments in which that is the same are one run up to there.
    pub fn lead_in(&self) -> Option<String> {
        match self {
            Self::Failure(spec) => Some(spec.held().to_string()),
            Self::Flip(BitflipSpec { event: Some(_), .. }) => None,
            Self::Host(fault) if fault.at().is_some() => None,
            Self::Flip(_) | Self::Host(_) | Self::Pressure(_) => Some(self.options()[1].clone()),
        }
    }

    /// The same as this and `other` in one run, as one or two things. An injector counts for one request at a
    /// time, so two candidates of one kind must be of one family: the second is counted from the first.
    pub fn and(&self, other: &Self) -> Result<Vec<Self>, Incompatible> {
        match (self, other) {
            (Self::Failure(one), Self::Failure(two)) if one.kind == two.kind => {
                let (first, second) = match one.nth <= two.nth {
                    true => (one, two),
                    false => (two, one),
                };
                let rest = FaultSpec {
                    nth: second.nth,
                    ..(**first).clone()
                };
                let counts = first.nth > 0 && first.nth < second.nth && rest == **second;
                if !counts {
                    return Err(Incompatible);
                }
                let then = second.nth - first.nth;
                Ok(vec![Self::Failure(Box::new(FaultSpec {
                    then,
                    ..(**first).clone()
                }))])
            }
            (Self::Pressure(_), Self::Pressure(_)) => Err(Incompatible),
            _ => Ok(vec![self.clone(), other.clone()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> Armed {
        Armed::Failure(Box::new(text.parse().unwrap()))
    }

    #[test]
    fn two_of_one_family_are_counted_one_from_the_other() {
        let (one, two) = (failure("failslab,nth=3"), failure("failslab,nth=7"));
        let both = vec![failure("failslab,nth=3,then=4")];
        assert_eq!(one.and(&two), Ok(both.clone()));
        assert_eq!(two.and(&one), Ok(both));
        assert_eq!(one.and(&one), Err(Incompatible));
        assert_eq!(one.and(&failure("failslab,nth=7,pid=1")), Err(Incompatible));
        assert_eq!(
            one.and(&failure("failslab,probability=7")),
            Err(Incompatible)
        );
    }

    #[test]
    fn two_of_two_kinds_are_armed_side_by_side() {
        let (one, two) = (failure("failslab,nth=3"), failure("fail_page_alloc,nth=7"));
        assert_eq!(one.and(&two), Ok(vec![one.clone(), two.clone()]));
        let flip = Armed::Flip("bitflip,at=0x1000,bit=1".parse().unwrap());
        assert_eq!(flip.and(&flip), Ok(vec![flip.clone(), flip.clone()]));
    }
}
