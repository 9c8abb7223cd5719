//! The report for people: 80 columns, one section for each step of the run.

use super::{
    Audit, Paint, Report, Verdict, bars,
    text::{duration, grouped, mebibytes, plural, shortened, wrapped},
};
use crate::inspect::{Outcome, audit::ZoneSummary};
use std::fmt;

/// Lines of the page-table map that are shown; `--inspect pagetable` shows all.
const MAP_LINES: usize = 24;

/// Displays a report.
pub struct Human<'a> {
    report: &'a Report,
    paint: Paint,
}

impl<'a> Human<'a> {
    /// The report, with or without colours.
    pub const fn new(report: &'a Report, paint: Paint) -> Self {
        Self { report, paint }
    }

    fn heading(&self, f: &mut fmt::Formatter<'_>, name: &str, summary: &str) -> fmt::Result {
        writeln!(f)?;
        writeln!(
            f,
            "{} {summary}",
            self.paint.heading(format_args!("{name:<12}"))
        )
    }

    fn boot(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let summary = format!(
            "first line after {} and {} events, ready after {} and {}",
            duration(report.host.first_line_us),
            report.boot.first_line_events,
            duration(report.host.boot_us),
            report.boot.events
        );
        self.heading(f, "Boot", &summary)?;
        zones(f, &report.boot.zones)
    }

    fn workload(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let work = &report.workload;
        let summary = format!(
            "'{}', seed {}: {} steps",
            report.config.workload,
            report.config.seed,
            grouped(work.steps)
        );
        self.heading(f, "Workload", &summary)?;
        writeln!(
            f,
            "  pages    {:>12} allocated {:>10} refused {:>12} through kmap",
            grouped(work.pages_ok),
            grouped(work.pages_failed),
            grouped(work.kmaps)
        )?;
        writeln!(
            f,
            "  objects  {:>12} allocated {:>10} refused",
            grouped(work.objects_ok),
            grouped(work.objects_failed)
        )?;
        write!(f, "  contents {:>12} verified  ", grouped(work.checks))?;
        if work.mismatches == 0 {
            writeln!(f, "{:>10} wrong", 0)
        } else {
            writeln!(
                f,
                "{} wrong",
                self.paint
                    .bad(format_args!("{:>10}", grouped(work.mismatches)))
            )
        }
    }

    fn page_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(table) = &self.report.page_table else {
            return Ok(());
        };
        let summary = format!(
            "{} present leaves in {} ranges, walked from CR3",
            grouped(table.summary.leaves),
            table.lines.len()
        );
        self.heading(f, "Page tables", &summary)?;
        write!(f, "{}", table.display(MAP_LINES))
    }

    fn pressure(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pressure = &self.report.pressure;
        let Some(profile) = &pressure.profile else {
            return Ok(());
        };
        let summary = format!(
            "balloon profile '{profile}', peak {}",
            mebibytes(pressure.peak.0)
        );
        self.heading(f, "Pressure", &summary)?;
        let largest = pressure
            .samples
            .iter()
            .map(|sample| sample.requested.max(sample.achieved));
        let scale = largest.max().unwrap_or(0);
        writeln!(
            f,
            "  {:>9} {:>9} {:>9} {:>9}",
            "event", "requested", "achieved", "free"
        )?;
        for sample in bars::rows(&pressure.samples) {
            writeln!(
                f,
                "  {:>9} {:>9} {:>9} {:>9} {}",
                grouped(sample.event),
                mebibytes(sample.requested),
                mebibytes(sample.achieved),
                mebibytes(sample.available),
                bars::bar(sample.requested, sample.achieved, scale)
            )?;
        }
        if let Some(balloon) = &pressure.balloon {
            writeln!(
                f,
                "  the host got back {} from the balloon and {} of reported free pages",
                mebibytes(balloon.reclaimed_bytes),
                mebibytes(balloon.reported_bytes)
            )?;
        }
        let relief = &pressure.relief;
        let counts = [
            ("direct reclaims", relief.allocstall),
            ("background reclaims", relief.pageoutrun),
            ("drains of per-CPU lists", relief.pcp_drain),
            ("slab objects scanned", relief.slabs_scanned),
            ("zone fallbacks", relief.zone_fallback),
            ("pageblocks' types crossed", relief.extfrag),
            ("balloon pages given back", relief.balloon_deflate),
            ("page allocations refused", relief.refused),
        ];
        for pair in counts.chunks(2) {
            let cells = pair
                .iter()
                .map(|(name, count)| format!("{:>9} {name:<28}", grouped(*count)));
            writeln!(f, "  {}", cells.collect::<Vec<_>>().join(" ").trim_end())?;
        }
        Ok(())
    }

    fn swap(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disks = [("Swap", &self.report.swap), ("Disk", &self.report.disk)];
        disks.into_iter().try_for_each(|(name, disk)| match disk {
            Some(disk) => self.disk(f, name, disk),
            None => Ok(()),
        })
    }

    fn disk(&self, f: &mut fmt::Formatter<'_>, name: &str, disk: &super::Swap) -> fmt::Result {
        self.heading(f, name, &format!("a device of {}", disk.size))?;
        let guest = &disk.guest;
        for (what, good, bad) in [
            ("read", guest.reads, guest.read_errors),
            ("written", guest.writes, guest.write_errors),
        ] {
            writeln!(
                f,
                "  pages    {:>12} {what:<9} {:>10} errors",
                grouped(good),
                grouped(bad)
            )?;
        }
        Ok(())
    }

    fn bitflips(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flips = &self.report.faults.bitflips;
        if flips.is_empty() {
            return Ok(());
        }
        let done = flips.iter().filter(|flip| flip.gpa.is_some()).count() as u64;
        self.heading(
            f,
            "Bit flips",
            &format!("{} {} turned over", grouped(done), plural(done, "bit")),
        )?;
        for flip in flips {
            let event = grouped(flip.event);
            match (&flip.gpa, &flip.reason) {
                (Some(gpa), _) => writeln!(
                    f,
                    "  event {event}: {gpa} {:#04x} -> {:#04x}",
                    flip.before, flip.after
                )?,
                (None, reason) => writeln!(
                    f,
                    "  event {event}: not done, {}",
                    reason.as_deref().unwrap_or("nobody knows why")
                )?,
            }
            writeln!(f, "    {}", self.paint.faint(&flip.armed))?;
        }
        Ok(())
    }

    fn host_acts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acts = &self.report.faults.host_acts;
        if acts.is_empty() {
            return Ok(());
        }
        let done = acts.iter().filter(|act| act.done).count() as u64;
        let what = format!("{} {} done", grouped(done), plural(done, "act"));
        self.heading(f, "Hardware", &what)?;
        for act in acts {
            let event = grouped(act.event);
            write!(f, "  event {event}: {}", act.kind)?;
            if let Some(pfn) = &act.pfn {
                write!(f, " of pfn {pfn}")?;
            }
            match (&act.reason, &act.outcome) {
                (Some(reason), _) => writeln!(f, ": not done, {reason}")?,
                (None, Some(outcome)) => writeln!(f, ": {outcome}")?,
                (None, None) => writeln!(f)?,
            }
            writeln!(f, "    {}", self.paint.faint(&act.armed))?;
        }
        Ok(())
    }

    pub(super) fn faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bitflips(f)?;
        self.host_acts(f)?;
        let injectors = &self.report.faults.injectors;
        if injectors.is_empty() {
            return Ok(());
        }
        let of_devices = injectors
            .iter()
            .any(|injector| injector.name.ends_with("_io"));
        let what = if of_devices { "request" } else { "allocation" };
        let total = injectors.iter().fold(0, |sum: u64, injector| {
            sum.saturating_add(injector.injected)
        });
        self.heading(
            f,
            "Faults",
            &format!("{} {} made to fail", grouped(total), plural(total, what)),
        )?;
        for injector in injectors {
            writeln!(
                f,
                "  {:<16}{:>7} seen {:>6} injected {:>6} reported {:>6} absorbed",
                injector.name,
                grouped(injector.seen),
                grouped(injector.injected),
                grouped(injector.reported),
                grouped(injector.absorbed)
            )?;
            for armed in &injector.armed {
                writeln!(f, "    {}", self.paint.faint(armed))?;
            }
        }
        Ok(())
    }

    pub(super) fn audits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let audits = &self.report.audits;
        let held = audits
            .iter()
            .filter(|audit| audit.result.outcome == Outcome::Held)
            .count();
        self.heading(f, "Audits", &format!("{held} of {} held", audits.len()))?;
        let mut names: Vec<&str> = Vec::new();
        for audit in audits {
            if !names.contains(&audit.result.name.as_str()) {
                names.push(&audit.result.name);
            }
        }
        for name in names {
            let of_name: Vec<&Audit> = audits
                .iter()
                .filter(|audit| audit.result.name == name)
                .collect();
            self.audit(f, name, &of_name)?;
        }
        Ok(())
    }

    /// One audit at all its moments: a line if it held, and what was found where it did not.
    fn audit(&self, f: &mut fmt::Formatter<'_>, name: &str, moments: &[&Audit]) -> fmt::Result {
        let failed: Vec<&&Audit> = moments
            .iter()
            .filter(|audit| audit.result.outcome != Outcome::Held)
            .collect();
        if failed.is_empty() {
            return writeln!(
                f,
                "  {} {name:<25}{:>2}x  {}",
                self.paint.good("held"),
                moments.len(),
                shortened(&moments[0].result.checks, 43),
            );
        }
        for audit in failed {
            let word = match audit.result.outcome {
                Outcome::Skipped => "SKIPPED",
                _ => "VIOLATED",
            };
            writeln!(f, "  {} {name} at {}", self.paint.bad(word), audit.moment)?;
            writeln!(f, "    checks: {}", shortened(&audit.result.checks, 68))?;
            for finding in &audit.result.findings {
                for line in wrapped(finding, 74) {
                    writeln!(f, "    {line}")?;
                }
            }
            let shown = audit.result.findings.len() as u64;
            if audit.result.total > shown {
                writeln!(f, "    and {} more", audit.result.total - shown)?;
            }
        }
        Ok(())
    }

    pub(super) fn views(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for view in &self.report.views {
            self.heading(f, view.name, "")?;
            write!(f, "{}", view.text)?;
        }
        Ok(())
    }

    pub(super) fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        if let Some(crash) = &report.crash {
            self.heading(f, "Crash", "")?;
            writeln!(f, "{}", crash.to_string().trim_end())?;
        }
        if let Some(console) = &report.console {
            self.heading(f, "Console", "")?;
            for line in console.lines().flat_map(|line| wrapped(line, 76)) {
                writeln!(f, "  {line}")?;
            }
        }
        let word = match report.verdict {
            Verdict::Held => "HELD",
            Verdict::Violated => "VIOLATED",
            Verdict::Panicked => "PANICKED",
            Verdict::TripleFault => "TRIPLE FAULT",
            Verdict::EmulationFailure => "EMULATION FAILURE",
            Verdict::Hung => "HUNG",
            Verdict::Unfit => "UNFIT",
            Verdict::Deadlocked => "DEADLOCKED",
        };
        writeln!(f)?;
        write!(
            f,
            "{} ",
            self.paint.heading(format_args!("{:<12}", "Verdict"))
        )?;
        if report.verdict == Verdict::Held {
            write!(f, "{}", self.paint.good(word))?;
        } else {
            write!(f, "{}", self.paint.bad(word))?;
        }
        writeln!(
            f,
            "   {} events   trace {}   {}",
            grouped(report.events),
            report.trace_hash,
            duration(report.host.total_us)
        )?;
        for reason in &report.reasons {
            for line in wrapped(reason, 76) {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Human<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.report.config;
        let limits = config
            .zone_limits
            .as_ref()
            .map(|l| format!(" ({l})"))
            .unwrap_or_default();
        writeln!(
            f,
            "{} {}, {} zones{limits}, on {}",
            self.paint.heading("pagelab"),
            config.memory,
            config.zones,
            self.report.host.backend
        )?;
        self.boot(f)?;
        self.page_table(f)?;
        self.workload(f)?;
        self.pressure(f)?;
        self.swap(f)?;
        self.faults(f)?;
        self.views(f)?;
        self.audits(f)?;
        self.verdict(f)
    }
}

fn zones(f: &mut fmt::Formatter<'_>, zones: &[ZoneSummary]) -> fmt::Result {
    writeln!(
        f,
        "  {:<8}{:>11}{:>11}{:>10}{:>10}{:>8}{:>8}{:>8}",
        "zone", "start pfn", "spanned", "managed", "free", "min", "low", "high"
    )?;
    for zone in zones {
        writeln!(
            f,
            "  {:<8}{:>11}{:>11}{:>10}{:>10}{:>8}{:>8}{:>8}",
            zone.name,
            zone.start_pfn,
            zone.spanned,
            zone.managed,
            zone.free,
            zone.min,
            zone.low,
            zone.high
        )?;
    }
    Ok(())
}
