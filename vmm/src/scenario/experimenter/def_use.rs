//! Which bit flips are one and the same.
//!
//! A bit that is turned over, and that nobody reads or writes until a later event, may as well be turned over
//! there: FAIL*'s def-use pruning (Schirmeier et al., FAIL*: an open and versatile fault-injection framework,
//! EDCC 2015). FAIL* takes the uses from a trace of all accesses. No KVM gives one, so this holds two machines
//! against each other, one with the flip and one without, event by event: while registers, devices and memory
//! differ in nothing but that bit, it was not used; where nothing differs any more, it was written over. That
//! is more than a trace says, since a value that was read in vain is no use.

use super::{Experimenter, Moved};
use crate::{
    fault::BitflipSpec,
    inspect::locate::Place,
    machine::{Machine, Outputs, snapshot::Differences},
    scenario::{
        ForkPoint, RunConfig, RunError, flip,
        recorder::Recorder,
        run::{Past, Run},
    },
};
use std::time::Instant;

/// What becomes of a bit that is turned over at one event, until the next of the events that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: turned over at the next event it is the same.
    Untouched,
    /// It is written over, and nobody has seen it.
    Overwritten,
    /// Somebody, guest or judge, may have looked at it.
    Used,
    /// The place is not there, or the run does not come to the event.
    Absent,
}

/// The fate of one bit at each of these events, ascending, in the run that `config` makes from `point` on.
///
/// # Errors
/// As [`Experimenter::run`].
pub fn fates(
    point: &ForkPoint,
    config: &RunConfig,
    place: Place,
    bit: u32,
    events: &[u64],
) -> Result<Vec<Fate>, RunError> {
    let mut golden = point.experimenter()?;
    let mut flipped = Flipped {
        machine: point.snapshot().fork(Outputs::default())?,
        past: None,
    };
    let spec = BitflipSpec {
        place,
        bit,
        event: None,
    };
    let mut fates = Vec::with_capacity(events.len());
    for (index, &event) in events.iter().enumerate() {
        let Some(gpa) = at_event(&mut golden, config, event, &spec)? else {
            flipped.past = None;
            fates.push(Fate::Absent);
            continue;
        };
        let Some(&next) = events.get(index + 1) else {
            fates.push(Fate::Used);
            break;
        };
        let fate = match golden.moved.as_ref() {
            // What is due at the event comes before the flip.
            Some(moved) if !moved.past.acts_by(event) => {
                flipped.stand_at(moved, gpa, bit)?;
                flipped.lead_on(&moved.lead_in, next)?
            }
            _ => Fate::Used,
        };
        let fate = match fate {
            Fate::Untouched => match at_event(&mut golden, config, next, &spec)? {
                Some(place) if place == gpa => flipped.compare(&golden, gpa, bit)?,
                _ => Fate::Used,
            },
            fate => fate,
        };
        if fate != Fate::Untouched {
            flipped.past = None;
        }
        fates.push(fate);
    }
    Ok(fates)
}

/// Moves the run without the flip to an event. The byte's address there; none if there is none.
fn at_event(
    golden: &mut Experimenter,
    config: &RunConfig,
    event: u64,
    spec: &BitflipSpec,
) -> Result<Option<u64>, RunError> {
    golden.approach(config, event)?;
    if golden.event() != event {
        return Ok(None);
    }
    Ok(flip::address(&golden.machine, spec).ok())
}

/// The machine with the flip.
struct Flipped {
    machine: Machine,
    /// What its run knows, if the flip is in it and was not used so far.
    past: Option<Past>,
}

impl Flipped {
    /// Turns the bit over where the other machine stands, unless this one is there with the flip already.
    fn stand_at(&mut self, moved: &Moved, gpa: u64, bit: u32) -> Result<(), RunError> {
        if self.past.is_none() {
            self.machine.restore_moving(&moved.moment)?;
            if flip::turn(&self.machine, gpa, bit).is_err() {
                return Ok(());
            }
            self.past = Some(moved.past.clone());
        }
        Ok(())
    }

    /// Goes on to an event. Untouched as far as the judge is concerned, or used.
    fn lead_on(&mut self, lead_in: &RunConfig, event: u64) -> Result<Fate, RunError> {
        let Some(past) = self.past.take() else {
            return Ok(Fate::Used);
        };
        let written = disk_writes(&self.machine);
        let (started, none) = (Instant::now(), Recorder::none());
        let mut run = Run::after(&past, lead_in, &mut self.machine, none, started);
        if !run.lead_on(event)? {
            return Ok(Fate::Used);
        }
        let now = run.into_past();
        // A flip at `event` comes behind what is due there, and an audit at the event after it asks whether the
        // run stood here.
        let seen = now.has_looked_since(&past) || now.acts_by(event.saturating_add(1));
        // The sectors are not compared.
        if seen || disk_writes(&self.machine) != written {
            return Ok(Fate::Used);
        }
        self.past = Some(now);
        Ok(Fate::Untouched)
    }

    /// What the two machines, which stand at one event, differ in.
    fn compare(&mut self, golden: &Experimenter, gpa: u64, bit: u32) -> Result<Fate, RunError> {
        let Some(moved) = &golden.moved else {
            return Ok(Fate::Used);
        };
        let Differences { bytes, elsewhere } = self.machine.differences(&moved.moment, 2)?;
        Ok(match (&bytes[..], elsewhere) {
            ([], false) => Fate::Overwritten,
            ([only], false) if *only == (gpa, 1 << (bit % 8)) => Fate::Untouched,
            _ => Fate::Used,
        })
    }
}

/// Requests that changed a disk so far.
fn disk_writes(machine: &Machine) -> [u64; 2] {
    [machine.swap(), machine.disk()].map(|disk| disk.map_or(0, |disk| disk.counters().writes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{machine::testing::has_kvm, scenario::StopAt, size::ByteSize};

    /// A run of some events after boot, and what was asked of it.
    struct Asked {
        golden: RunConfig,
        point: ForkPoint,
        events: Vec<u64>,
        fates: Vec<Fate>,
        spec: BitflipSpec,
    }

    fn of(place: &str) -> Asked {
        let mut golden = RunConfig {
            memory: ByteSize(32 << 20),
            workload: "buddy".to_owned(),
            ..RunConfig::default()
        };
        let spec: BitflipSpec = place.parse().unwrap();
        let point = ForkPoint::boot(&golden).unwrap();
        let events: Vec<u64> = (point.event() + 1..).take(20).collect();
        golden.stop_at = Some(StopAt::Event(point.event() + 24));
        let fates = fates(&point, &golden, spec.place, spec.bit, &events).unwrap();
        assert_eq!(fates.len(), events.len());
        Asked {
            golden,
            point,
            events,
            fates,
            spec,
        }
    }

    #[test]
    fn a_bit_that_nobody_uses_is_untouched() {
        if !has_kvm() {
            return;
        }
        // The middle of the last page of RAM, which is free, and which nobody has written to.
        let Asked { fates, .. } = of("bitflip,at=0x1fff800,bit=3");
        let untouched = fates.iter().filter(|fate| **fate == Fate::Untouched);
        assert!(untouched.count() > 12, "{fates:?}");
        assert!(!fates.contains(&Fate::Overwritten), "{fates:?}");
    }

    #[test]
    fn a_place_that_is_not_there_is_absent() {
        if has_kvm() {
            let Asked { fates, .. } = of("bitflip,struct=user,pid=1,va=0x400000,bit=0");
            assert!(fates.iter().all(|fate| *fate == Fate::Absent), "{fates:?}");
        }
    }

    #[test]
    fn flips_of_one_fate_end_alike() {
        if !has_kvm() {
            return;
        }
        let asked = of("bitflip,struct=zone,zone=Normal,field=free_pages,bit=2");
        let Asked { golden, fates, .. } = &asked;
        let mut experimenter = asked.point.experimenter().unwrap();
        let mut run = |event: Option<u64>| {
            let flip = event.map(|_| BitflipSpec {
                event,
                ..asked.spec
            });
            let config = RunConfig {
                bitflips: flip.into_iter().collect(),
                ..golden.clone()
            };
            let report = experimenter.run(&config).unwrap();
            (report.trace_hash, report.verdict, report.reasons)
        };
        let unflipped = run(None);
        let mut seen = [0; 3];
        for (pair, fate) in asked.events.windows(2).zip(fates) {
            match fate {
                Fate::Untouched => {
                    assert_eq!(run(Some(pair[0])), run(Some(pair[1])), "{pair:?}");
                    seen[0] += 1;
                }
                Fate::Overwritten => {
                    assert_eq!(run(Some(pair[0])), unflipped, "{pair:?}");
                    seen[1] += 1;
                }
                Fate::Used => seen[2] += 1,
                Fate::Absent => panic!("a zone is always there"),
            }
        }
        assert!(seen[0] > 0 && seen[2] > 0, "{fates:?}");
    }
}
