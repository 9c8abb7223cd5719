//! The fault space: each place and moment at which something can go wrong, from the golden run.

use super::{Armed, flips, site::Sites};
use crate::{
    campaign::{
        experiment::{Experiment, FaultFamily, FlipFamily},
        record::FaultPoint,
    },
    fault::{BitflipSpec, FaultSpec, HostFault},
    machine::Kernel,
    report::Report,
    scenario::{self, Candidate, Observed, RunConfig, RunError},
};
use std::collections::BTreeMap;

/// One fault point.
#[derive(Clone, Debug)]
pub struct SpacePoint {
    /// As records tell of it.
    pub point: FaultPoint,
    /// As a run takes it.
    pub armed: Armed,
    /// Points with one class are alike: one call chain, one kind of request, one program.
    pub class: u32,
}

/// Numbers of classes, in the order in which they are met.
#[derive(Default)]
struct Classes(BTreeMap<ClassKey, u32>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ClassKey {
    family: usize,
    stack: Vec<u64>,
    request: String,
    comm: String,
    /// What makes points differ that must not stand for one another.
    own: u64,
}

impl Classes {
    fn of(&mut self, key: ClassKey) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(key).or_insert(next)
    }
}

/// Enumerates all fault points of an experiment, in the order of its tables. `golden` is the run without
/// faults; for each table of candidates one more such run is made in which they are seen.
///
/// # Errors
/// If a run cannot be made.
pub fn enumerate(experiment: &Experiment, golden: &Report) -> Result<Vec<SpacePoint>, RunError> {
    let kernel = experiment.config.kernel.clone();
    let kernel = kernel.map_or(Kernel::Embedded, Kernel::Path);
    let mut points = Vec::new();
    let mut classes = Classes::default();
    for (family, table) in experiment.faults.iter().enumerate() {
        match table {
            FaultFamily::Candidates { spec, nth } => {
                let Observed { candidates, .. } = scenario::observe(&experiment.config, spec)?;
                let stacks = candidates.iter().map(|candidate| &*candidate.stack);
                let sites = Sites::look_up(&kernel, stacks);
                for number in nth.within(1..=candidates.len() as u64) {
                    let candidate = &candidates[number as usize - 1];
                    let class = classes.of(ClassKey {
                        family,
                        stack: candidate.stack.clone(),
                        request: candidate.request.clone(),
                        comm: candidate.comm.clone(),
                        own: 0,
                    });
                    points.push(of_candidate(spec, number, candidate, &sites, class));
                }
            }
            FaultFamily::Whole(spec) => {
                let armed = Armed::Failure(spec.clone());
                points.push(alone(family, armed, spec.kind.name(), &mut classes, 0));
            }
            FaultFamily::Flips(flips) => {
                let all: Vec<BitflipSpec> = of_flips(flips, golden).collect();
                let alike = match experiment.explore.prune {
                    true => flips::alike(&experiment.config, &all)?,
                    false => (0..all.len() as u64).collect(),
                };
                points.extend(all.into_iter().zip(alike).map(|(spec, own)| {
                    let flip = Armed::Flip(spec);
                    let mut point = alone(family, flip, "bitflip", &mut classes, own);
                    point.point.event = spec.event;
                    point
                }));
            }
            FaultFamily::Host(fault, None) => {
                let armed = Armed::Host(fault.clone());
                let mut point = alone(family, armed, fault.name(), &mut classes, 0);
                point.point.event = fault.at();
                points.push(point);
            }
            FaultFamily::Host(fault, Some(nth)) => {
                let candidates = candidates_of(experiment, fault)?;
                for number in nth.within(1..=candidates) {
                    let armed = Armed::Host(fault.clone().with_nth(number));
                    let mut point = alone(family, armed, fault.name(), &mut classes, number);
                    point.point.event = fault.at();
                    points.push(point);
                }
            }
            FaultFamily::Pressure(profile) => {
                let armed = Armed::Pressure(profile.clone());
                points.push(alone(family, armed, "pressure", &mut classes, 0));
            }
        }
    }
    Ok(points)
}

/// How many things there are to choose from where a fault strikes: a run in which it strikes none of them
/// tells.
fn candidates_of(experiment: &Experiment, fault: &HostFault) -> Result<u64, RunError> {
    let config = RunConfig {
        host_faults: vec![fault.clone().with_nth(u64::MAX)],
        ..experiment.config.clone()
    };
    let report = scenario::run(&config)?;
    let act = report.faults.host_acts.first();
    Ok(act.and_then(|act| act.candidates).unwrap_or(0))
}

fn of_candidate(
    spec: &FaultSpec,
    nth: u64,
    candidate: &Candidate,
    sites: &Sites,
    class: u32,
) -> SpacePoint {
    let spec = FaultSpec {
        nth,
        ..spec.clone()
    };
    let of_process = candidate.pid != 0;
    SpacePoint {
        point: FaultPoint {
            fault: spec.to_string(),
            kind: spec.kind.name().to_owned(),
            event: candidate.event,
            pid: of_process.then_some(candidate.pid),
            comm: (!candidate.comm.is_empty()).then(|| candidate.comm.clone()),
            site: sites.name(&candidate.stack),
            request: Some(candidate.request.clone()),
        },
        armed: Armed::Failure(Box::new(spec)),
        class,
    }
}

/// A point of which nothing is known but itself; it is a class of its own.
fn alone(family: usize, armed: Armed, kind: &str, classes: &mut Classes, own: u64) -> SpacePoint {
    let class = classes.of(ClassKey {
        family,
        stack: Vec::new(),
        request: String::new(),
        comm: String::new(),
        own,
    });
    let [option, text] = armed.options();
    let fault = match option == "--pressure" {
        true => format!("pressure={text}"),
        false => text,
    };
    SpacePoint {
        point: FaultPoint {
            fault,
            kind: kind.to_owned(),
            ..FaultPoint::default()
        },
        armed,
        class,
    }
}

/// Each bit at each event, event by event, from the end of boot to the end of the golden run.
fn of_flips<'a>(flips: &'a FlipFamily, golden: &Report) -> impl Iterator<Item = BitflipSpec> + 'a {
    let last_bit = u64::from(flips.spec.place.bits()) - 1;
    let events = flips.events.within(golden.boot.events..=golden.events);
    events.flat_map(move |event| {
        let bits = flips.bits.within(0..=last_bit);
        bits.map(move |bit| BitflipSpec {
            bit: bit as u32,
            event: Some(event),
            ..flips.spec
        })
    })
}
