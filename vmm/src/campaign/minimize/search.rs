//! Which variants of an experiment fail as it does.

use super::{MinimizeError, Minimized, signature::Signature, variant::Variant};
use crate::{
    campaign::{
        Campaign,
        golden::{self, GoldenRun},
        plan::{Armed, Planned},
        record::Record,
    },
    report::Report,
    scenario::{self, RunConfig, RunError, StopAt},
};

/// The search for the smallest one.
pub(super) struct Search<'a> {
    campaign: &'a Campaign,
    signature: Signature,
    best: Variant,
    /// The last event of the smallest one.
    events: u64,
    steps: Vec<String>,
    runs: u64,
}

impl<'a> Search<'a> {
    /// Begins with the whole experiment.
    pub(super) fn new(campaign: &'a Campaign, record: &Record, armed: Vec<Armed>) -> Self {
        let mut best = Variant {
            experiment: campaign.experiment.clone(),
            armed,
            stop_at: None,
            has_same_golden: true,
        };
        if best.experiment.config.seed == RunConfig::default().seed {
            best.remove_option("--seed");
        }
        Self {
            campaign,
            signature: Signature::of(record),
            best,
            events: record.counts.events,
            steps: Vec::new(),
            runs: 0,
        }
    }

    /// The smallest one so far.
    pub(super) const fn best(&self) -> &Variant {
        &self.best
    }

    pub(super) const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// From the end of boot to the end of the smallest one.
    pub(super) fn events_range(&self) -> (u64, u64) {
        (self.campaign.golden.summary.boot_events, self.events)
    }

    /// Keeps a variant if it fails in the same way. Says whether it does.
    pub(super) fn accept(&mut self, variant: Variant, what: &str) -> Result<bool, MinimizeError> {
        let same = self.fails_alike(&variant)?;
        if same {
            self.keep(variant, what.to_owned());
        }
        Ok(same)
    }

    /// Keeps a variant that is known to fail.
    pub(super) fn keep(&mut self, variant: Variant, what: String) {
        self.best = variant;
        self.steps.push(what);
    }

    /// Whether a variant fails in the same way. One that cannot be run does not.
    pub(super) fn fails_alike(&mut self, variant: &Variant) -> Result<bool, MinimizeError> {
        let own;
        let golden = match variant.has_same_golden || !self.signature.is_relative() {
            true => &self.campaign.golden,
            false => {
                self.runs += 1;
                let Some(run) = possible(golden::once(&variant.experiment))? else {
                    return Ok(false);
                };
                own = run;
                match &own {
                    Ok(golden) => golden,
                    // Even without faults something does not hold.
                    Err(_) => return Ok(false),
                }
            }
        };
        let Some(report) = self.run(variant)? else {
            return Ok(false);
        };
        let same = self.judge(variant, golden, &report) == self.signature;
        if same && variant.stop_at.is_none() {
            self.events = report.events;
        }
        Ok(same)
    }

    /// None if such a machine or such a run cannot be.
    fn run(&mut self, variant: &Variant) -> Result<Option<Report>, MinimizeError> {
        self.runs += 1;
        let mut config = golden::config(&variant.experiment, &self.campaign.golden.summary);
        config.stop_at = variant.stop_at.map(StopAt::Event);
        for armed in &variant.armed {
            armed.enter(&mut config);
        }
        possible(scenario::run(&config))
    }

    fn judge(&self, variant: &Variant, golden: &GoldenRun, report: &Report) -> Signature {
        let planned = Planned {
            faults: Vec::new(),
            armed: variant.armed.clone(),
            weight: 1,
        };
        let (campaign, experiment) = (self.campaign, &variant.experiment);
        Signature::of(&campaign.record_against(experiment, golden, 0, &planned, report))
    }

    /// The smallest one, and how it was found.
    pub(super) fn into_minimized(self) -> Minimized {
        Minimized {
            command: self.best.command(),
            steps: self.steps,
            runs: self.runs,
        }
    }
}

/// The result of a run; none if the run cannot be made for what it is, and an error if this host cannot.
fn possible<T>(result: Result<T, RunError>) -> Result<Option<T>, MinimizeError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(RunError::Host(error)) => Err(RunError::Host(error).into()),
        Err(error) => {
            log::debug!("no such variant: {error}");
            Ok(None)
        }
    }
}
