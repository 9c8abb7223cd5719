//! `pagelab campaign`.

use super::{
    args::Colour,
    exit_status,
    output::{self, Failure},
};
use crate::campaign::{
    Campaign,
    executor::Forked,
    experiment,
    journal::Journal,
    partition::{self, Partition},
    record::Record,
    tally::{Summary, Terminal},
    work::{self, Progress},
};
use crate::scenario::ForkPoint;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    num::NonZeroUsize, path::PathBuf, process::ExitCode, str::FromStr,
    thread::available_parallelism,
};

/// Flags of `pagelab campaign`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CampaignArguments {
    /// The experiment file (TOML); scripts/experiments has some.
    #[arg(value_name = "EXPERIMENT", required_unless_present = "schema")]
    experiment: Option<PathBuf>,
    /// The record file: JSON lines. If it is there, its campaign goes on where it stopped.
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["schema", "plan"])]
    output: Option<PathBuf>,
    /// Do a part of it: slice:M/N (in turn), hash:M/N, or auto, from SLURM_ARRAY_TASK_ID and _COUNT,
    /// JOB_COMPLETION_INDEX and JOB_COMPLETIONS, or CI_NODE_INDEX and CI_NODE_TOTAL.
    #[arg(long, value_name = "PART")]
    partition: Option<PartArgument>,
    /// Threads, each with a machine of its own [default: one for each CPU].
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Where the experiment's relative paths begin [default: where its file is].
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Show what would be run, and run nothing but the golden run.
    #[arg(long)]
    plan: bool,
    /// Print the JSON schema of experiment files.
    #[arg(long, exclusive = true)]
    schema: bool,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t)]
    color: Colour,
}

const EXAMPLES: &str = "\
Examples:
  pagelab campaign fork.toml -o all.jsonl        run it; again: go on where it stopped
  pagelab campaign fork.toml --plan              what would be run
  pagelab campaign fork.toml -o 3.jsonl --partition slice:3/8
  pagelab merge [1-8].jsonl -o all.jsonl         the parts of several machines
  pagelab replay all.jsonl 17                    one experiment again
  pagelab campaign --schema > experiment.schema.json

An experiment file:
  title = \"each allocation of a shell's fork fails\"
  [workload]
  program = [\"./busybox\", \"sh\", \"-c\", \"ls | wc -l\"]
  [[fault]]
  kind = \"fail_page_alloc\"
  site = \"fork\"
  nth = \"1..\"

Exit status:
  0 no experiment shows a fault of the guest's kernel
  1 at least one is corruption, crash or hang, or could not be judged
  2 bad input, steady state not met, or a host or disk that stopped the campaign";

/// What `--partition` takes.
#[derive(Clone, Copy, Debug)]
enum PartArgument {
    Auto,
    Part(Partition),
}

impl FromStr for PartArgument {
    type Err = partition::PartitionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Part),
        }
    }
}

/// Plans, runs, judges and records.
pub(super) fn campaign(arguments: &CampaignArguments) -> Result<ExitCode, Failure> {
    let Some(path) = &arguments.experiment else {
        return output::json(&experiment::schema());
    };
    let partition = match arguments.partition {
        None => None,
        Some(PartArgument::Part(part)) => Some(part),
        Some(PartArgument::Auto) => Some(partition::from_environment(|name| {
            std::env::var(name).ok()
        })?),
    };
    let experiment = experiment::read(path, arguments.directory.as_deref())?;
    output::note(&format!("{}: the run without faults …\n", experiment.title));
    let campaign = Campaign::prepare(experiment)?;
    let (Some(output), false) = (&arguments.output, arguments.plan) else {
        return show_plan(&campaign, partition);
    };
    ignore_file_size_signal();
    let mut journal = Journal::open(output, campaign.header_of(partition))?;
    let config = campaign.config();
    let point = ForkPoint::boot(&config)?;
    let jobs = arguments.jobs.or_else(|| available_parallelism().ok());
    let mut bar = Bar::new(&campaign, &journal);
    let result = work::work(
        &campaign,
        &mut journal,
        jobs.map_or(1, NonZeroUsize::get),
        || Ok(Box::new(Forked::new(&point, config.clone())?)),
        &mut bar,
    );
    bar.bar.finish_and_clear();
    let summary = Summary::new(&campaign.header, journal.records());
    output::text(&Terminal::new(&summary, output::paint(arguments.color)).to_string())?;
    result?;
    list_failures(journal.records(), output)?;
    let failed = journal.records().iter().any(is_no_pass);
    Ok(ExitCode::from(if failed {
        exit_status::VIOLATED
    } else {
        0
    }))
}

/// Whether a record speaks against the guest, or for nothing.
fn is_no_pass(record: &Record) -> bool {
    use crate::campaign::record::Class;
    record.class.is_failure() || record.class == Class::Skipped
}

/// Names the first failures, and how to see them again.
fn list_failures(records: &[Record], path: &std::path::Path) -> Result<(), Failure> {
    const LISTED: usize = 5;
    let mut failures: Vec<&Record> = records.iter().filter(|record| is_no_pass(record)).collect();
    failures.sort_by_key(|record| record.id);
    let mut text = String::new();
    for record in failures.iter().take(LISTED) {
        let reason = record.reasons.first().map_or("", String::as_str);
        text += &format!("\n{} {}: {reason}\n", record.class, record.id);
        text += &format!("  pagelab replay {} {}\n", path.display(), record.id);
    }
    if failures.len() > LISTED {
        text += &format!("\nand {} more\n", failures.len() - LISTED);
    }
    output::text(&text)
}

fn show_plan(campaign: &Campaign, partition: Option<Partition>) -> Result<ExitCode, Failure> {
    let plan = &campaign.plan;
    let golden = &campaign.golden.summary;
    let mut text = format!(
        "{} experiments of {} fault points; the golden run has {} events\n",
        plan.len(),
        plan.space(),
        golden.events
    );
    let mine = |id: &u64| partition.is_none_or(|part| part.contains(*id));
    for id in (0..plan.len()).filter(mine) {
        let Some(planned) = plan.get(id) else {
            continue;
        };
        let faults: Vec<&str> = planned
            .faults
            .iter()
            .map(|fault| fault.fault.as_str())
            .collect();
        let site = planned
            .faults
            .first()
            .and_then(|fault| fault.site.as_deref());
        let faults = faults.join(" + ");
        text += &format!("{id:>6} {:>5}x {faults}", planned.weight);
        text += &site.map_or(String::new(), |site| format!("   {site}"));
        text.push('\n');
    }
    output::text(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The progress bar, on a terminal.
struct Bar {
    bar: ProgressBar,
    failures: u64,
}

impl Bar {
    fn new(campaign: &Campaign, journal: &Journal) -> Self {
        let partition = journal.header().partition;
        let mine = |id: &u64| partition.is_none_or(|part| part.contains(*id));
        let all = (0..campaign.plan.len()).filter(mine).count() as u64;
        let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr());
        let template = "{bar:24} {pos}/{len}  {per_sec}  {eta} left  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let done = journal.done().len() as u64;
        bar.set_position(done);
        // What was done before says nothing of the rate.
        bar.reset_eta();
        if done > 0 {
            output::note(&format!("{done} of {all} were recorded before\n"));
        }
        Self { bar, failures: 0 }
    }
}

impl Progress for Bar {
    fn recorded(&mut self, record: &Record) {
        self.bar.inc(1);
        if is_no_pass(record) {
            self.failures += 1;
            self.bar.set_message(format!("{} failed", self.failures));
        }
    }
}

/// A file that may not grow is then an error of writing, and not the end of this process.
fn ignore_file_size_signal() {
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
