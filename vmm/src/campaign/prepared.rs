//! A campaign that is ready to run: golden run, plan and identity.

use super::{
    experiment::Experiment,
    golden::{self, GoldenError, GoldenRun},
    oracle, output_hash,
    partition::Partition,
    plan::{Plan, PlanError, Planned, enumerate},
    record::{Evidence, EvidenceView, FORMAT, Header, Record},
};
use crate::{
    machine::Kernel,
    report::{Report, View},
    scenario::{self, Inspection, RunConfig, RunError},
};
use pagelab_abi::view::ViewKind;
use sha2::{Digest, Sha256};
use std::{fmt::Write, io};
use thiserror::Error;

/// A campaign.
#[derive(Debug)]
pub struct Campaign {
    /// What is tried.
    pub experiment: Experiment,
    /// The run without faults.
    pub golden: GoldenRun,
    /// The experiments.
    pub plan: Plan,
    /// The first line of its record file, for all of it.
    pub header: Header,
}

/// Why a campaign cannot begin.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The golden run is none to hold others against.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// The fault points cannot be found.
    #[error(transparent)]
    Run(#[from] RunError),
    /// There is nothing to try.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The kernel cannot be read.
    #[error("the kernel {kernel} cannot be read: {error}; check the path")]
    Kernel {
        /// Which.
        kernel: String,
        /// Why.
        error: io::Error,
    },
}

impl Campaign {
    /// Makes the golden run, finds the fault points and plans the experiments.
    ///
    /// # Errors
    /// [`PrepareError`] says what is in the way.
    pub fn prepare(mut experiment: Experiment) -> Result<Self, PrepareError> {
        experiment.config.probes = experiment.steady_state.clone();
        let golden = golden::run(&experiment)?;
        let points = enumerate(&experiment, &golden.report)?;
        let plan = Plan::new(points, &experiment.explore, experiment.config.seed)?;
        let header = header(&experiment, &golden, &plan)?;
        Ok(Self {
            experiment,
            golden,
            plan,
            header,
        })
    }

    /// The first line of the record file of a part.
    pub fn header_of(&self, partition: Option<Partition>) -> Header {
        Header {
            partition,
            ..self.header.clone()
        }
    }

    /// The run of an experiment, but for its faults.
    pub fn config(&self) -> RunConfig {
        golden::config(&self.experiment, &self.golden.summary)
    }

    /// The record of an experiment that was run.
    pub fn record(&self, id: u64, planned: &Planned, report: &Report) -> Record {
        self.record_against(&self.experiment, &self.golden, id, planned, report)
    }

    /// The record of a run of another experiment than this campaign's, held against that one's own golden run.
    pub(super) fn record_against(
        &self,
        experiment: &Experiment,
        golden: &GoldenRun,
        id: u64,
        planned: &Planned,
        report: &Report,
    ) -> Record {
        let judgement = oracle::judge(experiment, golden, report);
        Record {
            id,
            faults: planned.faults.clone(),
            weight: planned.weight,
            class: judgement.class,
            reasons: judgement.reasons,
            trace_hash: report.trace_hash.clone(),
            output_hash: output_hash(report),
            end: judgement.end,
            audits: judgement.audits,
            counts: judgement.counts,
            command: self.command(planned),
            evidence: None,
        }
    }

    /// What the guest looks like where an experiment fails, from one more run of it.
    ///
    /// # Errors
    /// If the run cannot be made.
    pub fn evidence(&self, planned: &Planned) -> Result<Evidence, RunError> {
        let mut config = self.config();
        config.inspect = vec![Inspection::Pagetable, Inspection::View(ViewKind::Buddyinfo)];
        for armed in &planned.armed {
            armed.enter(&mut config);
        }
        let report = scenario::run(&config)?;
        let view = |view: View| EvidenceView {
            name: view.name.to_owned(),
            text: shortened(view.text),
        };
        let crash = report.crash.map(|crash| crash.console.join("\n"));
        Ok(Evidence {
            views: report.views.into_iter().map(view).collect(),
            console: shortened(report.console.or(crash).unwrap_or_default()),
        })
    }

    /// The command that makes a run again.
    pub fn command(&self, planned: &Planned) -> String {
        let faults = planned.armed.iter().flat_map(|armed| armed.options());
        command_line(&self.experiment, &self.experiment.options, faults)
    }
}

/// The text as far as a record keeps it: whole lines, the first of them.
fn shortened(mut text: String) -> String {
    const MOST: usize = 32 << 10;
    if text.len() > MOST {
        let kept = &text[..text.floor_char_boundary(MOST)];
        text.truncate(kept.rfind('\n').map_or(0, |line_end| line_end + 1));
        text.push_str("…\n");
    }
    text
}

/// `pagelab run` with these options, and the experiment's program.
pub fn command_line(
    experiment: &Experiment,
    options: &[String],
    faults: impl Iterator<Item = String>,
) -> String {
    let mut words = vec!["pagelab".to_owned(), "run".to_owned()];
    words.extend(options.iter().cloned());
    words.extend(faults);
    if let Some(program) = &experiment.program {
        words.push("--".to_owned());
        words.extend(program.command.iter().cloned());
    }
    let words = words.iter().map(String::as_str);
    // Only a NUL cannot be quoted, and no argument of a program has one.
    shlex::try_join(words).unwrap_or_default()
}

fn header(
    experiment: &Experiment,
    golden: &GoldenRun,
    plan: &Plan,
) -> Result<Header, PrepareError> {
    let kernel = experiment.config.kernel.clone();
    let kernel = kernel.map_or(Kernel::Embedded, Kernel::Path);
    let contents = kernel.contents().map_err(|error| PrepareError::Kernel {
        kernel: kernel.to_string(),
        error,
    })?;
    let guest = hex(&Sha256::digest(&contents));
    let program = experiment.config.program.as_ref();
    let program = program.map_or(String::new(), |program| {
        hex(&Sha256::digest(program.archive()))
    });
    let mut identity = Sha256::new();
    for part in [
        FORMAT,
        env!("CARGO_PKG_VERSION"),
        &guest,
        &program,
        &experiment.text,
        &golden.summary.trace_hash,
        &golden.summary.output_hash,
    ] {
        identity.update((part.len() as u64).to_le_bytes());
        identity.update(part);
    }
    for number in [plan.space(), plan.len(), golden.summary.event_limit] {
        identity.update(number.to_le_bytes());
    }
    // What comes behind these follows from the same golden run and the same numbers.
    for id in (0..plan.len()).take(1 << 16) {
        if let Some(planned) = plan.get(id) {
            identity.update(planned.weight.to_le_bytes());
            for fault in &planned.faults {
                identity.update(&fault.fault);
                identity.update([0]);
            }
        }
    }
    Ok(Header {
        format: FORMAT.to_owned(),
        campaign: hex(&identity.finalize()),
        title: experiment.title.clone(),
        seed: experiment.config.seed,
        pagelab: env!("CARGO_PKG_VERSION").to_owned(),
        guest,
        program,
        experiment: experiment.text.clone(),
        directory: experiment.directory.display().to_string(),
        golden: golden.summary.clone(),
        space: plan.space(),
        points: plan.len(),
        partition: None,
    })
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
