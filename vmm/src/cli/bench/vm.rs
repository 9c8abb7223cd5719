//! The operations of virtual memory, in the guest beside the Linux that pagelab runs on.
//!
//! One program does them on both and reads the time-stamp counter. Under `scripts/nested-kvm --icount`
//! that counts instructions, the kernel's own included, so that the figures are exact.

use super::super::output::Failure;
use crate::{
    machine::embedded,
    program::{Program, ProgramSpec},
    report::Verdict,
    scenario::{self, Cpu, RunConfig},
};
use pagelab_abi::program::WORKLOAD;
use std::{
    fmt::Write,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

/// A line of the program's output.
#[derive(Debug, PartialEq)]
struct Measurement {
    name: String,
    count: u64,
    ticks: u64,
}

impl Measurement {
    /// Ticks of one operation.
    fn each(&self) -> f64 {
        self.ticks as f64 / self.count as f64
    }

    /// Whether it is the loop whose instructions are known, and a tick is one of them: the counter
    /// is read in a few more.
    fn counts_instructions(&self) -> bool {
        self.name == "loop" && (self.count..self.count + self.count / 1000).contains(&self.ticks)
    }
}

impl FromStr for Measurement {
    type Err = Failure;

    fn from_str(line: &str) -> Result<Self, Failure> {
        let fields: Vec<&str> = line.split(' ').collect();
        if let [name, count, ticks] = fields.as_slice()
            && let (Ok(count @ 1..), Ok(ticks)) = (count.parse(), ticks.parse())
        {
            return Ok(Self {
                name: (*name).to_owned(),
                count,
                ticks,
            });
        }
        Err(format!("bench-vm wrote '{line}' instead of a name, a count and ticks").into())
    }
}

/// Measures and prints a table.
pub(super) fn measure() -> Result<String, Failure> {
    let directory = tempfile::tempdir()?;
    let program = unpack(directory.path())?;
    let own = in_the_guest(&program)?;
    let peer = on_linux(&program)?;
    table(&own, &peer)
}

/// Puts the program into a directory, to be executed there.
fn unpack(directory: &Path) -> io::Result<PathBuf> {
    let program = directory.join("bench-vm");
    fs::write(&program, embedded::bench_vm())?;
    fs::set_permissions(&program, Permissions::from_mode(0o700))?;
    Ok(program)
}

fn in_the_guest(program: &Path) -> Result<Vec<Measurement>, Failure> {
    let program = Program::load(&ProgramSpec {
        command: vec![program.into()],
        ..ProgramSpec::default()
    })?;
    let report = scenario::run(&RunConfig {
        workload: WORKLOAD.to_owned(),
        // Whose time-stamp counter is the machine's, and page faults as the CPU reports them.
        cpu: Cpu::Host,
        program: Some(program),
        ..RunConfig::default()
    })?;
    let outcome = report.program.as_ref();
    match outcome {
        Some(outcome) if report.verdict == Verdict::Held && outcome.status == Some(0) => {
            outcome.stdout.lines().map(str::parse).collect()
        }
        Some(outcome) => Err(format!(
            "in the guest, {outcome}: {}{}",
            report.reasons.join("; "),
            outcome.stderr
        )
        .into()),
        None => Err(format!("the guest did not run: {}", report.reasons.join("; ")).into()),
    }
}

fn on_linux(program: &Path) -> Result<Vec<Measurement>, Failure> {
    let output = Command::new(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("bench-vm on Linux: {}: {error}", output.status).into());
    }
    text.lines().map(str::parse).collect()
}

fn table(own: &[Measurement], peer: &[Measurement]) -> Result<String, Failure> {
    let names = |side: &[Measurement]| side.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    if names(own) != names(peer) {
        return Err("bench-vm measured other things in the guest than on Linux".into());
    }
    let exact = [own, peer]
        .iter()
        .all(|side| side.first().is_some_and(Measurement::counts_instructions));
    let unit = if exact { "instructions" } else { "TSC ticks" };
    let mut text = format!(
        "vm           {:<24} {:>13} {:>13} {:>7}\n",
        format!("{unit} of one"),
        "pagelab",
        "Linux",
        "ratio"
    );
    for (own, peer) in own.iter().zip(peer).skip(1) {
        writeln!(
            text,
            "             {:<24} {:>13.0} {:>13.0} {:>7.2}",
            own.name,
            own.each(),
            peer.each(),
            own.each() / peer.each()
        )?;
    }
    if !exact {
        text.push_str("             (exact: scripts/nested-kvm --icount pagelab bench vm)\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(lines: &[&str]) -> Vec<Measurement> {
        lines.iter().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn the_table_has_a_line_for_each_operation_and_the_ratio() {
        let own = measured(&["loop 1000 1000", "fault 10 1000"]);
        let peer = measured(&["loop 1000 1000", "fault 10 4000"]);
        let text = table(&own, &peer).unwrap();
        assert!(text.contains("instructions of one"), "{text}");
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["fault", "100", "400", "0.25"]);
    }

    #[test]
    fn a_counter_of_time_is_not_taken_for_one_of_instructions() {
        let own = measured(&["loop 1000 1000", "fault 10 1000"]);
        let peer = measured(&["loop 1000 640", "fault 10 4000"]);
        assert!(table(&own, &peer).unwrap().contains("TSC ticks of one"));
    }

    #[test]
    fn what_the_program_should_not_write_is_refused() {
        for line in ["", "fault", "fault 0 1", "fault 1 x", "fault 1 2 3"] {
            assert!(line.parse::<Measurement>().is_err(), "{line}");
        }
        let (own, peer) = (measured(&["loop 1 1"]), measured(&["fault 1 1"]));
        assert!(table(&own, &peer).is_err());
    }

    #[test]
    fn the_program_runs_on_linux() {
        let directory = tempfile::tempdir().unwrap();
        let program = unpack(directory.path()).unwrap();
        let lines = on_linux(&program).unwrap();
        assert_eq!(lines[0].name, "loop");
        assert!(lines.len() > 8, "{lines:?}");
    }
}
