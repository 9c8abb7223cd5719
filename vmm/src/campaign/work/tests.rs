use super::*;
use crate::{
    campaign::{executor::Forked, experiment, journal, plan::Planned},
    machine::testing::has_kvm,
    report::Report,
    scenario::ForkPoint,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

const EXPERIMENT: &str = "title = 'x'\n[machine]\nmemory = '16M'\n[workload]\nbuiltin = 'none'\n\
    [[fault]]\nkind = 'bitflip'\nat = 4096\nbit = '0..3'\nevent = '0..'\n";

/// A machine that fails at its first experiment, in one way or another.
struct Dying {
    real: Forked,
    panics: bool,
    for_ever: bool,
    deaths: u32,
}

impl Executor for Dying {
    fn execute(&mut self, planned: &Planned) -> Result<Report, RunError> {
        if self.deaths == 0 || self.for_ever {
            self.deaths += 1;
            assert!(!self.panics, "the machine is gone");
            return Err(RunError::NotReady("the machine is gone".to_owned()));
        }
        self.real.execute(planned)
    }
}

/// Counts experiments that were begun, those that are recorded, and the most in between.
#[derive(Default)]
struct InFlight {
    begun: AtomicU64,
    recorded: AtomicU64,
    most: AtomicU64,
}

struct Counted(Forked, Arc<InFlight>);

impl Executor for Counted {
    fn execute(&mut self, planned: &Planned) -> Result<Report, RunError> {
        let Self(machine, count) = self;
        let begun = count.begun.fetch_add(1, SeqCst) + 1;
        let report = machine.execute(planned);
        let unwritten = begun.saturating_sub(count.recorded.load(SeqCst));
        count.most.fetch_max(unwritten, SeqCst);
        report
    }
}

impl Progress for Arc<InFlight> {
    fn recorded(&mut self, _: &Record) {
        self.recorded.fetch_add(1, SeqCst);
    }
}

struct Nobody;

impl Progress for Nobody {
    fn recorded(&mut self, _: &Record) {}
}

/// Runs the campaign with machines of which the first few die. Returns the records' lines.
fn run(path: &Path, deaths: u32, panics: bool, for_ever: bool) -> Result<Vec<Record>, WorkError> {
    let parsed = experiment::parse(Path::new("x.toml"), EXPERIMENT.to_owned(), Path::new("."));
    let campaign = Campaign::prepare(parsed.unwrap()).unwrap();
    let point = ForkPoint::boot(&campaign.config()).unwrap();
    let mut journal = Journal::open(path, campaign.header_of(None)).unwrap();
    let made = AtomicU64::new(0);
    let machine = || -> Result<Box<dyn Executor>, RunError> {
        let dies = made.fetch_add(1, Relaxed) < u64::from(deaths);
        let real = Forked::new(&point, campaign.config())?;
        Ok(match dies {
            true => Box::new(Dying {
                real,
                panics,
                for_ever,
                deaths: 0,
            }),
            false => Box::new(real),
        })
    };
    work(&campaign, &mut journal, 2, machine, &mut Nobody)?;
    let mut records = journal.records().to_vec();
    records.sort_by_key(|record| record.id);
    Ok(records)
}

#[test]
fn a_machine_that_dies_costs_no_record() {
    if !has_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let sound = run(&path("sound"), 0, false, false).unwrap();
    assert!(sound.len() >= 4, "{}", sound.len());
    for panics in [false, true] {
        let records = run(&path(&format!("dies-{panics}")), 2, panics, false).unwrap();
        assert_eq!(records, sound);
        // One that dies each time stops the campaign, which goes on later.
        let last = path(&format!("gone-{panics}"));
        let error = run(&last, u32::MAX, panics, true).unwrap_err().to_string();
        assert!(error.contains("the machine is gone"), "{error}");
        assert!(error.contains("goes on from there"), "{error}");
        assert!(journal::read(&last).unwrap().records.is_empty());
        assert_eq!(run(&last, 0, false, false).unwrap(), sound);
    }
}

#[test]
fn no_more_is_unwritten_than_what_is_in_flight() {
    const JOBS: u64 = 2;
    if !has_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let parsed = experiment::parse(Path::new("x.toml"), EXPERIMENT.to_owned(), Path::new("."));
    let campaign = Campaign::prepare(parsed.unwrap()).unwrap();
    let point = ForkPoint::boot(&campaign.config()).unwrap();
    let mut journal = Journal::open(&folder.path().join("all"), campaign.header_of(None)).unwrap();
    let mut count = Arc::new(InFlight::default());
    let counted = Arc::clone(&count);
    let machine = || -> Result<Box<dyn Executor>, RunError> {
        let machine = Forked::new(&point, campaign.config())?;
        Ok(Box::new(Counted(machine, Arc::clone(&counted))))
    };
    work(&campaign, &mut journal, JOBS as usize, machine, &mut count).unwrap();
    assert_eq!(count.begun.load(SeqCst), campaign.plan.len());
    assert_eq!(count.recorded.load(SeqCst), campaign.plan.len());
    // Those that run, and the one that is just being written.
    assert!(count.most.load(SeqCst) <= JOBS + 1, "{:?}", count.most);
}
