//! From the text of an experiment file to an [`Experiment`].

use super::{
    Experiment, ExperimentError, Explore, FaultFamily, Position, Precision, ProgramFile, Strategy,
    error::Wrong,
    family,
    file::{ExperimentFile, ExploreTable, MachineTable, SteadyStateTable, WorkloadTable},
};
use crate::{
    fault::FaultKind,
    inspect::audit,
    machine::DiskSource,
    nearest::nearest,
    program::{ExtraFile, Program, ProgramSpec, Variable},
    scenario::{self, Check, ConfigError, Probe, RunConfig, ZoneLimits},
    size::ByteSize,
};
use pagelab_abi::{
    program,
    workload::{WORKLOADS, Workload},
};
use std::{ffi::OsString, fmt, fs, num::NonZeroU64, path::Path, str::FromStr};
use toml::Spanned;

/// RAM of a machine of which nothing else is said: small, so that its memory is soon put back.
const MEMORY: ByteSize = ByteSize(64 << 20);

/// Reads an experiment file. Its relative paths begin at `directory`, or where the file is.
///
/// # Errors
/// [`ExperimentError`] with file, line, column, what is wrong and what is allowed.
pub fn read(path: &Path, directory: Option<&Path>) -> Result<Experiment, ExperimentError> {
    let unreadable = |error| ExperimentError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let own = path.parent().unwrap_or(Path::new(""));
    parse(path, text, directory.unwrap_or(own))
}

/// Reads the text of an experiment file that is known as `path`.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, text: String, directory: &Path) -> Result<Experiment, ExperimentError> {
    let file = toml::from_str::<ExperimentFile>(&text)
        .map_err(|error| Wrong::new(error.span().unwrap_or_default(), error.message()));
    let read = file.and_then(|file| Reader { directory }.experiment(file, &text));
    read.map_err(|wrong| ExperimentError::Invalid {
        path: path.to_owned(),
        position: Position::of(&text, wrong.span.start),
        message: wrong.message,
    })
}

/// Reads tables.
struct Reader<'a> {
    directory: &'a Path,
}

/// The value of a key, if it is there.
fn value<T: FromStr<Err: fmt::Display>>(key: &Option<Spanned<String>>) -> Result<Option<T>, Wrong> {
    key.as_ref().map(one).transpose()
}

fn one<T: FromStr<Err: fmt::Display>>(word: &Spanned<String>) -> Result<T, Wrong> {
    let parsed = word.get_ref().parse();
    parsed.map_err(|error| Wrong::new(word.span(), error))
}

impl Reader<'_> {
    fn experiment(&self, file: ExperimentFile, text: &str) -> Result<Experiment, Wrong> {
        let mut options = Options::default();
        let mut config = RunConfig {
            seed: file.seed,
            ..self.machine(&file.machine, &mut options)?
        };
        options.add("seed", file.seed);
        let program = self.workload(&file, &mut config, &mut options)?;
        if let Some(every) = &file.explore.audit_every {
            let events = NonZeroU64::new(*every.get_ref());
            let message = "audit-every counts events from 1; write 1 for each system call";
            config.audit_every = Some(events.ok_or_else(|| Wrong::new(every.span(), message))?);
            options.add("audit-every", every.get_ref());
        }
        let steady_state = probes(&file.steady_state)?;
        let mut faults = Vec::new();
        for table in &file.fault {
            let family = family::family(table, config.memory)?;
            check_device(&family, &config).map_err(|error| Wrong::new(table.kind.span(), error))?;
            faults.push(family);
        }
        let explore = explore(&file.explore, faults.len())?;
        Ok(Experiment {
            title: file.title,
            text: text.to_owned(),
            directory: self.directory.to_owned(),
            config,
            options: options.0,
            program,
            status: status(file.workload.get_ref()),
            steady_state,
            faults,
            explore,
        })
    }

    fn machine(&self, table: &MachineTable, options: &mut Options) -> Result<RunConfig, Wrong> {
        let rest = RunConfig::default();
        let zone_limits: Option<ZoneLimits> = value(&table.limits)?;
        let swap: Option<ByteSize> = value(&table.swap)?;
        let disk = table
            .disk
            .as_ref()
            .map(|disk| self.disk(disk))
            .transpose()?;
        let slab_debug = match &table.slab_debug {
            Some(letters) => {
                let checked = scenario::slab_debug(letters.get_ref());
                Some(checked.map_err(|error| Wrong::new(letters.span(), error))?)
            }
            None => None,
        };
        let config = RunConfig {
            memory: value(&table.memory)?.unwrap_or(MEMORY),
            zones: value(&table.zones)?.unwrap_or(rest.zones),
            zone_limits,
            memory_max: value(&table.memory_max)?,
            swap: swap.map(DiskSource::Memory),
            disk,
            transparent_hugepage: value(&table.transparent_hugepage)?
                .unwrap_or(rest.transparent_hugepage),
            slab_debug,
            kernel: (table.kernel.as_ref()).map(|path| self.directory.join(path.get_ref())),
            append: table.append.as_ref().map(|words| words.get_ref().clone()),
            ..rest
        };
        options.add("memory", config.memory);
        for (name, word) in [
            ("zones", &table.zones),
            ("zone-limits", &table.limits),
            ("memory-max", &table.memory_max),
            ("swap", &table.swap),
            ("disk", &table.disk),
            ("transparent-hugepage", &table.transparent_hugepage),
            ("slab-debug", &table.slab_debug),
            ("kernel", &table.kernel),
            ("append", &table.append),
        ] {
            if let Some(word) = word {
                options.add(name, word.get_ref());
            }
        }
        Ok(config)
    }

    /// A size, or a directory to copy. A file would be changed by the runs, one after the other.
    fn disk(&self, word: &Spanned<String>) -> Result<DiskSource, Wrong> {
        match one(word)? {
            DiskSource::File(path) => {
                let path = self.directory.join(path);
                if !path.is_dir() {
                    let message = format!(
                        "disk '{}' is no directory, and the runs of a campaign each need a disk of \
                         their own; write a size, such as 64M, or a directory to copy",
                        word.get_ref()
                    );
                    return Err(Wrong::new(word.span(), message));
                }
                Ok(DiskSource::File(path))
            }
            memory => Ok(memory),
        }
    }

    /// Enters the workload. Returns the program, if it is one.
    fn workload(
        &self,
        file: &ExperimentFile,
        config: &mut RunConfig,
        options: &mut Options,
    ) -> Result<Option<ProgramFile>, Wrong> {
        let table = file.workload.get_ref();
        match (&table.builtin, &table.program) {
            (None, Some(command)) => {
                config.workload = program::WORKLOAD.to_owned();
                let program = self.program(file, command)?;
                let loaded = Program::load_from(&program.path, &program.spec);
                let loaded = loaded.map_err(|error| Wrong::new(command.span(), error))?;
                config.program = Some(loaded);
                for file in &file.machine.files {
                    options.add("file", file.get_ref());
                }
                for variable in &table.env {
                    options.add("env", variable.get_ref());
                }
                Ok(Some(program))
            }
            (Some(name), None) => {
                config.workload = builtin(name)?;
                options.add("workload", &config.workload);
                only_for_programs(file)?;
                Ok(None)
            }
            (Some(name), Some(_)) => Err(Wrong::new(
                name.span(),
                "builtin and program exclude one another; leave out one of the two",
            )),
            (None, None) => Err(Wrong::new(
                file.workload.span(),
                "a workload needs builtin = \"NAME\" or program = [\"./program\", \"argument\", …]",
            )),
        }
    }

    fn program(
        &self,
        file: &ExperimentFile,
        command: &Spanned<Vec<String>>,
    ) -> Result<ProgramFile, Wrong> {
        let table = file.workload.get_ref();
        let files = file.machine.files.iter().map(|word| {
            let mut extra: ExtraFile = one(word)?;
            extra.host = self.directory.join(extra.host);
            Ok(extra)
        });
        let words = command.get_ref();
        let name = words.first().map(String::as_str).unwrap_or_default();
        let spec = ProgramSpec {
            command: words.iter().map(OsString::from).collect(),
            env: (table
                .env
                .iter()
                .map(one)
                .collect::<Result<Vec<Variable>, _>>())?,
            files: files.collect::<Result<_, Wrong>>()?,
        };
        Ok(ProgramFile {
            path: self.directory.join(name),
            spec,
            command: words.clone(),
        })
    }
}

/// Options of `pagelab run` as they are gathered.
#[derive(Default)]
struct Options(Vec<String>);

impl Options {
    fn add(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push(format!("--{name}"));
        self.0.push(value.to_string());
    }
}

fn builtin(name: &Spanned<String>) -> Result<String, Wrong> {
    let text = name.get_ref();
    if Workload::find(text).is_none() {
        let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        return Err(Wrong::new(
            name.span(),
            ConfigError::unknown("workload", text, &names),
        ));
    }
    // It brings pressure and faults along, which are the campaign's business.
    if text == "default" {
        let message = "workload 'default' brings its own faults and pressure along; write buddy, slab \
                       or another one (`pagelab run --workload help`)";
        return Err(Wrong::new(name.span(), message));
    }
    Ok(text.clone())
}

/// Keys that make no sense without a program.
fn only_for_programs(file: &ExperimentFile) -> Result<(), Wrong> {
    let workload = file.workload.get_ref();
    let first = |list: &[Spanned<String>]| list.first().map(Spanned::span);
    let found = [
        ("env", first(&workload.env)),
        ("status", workload.status.as_ref().map(Spanned::span)),
        ("files", first(&file.machine.files)),
        (
            "memory-max",
            file.machine.memory_max.as_ref().map(Spanned::span),
        ),
        (
            "audit-every",
            file.explore.audit_every.as_ref().map(Spanned::span),
        ),
    ];
    for (key, span) in found {
        if let Some(span) = span {
            let message = format!("{key} is for programs, and the workload is none; leave it out");
            return Err(Wrong::new(span, message));
        }
    }
    Ok(())
}

fn status(table: &WorkloadTable) -> u8 {
    table.status.as_ref().map_or(0, |status| *status.get_ref())
}

fn probes(tables: &[SteadyStateTable]) -> Result<Vec<Probe>, Wrong> {
    let audits = audit::names();
    let probe = |table: &SteadyStateTable| {
        let check = Check::parse(table.probe.get_ref(), &audits);
        Ok(Probe {
            check: check.map_err(|error| Wrong::new(table.probe.span(), error))?,
            mode: table.mode,
        })
    };
    tables.iter().map(probe).collect()
}

/// Whether the machine has what is to fail.
fn check_device(family: &FaultFamily, config: &RunConfig) -> Result<(), String> {
    let (FaultFamily::Candidates { spec, .. } | FaultFamily::Whole(spec)) = family else {
        return Ok(());
    };
    match spec.kind {
        FaultKind::SwapIo if config.swap.is_none() => {
            Err("swap_io needs a swap device; write swap = \"64M\" into [machine]".to_owned())
        }
        FaultKind::FileIo if config.disk.is_none() => {
            Err("file_io needs a disk with files; write disk = \"64M\" into [machine]".to_owned())
        }
        _ => Ok(()),
    }
}

const STRATEGIES: [&str; 3] = ["exhaustive", "sample", "pairs"];

fn explore(table: &ExploreTable, families: usize) -> Result<Explore, Wrong> {
    let word = table.strategy.as_ref();
    let name = word.map_or(STRATEGIES[0], |word| word.get_ref().as_str());
    let span = || word.map(Spanned::span).unwrap_or_default();
    let precision = precision(table)?;
    let strategy = match name {
        "exhaustive" => match (&table.confidence, &table.margin) {
            (None, None) => Strategy::Exhaustive,
            (key, other) => {
                let span = key.as_ref().or(other.as_ref()).map(Spanned::span);
                let message = "an exhaustive campaign has no confidence and no margin; write \
                               strategy = \"sample\", or leave them out";
                return Err(Wrong::new(span.unwrap_or_default(), message));
            }
        },
        "sample" => match precision {
            Some(precision) => Strategy::Sample(precision),
            None => {
                let message = "a sample needs confidence and margin, such as confidence = 0.95 and \
                               margin = 0.05";
                return Err(Wrong::new(span(), message));
            }
        },
        "pairs" => Strategy::Pairs(precision),
        _ => {
            let hint = nearest(name, STRATEGIES)
                .map(|name| format!(", did you mean '{name}'?"))
                .unwrap_or_default();
            let known = STRATEGIES.join(", ");
            let message = format!("unknown strategy '{name}'{hint}; known are: {known}");
            return Err(Wrong::new(span(), message));
        }
    };
    let prune = table.prune.as_ref();
    if let (Some(prune), Strategy::Pairs(_)) = (prune.filter(|prune| *prune.get_ref()), strategy) {
        let message = "pairs cannot be pruned: which of two alike pairs stands for the other is not \
                       known; leave prune out";
        return Err(Wrong::new(prune.span(), message));
    }
    if let (Strategy::Pairs(_), 0) = (strategy, families) {
        let message = "pairs of nothing; write a [[fault]] table";
        return Err(Wrong::new(span(), message));
    }
    Ok(Explore {
        strategy,
        prune: prune.is_some_and(|prune| *prune.get_ref()),
        timeout: table.timeout.as_ref().map(|timeout| *timeout.get_ref()),
    })
}

fn precision(table: &ExploreTable) -> Result<Option<Precision>, Wrong> {
    let share = |key: &str, value: &Spanned<f64>| {
        let number = *value.get_ref();
        match number > 0.0 && number < 1.0 {
            true => Ok(number),
            false => {
                let message =
                    format!("{key} = {number} is no share; write one above 0 and below 1");
                Err(Wrong::new(value.span(), message))
            }
        }
    };
    match (&table.confidence, &table.margin) {
        (None, None) => Ok(None),
        (Some(confidence), Some(margin)) => Ok(Some(Precision {
            confidence: share("confidence", confidence)?,
            margin: share("margin", margin)?,
        })),
        (Some(one), None) => Err(Wrong::new(
            one.span(),
            "margin is missing, such as margin = 0.05",
        )),
        (None, Some(one)) => Err(Wrong::new(
            one.span(),
            "confidence is missing, such as confidence = 0.95",
        )),
    }
}
