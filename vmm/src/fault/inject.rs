//! An injector on the host's side: decides about a device's requests as the guest's allocators do about
//! theirs.

use serde::{Deserialize, Serialize};

use super::{FaultSpec, Injected, ReadWrite};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is carried out.
    Pass,
    /// It fails.
    Fail,
    /// It is carried out so many events later.
    Delay(u64),
}

/// One injector's knobs and its state. The knobs mean what they mean in Linux's `struct fault_attr`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Injector {
    only: Option<ReadWrite>,
    probability: u32,
    interval: u32,
    /// Failures left; -1 for no limit.
    times: i32,
    /// Bytes left before the first failure.
    space: u64,
    /// Fail exactly this candidate from now; 0 for not armed.
    pub(super) nth: u64,
    /// What `nth` becomes when it has fired.
    pub(super) then: u64,
    /// Events that a chosen request takes longer, and succeeds; 0 if it fails.
    delay: u64,
    /// Candidates until the next one that `interval` lets fail.
    interval_left: u32,
    rng: u64,
    counts: Injected,
    /// The direction of each candidate that was not yet asked for, if somebody wants to know.
    observed: Option<Vec<ReadWrite>>,
}

impl Injector {
    /// The injector that `spec` asks for. The counts so far are carried over; `seed` is the state of
    /// the generator that `probability` draws from.
    pub fn new(spec: &FaultSpec, seed: u64, so_far: Injected) -> Self {
        Self {
            only: spec.rw,
            probability: spec.probability,
            interval: spec.interval,
            times: spec.times,
            space: u64::try_from(spec.space).unwrap_or(0),
            nth: spec.nth,
            then: spec.then,
            delay: spec.delay,
            interval_left: 0,
            rng: seed,
            counts: so_far,
            observed: None,
        }
    }

    /// As [`Self::new`], but none of the candidates fails, and each is noted.
    pub fn observer(spec: &FaultSpec) -> Self {
        Self {
            only: spec.rw,
            nth: u64::MAX,
            observed: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// Whether it is one that lets nothing fail and notes each candidate.
    pub const fn is_observer(&self) -> bool {
        self.observed.is_some()
    }

    /// Whether an observer has noted candidates that nobody has taken.
    pub fn has_observed(&self) -> bool {
        self.observed
            .as_ref()
            .is_some_and(|noted| !noted.is_empty())
    }

    /// Takes the direction of each candidate since the last time, for who observes them.
    pub fn take_observed(&mut self) -> Vec<ReadWrite> {
        self.observed
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// What it has done so far.
    pub fn counts(&self) -> Injected {
        self.counts
    }

    /// Decides about a request of so many bytes. Costs a comparison while nothing is armed.
    pub fn decide(&mut self, what: ReadWrite, bytes: u64) -> Decision {
        match (self.is_chosen(what, bytes), self.delay) {
            (false, _) => Decision::Pass,
            (true, 0) => Decision::Fail,
            (true, events) => Decision::Delay(events),
        }
    }

    pub(super) fn is_chosen(&mut self, what: ReadWrite, bytes: u64) -> bool {
        let armed = self.probability != 0 || self.nth != 0;
        if !armed || self.only.is_some_and(|only| only != what) {
            return false;
        }
        self.counts.seen += 1;
        if let Some(observed) = &mut self.observed {
            observed.push(what);
        }
        let fails = match self.nth {
            0 => self.draw(bytes),
            1 => {
                self.nth = std::mem::take(&mut self.then);
                true
            }
            nth => {
                self.nth = nth - 1;
                false
            }
        };
        if fails {
            self.times -= i32::from(self.times > 0);
            self.counts.injected += 1;
        }
        fails
    }

    fn draw(&mut self, bytes: u64) -> bool {
        if self.probability == 0 || self.times == 0 {
            return false;
        }
        if self.space > bytes {
            self.space -= bytes;
            return false;
        }
        if self.interval > 1 {
            if self.interval_left == 0 {
                self.interval_left = self.interval;
            }
            self.interval_left -= 1;
            if self.interval_left > 0 {
                return false;
            }
        }
        self.random_below_100() < self.probability
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
    fn random_below_100(&mut self) -> u32 {
        self.rng = self.rng.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.rng;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (((z >> 32) * 100) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReadWrite::{Read, Write};

    fn injector(text: &str) -> Injector {
        Injector::new(&text.parse().unwrap(), 1, Injected::default())
    }

    /// The numbers, from 1, of the failing ones among 200 requests of a page, each second a write.
    fn failures(text: &str) -> Vec<u32> {
        let mut injector = injector(text);
        let fails = |n: &u32| {
            let what = if n.is_multiple_of(2) { Write } else { Read };
            injector.decide(what, 4096) == Decision::Fail
        };
        (1..=200).filter(fails).collect()
    }

    #[test]
    fn knobs_mean_what_they_mean_in_linux() {
        assert_eq!(failures("swap_io,nth=7"), [7]);
        assert_eq!(failures("swap_io,nth=7,then=3"), [7, 10]);
        assert_eq!(failures("swap_io,nth=7,rw=write"), [14]);
        assert_eq!(failures("swap_io,nth=7,rw=read"), [13]);
        assert_eq!(failures("swap_io,probability=100,times=3"), [1, 2, 3]);
        assert_eq!(
            failures("swap_io,probability=100,interval=60"),
            [60, 120, 180]
        );
        assert_eq!(
            failures("swap_io,probability=100,space=20480,times=2"),
            [5, 6]
        );
        assert!(failures("swap_io,probability=0").is_empty());
        let half = failures("swap_io,probability=50").len();
        assert!((70..130).contains(&half), "{half}");
        assert_eq!(failures("swap_io,probability=100").len(), 200);
    }

    #[test]
    fn an_observer_fails_nothing_and_tells_each_candidate_once() {
        let mut observer = Injector::observer(&"swap_io,rw=write,nth=1".parse().unwrap());
        assert!(observer.is_observer() && !observer.has_observed());
        for what in [Write, Read, Write] {
            assert!(!observer.is_chosen(what, 4096));
        }
        assert!(observer.has_observed());
        assert_eq!(observer.take_observed(), [Write, Write]);
        assert!(!observer.has_observed() && observer.take_observed().is_empty());
        assert!(!injector("swap_io,nth=1").has_observed());
    }

    #[test]
    fn counts_are_of_candidates_and_go_on() {
        let mut first = injector("swap_io,nth=2,rw=write");
        assert!(!first.is_chosen(Read, 4096));
        assert!(!first.is_chosen(Write, 4096));
        assert!(first.is_chosen(Write, 4096));
        assert!(!first.is_chosen(Write, 4096));
        let counts = first.counts();
        assert_eq!((counts.seen, counts.injected), (2, 1));
        let spec = "swap_io,nth=1".parse().unwrap();
        let mut second = Injector::new(&spec, 1, counts);
        assert!(second.is_chosen(Read, 4096));
        assert_eq!((second.counts().seen, second.counts().injected), (3, 2));
        assert!(!Injector::default().is_chosen(Read, 4096));
    }
    #[test]
    fn what_is_delayed_does_not_fail() {
        let mut injector = injector("swap_io,nth=2,delay=700,rw=read");
        assert_eq!(injector.decide(Write, 4096), Decision::Pass);
        assert_eq!(injector.decide(Read, 4096), Decision::Pass);
        assert_eq!(injector.decide(Read, 4096), Decision::Delay(700));
        assert_eq!(injector.decide(Read, 4096), Decision::Pass);
        assert_eq!(injector.counts().injected, 1);
    }
}
