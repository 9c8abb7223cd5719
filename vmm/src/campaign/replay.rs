//! One record of a file again.

use super::{
    Campaign, PrepareError,
    experiment::{self, ExperimentError},
    journal::JournalError,
    journal::{Records, read},
    plan::Planned,
    record::{Header, Record},
};
use crate::{
    report::Report,
    scenario::{self, Inspection, RunError},
    trace::Sink,
};
use std::path::Path;
use thiserror::Error;

/// Why a record cannot be run again.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The experiment in it cannot be read here.
    #[error("{0}; if the experiment's paths begin elsewhere, say where with --directory")]
    Experiment(#[from] ExperimentError),
    /// There is no golden run.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The run cannot be made.
    #[error(transparent)]
    Run(#[from] RunError),
    /// There is no such record.
    #[error("there is no record of experiment {id}; the file has {count}, from {first} to {last}")]
    NoRecord {
        /// What was asked for.
        id: u64,
        /// Records that there are.
        count: usize,
        /// The lowest number.
        first: u64,
        /// The highest number.
        last: u64,
    },
    /// It is not the same campaign here.
    #[error(
        "this is not the campaign of the file any more: {0}; use the same version of pagelab, the same guest \
         and the same program"
    )]
    Changed(String),
    /// The run went another way.
    #[error(
        "experiment {id} does not repeat: {what} was {recorded} and is {found} now; please tell pagelab's authors"
    )]
    NotRepeated {
        /// Which.
        id: u64,
        /// What differs.
        what: &'static str,
        /// As recorded.
        recorded: String,
        /// As it is now.
        found: String,
    },
}

/// A record file's campaign, made ready again.
#[derive(Debug)]
pub struct Replay {
    /// The campaign.
    pub campaign: Campaign,
    /// The file's records.
    pub records: Vec<Record>,
}

/// What is wanted of a run besides its record.
#[derive(Default)]
pub struct Wanted<'a> {
    /// What to inspect at its end.
    pub inspect: Vec<Inspection>,
    /// Who is told of each event.
    pub trace: Option<&'a mut dyn Sink>,
}

impl Replay {
    /// Reads a record file and makes its campaign ready. Relative paths begin at `directory`, or where the
    /// file says.
    ///
    /// # Errors
    /// [`ReplayError`] if the campaign is not what it was.
    pub fn open(path: &Path, directory: Option<&Path>) -> Result<Self, ReplayError> {
        let Records { header, records } = read(path)?;
        let own = Path::new(&header.directory);
        let text = header.experiment.clone();
        let experiment = experiment::parse(path, text, directory.unwrap_or(own))?;
        let campaign = Campaign::prepare(experiment)?;
        match difference(&header, &campaign.header) {
            Some(what) => Err(ReplayError::Changed(what)),
            None => Ok(Self { campaign, records }),
        }
    }

    /// The record of this number, and what it plans.
    ///
    /// # Errors
    /// [`ReplayError::NoRecord`].
    pub fn find(&self, id: u64) -> Result<(&Record, Planned), ReplayError> {
        let record = self.records.iter().find(|record| record.id == id);
        let found = record.and_then(|record| Some((record, self.campaign.plan.get(id)?)));
        let ids = || self.records.iter().map(|record| record.id);
        found.ok_or_else(|| ReplayError::NoRecord {
            id,
            count: self.records.len(),
            first: ids().min().unwrap_or_default(),
            last: ids().max().unwrap_or_default(),
        })
    }

    /// Runs the experiment of this number again, and sees that it is what the record says.
    ///
    /// # Errors
    /// [`ReplayError::NotRepeated`] if it went another way.
    pub fn run(&self, id: u64, wanted: Wanted<'_>) -> Result<Report, ReplayError> {
        let (record, planned) = self.find(id)?;
        let mut config = self.campaign.config();
        config.inspect = wanted.inspect;
        for armed in &planned.armed {
            armed.enter(&mut config);
        }
        let report = match wanted.trace {
            Some(sink) => scenario::run_recorded(&config, sink)?,
            None => scenario::run(&config)?,
        };
        let again = self.campaign.record(id, &planned, &report);
        for (what, recorded, found) in [
            ("its trace", &record.trace_hash, &again.trace_hash),
            ("its output", &record.output_hash, &again.output_hash),
            (
                "its class",
                &record.class.to_string(),
                &again.class.to_string(),
            ),
        ] {
            if recorded != found {
                return Err(ReplayError::NotRepeated {
                    id,
                    what,
                    recorded: recorded.clone(),
                    found: found.clone(),
                });
            }
        }
        Ok(report)
    }
}

/// In what two headers of one campaign differ.
fn difference(recorded: &Header, now: &Header) -> Option<String> {
    let fields = [
        ("pagelab's version", &recorded.pagelab, &now.pagelab),
        ("the guest's kernel", &recorded.guest, &now.guest),
        ("the program", &recorded.program, &now.program),
        (
            "the golden trace",
            &recorded.golden.trace_hash,
            &now.golden.trace_hash,
        ),
        ("the plan", &recorded.campaign, &now.campaign),
    ];
    let found = fields
        .into_iter()
        .find(|(_, recorded, now)| recorded != now);
    found.map(|(what, recorded, now)| format!("{what} was {recorded} and is {now}"))
}
