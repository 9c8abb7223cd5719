//! The summary for a terminal, at most 80 columns wide.

use super::{Summary, Tally};
use crate::{
    campaign::record::Class,
    report::{
        Paint,
        text::{grouped, shortened},
    },
};
use std::fmt;

/// Call sites that are listed at most.
const MAX_SITES: usize = 12;

/// A [`Summary`] as text.
#[derive(Debug)]
pub struct Terminal<'a> {
    summary: &'a Summary,
    paint: Paint,
}

impl<'a> Terminal<'a> {
    /// For a terminal, or what takes its place.
    pub const fn new(summary: &'a Summary, paint: Paint) -> Self {
        Self { summary, paint }
    }

    fn classes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { space, all, .. } = self.summary;
        let head = format!(
            "{:<24}{:>12}{:>14}   share of all points",
            "Outcome", "experiments", "fault points"
        );
        writeln!(f, "{}", self.paint.heading(head))?;
        for class in Class::ALL {
            let count = all.of(class);
            if count.records == 0 {
                continue;
            }
            let line = format!(
                "  {:<22}{:>12}{:>14}   {}",
                class,
                grouped(count.records),
                grouped(count.points),
                all.estimate(class, *space).text()
            );
            self.line(f, class.is_failure(), &line)?;
        }
        let total = all.total();
        let of = match total.points < *space {
            true => format!("of {}", grouped(*space)),
            false => "all".to_owned(),
        };
        let (records, points) = (grouped(total.records), grouped(total.points));
        let line = format!("  {:<22}{records:>12}{points:>14}   {of}", "together");
        writeln!(f, "{}", self.paint.faint(line))
    }

    fn groups<'t>(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        groups: impl IntoIterator<Item = (&'t str, &'t Tally)>,
    ) -> fmt::Result {
        let head = format!(
            "{title:<38}{:>8}{:>9}{:>10}{:>7}{:>8}",
            "masked", "recovd", "unrecov", "fail", "other"
        );
        writeln!(f, "\n{}", self.paint.heading(head))?;
        for (name, tally) in groups {
            let points = |class| tally.of(class).points;
            let other = points(Class::NotActivated) + points(Class::Skipped);
            let failures = tally.failures().points;
            let line = format!(
                "  {:<36}{:>8}{:>9}{:>10}{:>7}{:>8}",
                shortened(name, 36),
                grouped(points(Class::Masked)),
                grouped(points(Class::DetectedRecovered)),
                grouped(points(Class::DetectedUnrecoverable)),
                grouped(failures),
                grouped(other)
            );
            self.line(f, failures > 0, &line)?;
        }
        Ok(())
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, is_bad: bool, line: &str) -> fmt::Result {
        match is_bad {
            true => writeln!(f, "{}", self.paint.bad(line)),
            false => writeln!(f, "{line}"),
        }
    }
}

impl fmt::Display for Terminal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.classes(f)?;
        let kinds = self.summary.by_kind.iter();
        self.groups(f, "Kind of fault", kinds.map(|(kind, it)| (&**kind, it)))?;
        let sites = self.summary.sites();
        let listed = sites.iter().take(MAX_SITES).copied();
        self.groups(f, "Call site, innermost first", listed)?;
        let more = sites.len().saturating_sub(MAX_SITES);
        if more > 0 {
            let line = format!("  and {} more; see pagelab report", grouped(more as u64));
            writeln!(f, "{}", self.paint.faint(line))?;
        }
        Ok(())
    }
}
