//! What a configuration means: the machine to build, and what the default scenario brings along.

use super::{Cpu, RunConfig, ZoneModel};
use crate::{
    devices::serial::ProgramOutput,
    fault::FaultSpec,
    machine::{
        Initramfs, Kernel, MachineConfig,
        call_sites::{SiteError, call_sites as find_code},
        crash::{CrashKind, CrashReport},
        doctor::Backend,
    },
    pressure::PressureProfile,
    program::Program,
    report::Verdict,
};
use pagelab_abi::{
    fault::CallSite, memcg, platform, program::CMDLINE_INIT, view::ViewKind, workload::Workload,
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// The workload that gets pressure and faults without being asked.
const DEFAULT: &str = "default";

/// Faults of the default scenario: page allocations of any kind and those of higher orders, and
/// slab allocations, often enough that every error path is taken.
const DEFAULT_FAULTS: [&str; 2] = [
    "fail_page_alloc,probability=20,interval=2,times=150",
    "failslab,probability=5,times=150",
];

/// Every view at once, as the guest is asked for them.
pub(super) const ALL_VIEWS: u32 = (1 << ViewKind::ALL.len()) - 1;

/// Bytes that are kept of each of a program's outputs.
const MAX_OUTPUT: usize = 16 << 20;

/// The machine for a run.
pub(super) fn machine(config: &RunConfig) -> MachineConfig {
    let kernel = config.kernel.clone().map_or(Kernel::Embedded, Kernel::Path);
    let machine = MachineConfig::new(kernel);
    // In the classic model the direct map ends where HIGHMEM begins.
    let direct_map_end = match (config.zones, config.zone_limits) {
        (ZoneModel::Classic, Some(limits)) => limits.upper.0,
        _ => machine.initramfs_limit,
    };
    MachineConfig {
        initramfs_limit: machine.initramfs_limit.min(direct_map_end),
        memory: config.memory.0,
        cmdline: cmdline(config),
        swap: config.swap.clone(),
        disk: config.disk.clone(),
        watchdog: config.watchdog,
        time_limit: Some(config.time_limit),
        console: config.console.then(|| Box::new(io::stderr()) as _),
        initramfs: config
            .program
            .as_ref()
            .map(|program| Initramfs::Bytes(program.archive())),
        program: config.program.as_ref().map(|_| outputs(config.forward)),
        // On other backends the guest's own CR4 does it.
        denies_tsc: config.program.is_some()
            && config.cpu == Cpu::Baseline
            && Backend::claimed() == Backend::InterpretedRing0,
        ..machine
    }
}

/// In what the machines of two runs differ, if they do.
pub(super) fn machines_differ(one: &RunConfig, other: &RunConfig) -> Option<&'static str> {
    let archive = |config: &RunConfig| config.program.as_ref().map(Program::archive);
    [
        ("memory", one.memory == other.memory),
        ("its kernel", one.kernel == other.kernel),
        ("its swap device", one.swap == other.swap),
        ("its disk", one.disk == other.disk),
        ("its program", archive(one) == archive(other)),
        // Zones, workload, seed and the like.
        ("its command line", cmdline(one) == cmdline(other)),
        ("the CPU", one.cpu == other.cpu),
    ]
    .into_iter()
    .find_map(|(what, same)| (!same).then_some(what))
}

/// Where a program's standard output and standard error go.
fn outputs(forward: bool) -> [ProgramOutput; 2] {
    let streams: [Box<dyn Write + Send>; 2] = [Box::new(io::stdout()), Box::new(io::stderr())];
    streams.map(|stream| {
        let output = ProgramOutput::new(MAX_OUTPUT);
        if forward {
            output.with_forward(stream)
        } else {
            output
        }
    })
}

/// The kernel command line. What announces devices is added by the machine.
fn cmdline(config: &RunConfig) -> String {
    let mut words = vec![
        format!("{}={}", platform::CMDLINE_ZONES, config.zones.name()),
        format!("{}={}", platform::CMDLINE_WORKLOAD, config.workload),
        format!("{}={}", platform::CMDLINE_SEED, config.seed),
    ];
    if let Some(limits) = config.zone_limits {
        words.push(format!("{}={limits}", platform::CMDLINE_ZONE_LIMITS));
    }
    if let Some(program) = &config.program {
        words.push(format!("{CMDLINE_INIT}={}", program.guest_path()));
        words.push(format!("{}={}", platform::CMDLINE_CPU, config.cpu.name()));
        let thp = config.transparent_hugepage.name();
        words.push(format!("{}={thp}", platform::CMDLINE_TRANSPARENT_HUGEPAGE));
    }
    for (key, size) in [
        (memcg::CMDLINE_MEMORY_MAX, config.memory_max),
        (memcg::CMDLINE_MEMORY_HIGH, config.memory_high),
        (memcg::CMDLINE_SWAP_MAX, config.swap_max),
    ] {
        words.extend(size.map(|size| format!("{key}={}", size.0)));
    }
    if let Some(swappiness) = config.swappiness {
        words.push(format!("{}={swappiness}", memcg::CMDLINE_SWAPPINESS));
    }
    if let Some(letters) = &config.slab_debug {
        words.push(format!("{}={letters}", platform::CMDLINE_SLAB_DEBUG));
    }
    words.extend(config.append.clone());
    words.join(" ")
}

/// Whether the workload has a phase of its own for pressure.
pub(super) fn has_pressure_phase(workload: &str) -> bool {
    Workload::find(workload).is_some_and(|workload| workload.phased)
}

/// The profile for the pressure phase.
pub(super) fn pressure(config: &RunConfig) -> Option<PressureProfile> {
    let default = || match config.workload.as_str() {
        DEFAULT => PressureProfile::parse("default", config.memory).ok(),
        _ => None,
    };
    config.pressure.clone().or_else(default)
}

/// Faults for the phase of faults: none of its own if the user brought some.
pub(super) fn faults(config: &RunConfig) -> Vec<FaultSpec> {
    if !config.faults.is_empty() || config.workload != DEFAULT {
        return Vec::new();
    }
    DEFAULT_FAULTS
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// The code that the faults' `site` names, by that.
///
/// # Errors
/// If the kernel has no such code.
pub(super) fn call_sites(config: &RunConfig) -> Result<BTreeMap<String, Vec<CallSite>>, SiteError> {
    let kernel = config.kernel.clone().map_or(Kernel::Embedded, Kernel::Path);
    let specs = config.faults.iter().chain(&config.observe);
    let names = specs.map(|spec| &spec.caller.site);
    names
        .filter(|name| !name.is_empty())
        .map(|name| Ok((name.clone(), find_code(&kernel, name)?)))
        .collect()
}

/// The verdict over a crash.
pub(super) fn crash_verdict(crash: &CrashReport) -> Verdict {
    match crash.cause {
        CrashKind::Panic => Verdict::Panicked,
        CrashKind::TripleFault => Verdict::TripleFault,
        CrashKind::HaltedForever
        | CrashKind::NoProgress { .. }
        | CrashKind::Ringing { .. }
        | CrashKind::MemoryHandlerDied
        | CrashKind::TimeLimit { .. } => Verdict::Hung,
        _ => Verdict::EmulationFailure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_faults_are_valid() {
        for text in DEFAULT_FAULTS {
            assert_eq!(text.parse::<FaultSpec>().unwrap().to_string(), text);
        }
    }
}
