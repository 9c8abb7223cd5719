//! As little of an experiment as still fails in the same way: fewer faults, a shorter workload, less memory.

use super::{
    Campaign, command_line,
    experiment::Experiment,
    plan::Armed,
    record::{Class, Record},
};
use crate::{
    fault::FaultSpec,
    program::Program,
    report::Report,
    scenario::{self, RunError, StopAt},
    size::ByteSize,
};
use std::{collections::BTreeSet, ffi::OsString};
use thiserror::Error;

/// The least memory that a machine has.
const LEAST_MEMORY: u64 = 16 << 20;

/// Why there is nothing to make smaller.
#[derive(Debug, Error)]
pub enum MinimizeError {
    /// A run cannot be made.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It is no failure.
    #[error(
        "experiment {id} is {class}, which is no failure; name one that is corruption, crash, hang or \
         detected-unrecoverable"
    )]
    NoFailure {
        /// Which.
        id: u64,
        /// What became of it.
        class: Class,
    },
}

/// An experiment that still fails.
#[derive(Clone, Debug)]
pub struct Minimized {
    /// What it is.
    pub command: String,
    /// What was left out, in words.
    pub steps: Vec<String>,
    /// Runs that this took.
    pub runs: u64,
}

/// What must stay the same: the class, and which audits fail or how a crash is described.
#[derive(PartialEq, Eq)]
struct Signature {
    class: Class,
    about: BTreeSet<String>,
}

/// A variant of the experiment.
#[derive(Clone)]
struct Variant {
    experiment: Experiment,
    armed: Vec<Armed>,
    stop_at: Option<u64>,
}

struct Search<'a> {
    campaign: &'a Campaign,
    signature: Signature,
    best: Variant,
    steps: Vec<String>,
    runs: u64,
}

/// Makes the experiment of a record smaller as long as it fails in the same way.
///
/// # Errors
/// [`MinimizeError`] if it does not fail, or a run cannot be made.
pub fn minimize(
    campaign: &Campaign,
    record: &Record,
    armed: Vec<Armed>,
) -> Result<Minimized, MinimizeError> {
    if !record.class.is_failure() && record.class != Class::DetectedUnrecoverable {
        let (id, class) = (record.id, record.class);
        return Err(MinimizeError::NoFailure { id, class });
    }
    let best = Variant {
        experiment: campaign.experiment.clone(),
        armed,
        stop_at: None,
    };
    let mut search = Search {
        campaign,
        signature: Signature::of_record(record),
        best,
        steps: Vec::new(),
        runs: 0,
    };
    search.faults()?;
    search.script()?;
    search.arguments()?;
    search.memory()?;
    search.events(record)?;
    Ok(Minimized {
        command: search.best.command(),
        steps: search.steps,
        runs: search.runs,
    })
}

impl Signature {
    fn of_record(record: &Record) -> Self {
        let audits = record.audits.iter().filter(|audit| !audit.skipped);
        Self {
            class: record.class,
            about: audits.map(|audit| audit.name.clone()).collect(),
        }
    }
}

impl Variant {
    fn command(&self) -> String {
        let faults = self.armed.iter().flat_map(Armed::options);
        let stop = self
            .stop_at
            .map(|event| ["--stop-at".to_owned(), event.to_string()]);
        let all = faults.chain(stop.into_iter().flatten());
        command_line(&self.experiment, &self.experiment.options, all)
    }

    /// Changes an option of `pagelab run`.
    fn set_option(&mut self, name: &str, value: &str) {
        let options = &mut self.experiment.options;
        if let Some(at) = options.iter().position(|option| option == name) {
            options[at + 1] = value.to_owned();
        }
    }

    /// The program's name and arguments; none without one.
    fn words(&self) -> Vec<String> {
        let program = self.experiment.program.as_ref();
        program.map_or_else(Vec::new, |program| program.command.clone())
    }

    /// Gives the program other arguments. False if it cannot have them.
    fn set_words(&mut self, words: Vec<String>) -> bool {
        let Some(program) = &mut self.experiment.program else {
            return false;
        };
        program.spec.command = words.iter().map(OsString::from).collect();
        program.command = words;
        let loaded = Program::load_from(&program.path, &program.spec).ok();
        let can = loaded.is_some();
        self.experiment.config.program = loaded;
        can
    }
}

impl Search<'_> {
    /// Runs a variant, and keeps it if it fails in the same way.
    fn accept(&mut self, variant: Variant, what: &str) -> Result<bool, MinimizeError> {
        let Some(report) = self.run(&variant)? else {
            return Ok(false);
        };
        let same = self.is_same(&variant, &report);
        if same {
            self.best = variant;
            self.steps.push(what.to_owned());
        }
        Ok(same)
    }

    /// None if such a machine or such a run cannot be.
    fn run(&mut self, variant: &Variant) -> Result<Option<Report>, MinimizeError> {
        self.runs += 1;
        let mut config = self.campaign.config();
        config.memory = variant.experiment.config.memory;
        config.program = variant.experiment.config.program.clone();
        config.stop_at = variant.stop_at.map(StopAt::Event);
        for armed in &variant.armed {
            armed.enter(&mut config);
        }
        match scenario::run(&config) {
            Ok(report) => Ok(Some(report)),
            Err(RunError::Host(error)) => Err(RunError::Host(error).into()),
            Err(error) => {
                log::debug!("no such variant: {error}");
                Ok(None)
            }
        }
    }

    fn is_same(&self, variant: &Variant, report: &Report) -> bool {
        let planned = super::plan::Planned {
            faults: Vec::new(),
            armed: variant.armed.clone(),
            weight: 1,
        };
        // What a program writes and how it ends is held against the golden run of the whole, so a shorter
        // workload may only be one in which the guest's kernel is at fault.
        let judged = self.campaign.record(0, &planned, report);
        Signature::of_record(&judged) == self.signature
            && (self.signature.class.is_failure() || judged.end.is_some())
    }

    /// One fault of two, or none at all.
    fn faults(&mut self) -> Result<(), MinimizeError> {
        let variant = Variant {
            armed: Vec::new(),
            ..self.best.clone()
        };
        if self.signature.class.is_failure() && self.accept(variant, "no fault is needed")? {
            return Ok(());
        }
        let singles = singles(&self.best.armed);
        if singles.len() < 2 {
            return Ok(());
        }
        for single in singles {
            let what = format!("one fault is enough: {}", single.options()[1]);
            let variant = Variant {
                armed: vec![single],
                ..self.best.clone()
            };
            if self.accept(variant, &what)? {
                break;
            }
        }
        Ok(())
    }

    /// Fewer statements of a shell's script, which stands behind `-c`.
    fn script(&mut self) -> Result<(), MinimizeError> {
        if !self.signature.class.is_failure() {
            return Ok(());
        }
        let flag = self.best.words().iter().position(|word| word == "-c");
        let Some(at) = flag.map(|flag| flag + 1) else {
            return Ok(());
        };
        let Some(script) = self.best.words().get(at).cloned() else {
            return Ok(());
        };
        let mut statements: Vec<String> = script
            .split([';', '\n'])
            .map(|part| part.trim().to_owned())
            .collect();
        let mut index = 0;
        while statements.len() > 1 && index < statements.len() {
            let mut fewer = statements.clone();
            let left_out = fewer.remove(index);
            let mut variant = self.best.clone();
            let mut command = variant.words();
            command[at] = fewer.join("; ");
            let what = format!("without the statement '{left_out}'");
            if variant.set_words(command) && self.accept(variant, &what)? {
                statements = fewer;
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    /// Fewer of a program's arguments, from the last one on.
    fn arguments(&mut self) -> Result<(), MinimizeError> {
        if !self.signature.class.is_failure() {
            return Ok(());
        }
        while self.best.words().len() > 1 {
            let mut command = self.best.words();
            let left_out = command.pop().unwrap_or_default();
            let mut variant = self.best.clone();
            let what = format!("without the argument '{left_out}'");
            if !variant.set_words(command) || !self.accept(variant, &what)? {
                break;
            }
        }
        Ok(())
    }

    /// Half of the memory, as often as that goes.
    fn memory(&mut self) -> Result<(), MinimizeError> {
        loop {
            let half = ByteSize(self.best.experiment.config.memory.0 / 2);
            if half.0 < LEAST_MEMORY {
                return Ok(());
            }
            let mut variant = self.best.clone();
            variant.experiment.config.memory = half;
            variant.set_option("--memory", &half.to_string());
            if !self.accept(variant, &format!("{half} of memory is enough"))? {
                return Ok(());
            }
        }
    }

    /// The first event at which an audit finds it.
    fn events(&mut self, record: &Record) -> Result<(), MinimizeError> {
        let boot = self.campaign.golden.summary.boot_events;
        if self.signature.class != Class::Corruption || self.signature.about.is_empty() {
            return Ok(());
        }
        let (mut low, mut high) = (boot, record.counts.events);
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let variant = Variant {
                stop_at: Some(middle),
                ..self.best.clone()
            };
            let report = self.run(&variant)?;
            let shows = report.is_some_and(|report| self.is_same(&variant, &report));
            match shows {
                true => {
                    high = middle;
                    found = Some(variant);
                }
                false => low = middle + 1,
            }
        }
        if let Some(variant) = found {
            let event = variant.stop_at.unwrap_or_default();
            self.best = variant;
            self.steps.push(format!("it shows at event {event}"));
        }
        Ok(())
    }
}

/// The faults, each by itself.
fn singles(armed: &[Armed]) -> Vec<Armed> {
    let each = armed.iter().flat_map(|armed| match armed {
        Armed::Failure(spec) if spec.then > 0 => {
            let one = |nth| {
                Armed::Failure(Box::new(FaultSpec {
                    nth,
                    then: 0,
                    ..(**spec).clone()
                }))
            };
            vec![one(spec.nth), one(spec.nth + spec.then)]
        }
        other => vec![other.clone()],
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_comes_apart() {
        let pair = Armed::Failure(Box::new("failslab,nth=3,then=4,pid=1".parse().unwrap()));
        let singles = singles(&[pair]);
        let texts: Vec<String> = singles.iter().map(|it| it.options()[1].clone()).collect();
        assert_eq!(texts, ["failslab,nth=3,pid=1", "failslab,nth=7,pid=1"]);
    }
}
