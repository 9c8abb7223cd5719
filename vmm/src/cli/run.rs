//! `pagelab run`.

use super::{
    args::{Colour, Fault, Format, RunArguments},
    exit_status,
    output::{self, Failure},
};
use crate::{
    fault::{FaultKind, FaultSpec},
    pressure::{NAMED, PressureProfile},
    program::{Program, ProgramError, ProgramSpec},
    report::{AfterProgram, Human, Report},
    scenario::{self, ConfigError, RunConfig},
    trace::Chrome,
};
use pagelab_abi::{program, workload::WORKLOADS};
use std::{fmt::Write, fs::File, io::BufWriter, path::Path, process::ExitCode, time::Duration};

/// Runs one experiment and reports it.
pub(super) fn run(arguments: &RunArguments) -> Result<ExitCode, Failure> {
    if arguments.workload == "help" {
        return list_workloads();
    }
    if arguments.pressure.as_deref() == Some("help") {
        return list_profiles();
    }
    let config = config(arguments)?;
    let report = match &arguments.trace {
        Some(path) => scenario::run_recorded(&config, &mut trace(path)?)?,
        None => scenario::run(&config)?,
    };
    print(&report, arguments.format, arguments.color)
}

/// Prints the report of a run.
pub(super) fn print(report: &Report, format: Format, color: Colour) -> Result<ExitCode, Failure> {
    match format {
        Format::Json => {
            output::json(report)?;
        }
        Format::Human => match &report.program {
            // Standard output is the program's.
            Some(program) => {
                let paint = output::paint_stderr(color);
                output::note(&AfterProgram::new(report, program, paint).to_string());
            }
            None => {
                output::text(&Human::new(report, output::paint(color)).to_string())?;
            }
        },
    }
    Ok(exit_status::of(report))
}

/// A file for the trace.
pub(super) fn trace(path: &Path) -> Result<Chrome<BufWriter<File>>, Failure> {
    let named = |error| format!("cannot write the trace to {}: {error}", path.display());
    let file = File::create(path).map_err(named)?;
    Ok(Chrome::new(BufWriter::new(file)).map_err(named)?)
}

/// What the arguments mean, or which of them cannot be meant.
fn config(arguments: &RunArguments) -> Result<RunConfig, Failure> {
    let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
    if !names.contains(&arguments.workload.as_str()) {
        return Err(ConfigError::unknown("workload", &arguments.workload, &names).into());
    }
    let of_two = arguments.inspect.iter().find(|what| what.has_two_moments());
    match (of_two, arguments.since) {
        (Some(what), None) => return Err(ConfigError::NeedsSince(what.name()).into()),
        (None, Some(_)) => return Err(ConfigError::SinceInVain.into()),
        _ => {}
    }
    let (mut faults, mut bitflips, mut host_faults) = (Vec::new(), Vec::new(), Vec::new());
    for fault in &arguments.fault {
        match fault {
            Fault::Fails(spec) => faults.push((**spec).clone()),
            Fault::Bitflip(spec) => bitflips.push(*spec),
            Fault::Host(fault) => host_faults.push(fault.clone()),
        }
    }
    let of_swap = |spec: &&FaultSpec| spec.kind == FaultKind::SwapIo;
    if let (None, Some(spec)) = (&arguments.swap, faults.iter().find(of_swap)) {
        return Err(ConfigError::NoSwap(Box::new(spec.clone())).into());
    }
    if arguments.disk.is_none() {
        let of_disk = |spec: &&FaultSpec| spec.kind == FaultKind::FileIo;
        if let Some(spec) = faults.iter().find(of_disk) {
            return Err(ConfigError::NoDisk(format!("fault {spec}")).into());
        }
        if arguments.disk_out.is_some() {
            return Err(ConfigError::NoDisk("--disk-out".to_owned()).into());
        }
    }
    let program = match arguments.program.as_slice() {
        [] if arguments.env.is_empty() && arguments.file.is_empty() => None,
        [] => return Err(Box::new(ProgramError::NoProgram)),
        command => Some(Program::load(&ProgramSpec {
            command: command.to_vec(),
            env: arguments.env.clone(),
            files: arguments.file.clone(),
        })?),
    };
    let workload = match &program {
        Some(_) => program::WORKLOAD.to_owned(),
        None => arguments.workload.clone(),
    };
    let pressure = arguments
        .pressure
        .as_deref()
        .map(|text| PressureProfile::parse(text, arguments.memory))
        .transpose()?;
    Ok(RunConfig {
        memory: arguments.memory,
        cpu: arguments.cpu,
        transparent_hugepage: arguments.transparent_hugepage,
        zones: arguments.zones,
        zone_limits: arguments.zone_limits,
        workload,
        program,
        forward: arguments.format == Format::Human,
        swap: arguments.swap.clone(),
        disk: arguments.disk.clone(),
        disk_out: arguments.disk_out.clone(),
        memory_max: arguments.memory_max,
        memory_high: arguments.memory_high,
        swap_max: arguments.swap_max,
        swappiness: arguments.swappiness,
        seed: arguments.seed,
        pressure,
        faults,
        bitflips,
        host_faults,
        inspect: arguments.inspect.clone(),
        stop_at: arguments.stop_at,
        since: arguments.since,
        audit_every: arguments.audit_every,
        observe: None,
        probes: Vec::new(),
        event_limit: None,
        kernel: arguments.kernel.clone(),
        append: arguments.append.clone(),
        save: arguments.save.clone(),
        snapshot: arguments.snapshot.clone(),
        slab_debug: arguments.slab_debug.clone(),
        console: arguments.console,
        watchdog: Duration::from_secs(arguments.watchdog),
        time_limit: Duration::from_secs(arguments.time_limit),
    })
}

fn list_workloads() -> Result<ExitCode, Failure> {
    let mut text = String::from("Workloads:\n");
    for workload in WORKLOADS.iter().filter(|workload| !workload.test) {
        writeln!(text, "  {:<14} {}", workload.name, workload.description)?;
    }
    text.push_str("\nFor tests of the laboratory itself:\n");
    for workload in WORKLOADS.iter().filter(|workload| workload.test) {
        writeln!(text, "  {:<14} {}", workload.name, workload.description)?;
    }
    output::text(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn list_profiles() -> Result<ExitCode, Failure> {
    let mut text = String::from("Pressure profiles:\n");
    for profile in NAMED {
        writeln!(text, "  {:<10} {}", profile.name, profile.about)?;
        writeln!(text, "  {:<10}   {}", "", profile.text)?;
    }
    text.push_str(
        "\nOr write one, segments joined by '+':\n  \
         step:AMOUNT@EVENT,…                         step:512M@1000,0@4000\n  \
         ramp:FROM-TO@START..END/STEPS               ramp:0-90%@0..5000/20\n  \
         sawtooth:PEAK@START..END*TEETH/STEPS        sawtooth:80%@0..9000*3/5\n  \
         trace:FILE                                  lines of EVENT AMOUNT\n\n\
         An AMOUNT is a size, or a share of the machine's memory. Events count from the\n\
         beginning of the workload's pressure phase, or from the end of boot. Under a program\n\
         the balloon keeps what the last step asks for.\n",
    );
    output::text(&text)?;
    Ok(ExitCode::SUCCESS)
}
