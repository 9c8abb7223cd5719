//! The page: self-contained, so that it can be kept, sent and opened without a network.

mod failure;
mod rows;

use super::timeline;
use crate::{
    campaign::{
        record::{Class, Header, Record},
        tally::{Summary, Tally},
    },
    report::text::grouped,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Failures that are shown whole; all are in the table.
const MAX_FAILURES: usize = 50;

/// The page for these records, in the order of their numbers.
pub fn html(header: &Header, records: &[Record]) -> String {
    let summary = Summary::new(header, records);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (header.title) " – pagelab" }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (heading(header, &summary))
                (outcomes(&summary))
                (groups("By kind of fault", "kind", summary.by_kind.iter().map(|(kind, it)| (&**kind, it))))
                (groups("By call site, innermost first", "site", summary.sites()))
                (memory(header))
                (failures(records))
                (rows::table(records))
                (experiment(header))
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    };
    page.into_string()
}

fn heading(header: &Header, summary: &Summary) -> Markup {
    let total = summary.all.total();
    let failures = summary.all.failures().records;
    html! {
        h1 { (header.title) }
        p.verdict.bad[failures > 0] {
            @if failures > 0 {
                (grouped(failures)) " of " (grouped(total.records))
                " experiments show a fault of the guest's kernel."
            } @else {
                "No fault of the guest's kernel in " (grouped(total.records)) " experiments."
            }
        }
        p {
            (grouped(total.records)) " of " (grouped(header.points)) " planned experiments, which stand for "
            (grouped(total.points)) " of " (grouped(header.space)) " fault points. The run without faults has "
            (grouped(header.golden.events)) " events, of which " (grouped(header.golden.boot_events))
            " are the boot, and its trace is " code { (header.golden.trace_hash) } "."
        }
    }
}

fn outcomes(summary: &Summary) -> Markup {
    html! {
        h2 { "Outcomes" }
        table {
            tr { th { "class" } th.n { "experiments" } th.n { "fault points" } th { "share of all points" } th {} }
            @for class in Class::ALL {
                @let count = summary.all.of(class);
                @if count.records > 0 {
                    @let estimate = summary.all.estimate(class, summary.space);
                    tr.bad[class.is_failure()] {
                        td { (class) }
                        td.n { (grouped(count.records)) }
                        td.n { (grouped(count.points)) }
                        td { (estimate.text()) }
                        td { (share(estimate.share, class)) }
                    }
                }
            }
        }
        @if summary.all.total().points < summary.space {
            p.note {
                "In brackets: Wilson's interval at 95 %, for all fault points, of which those above are a sample."
            }
        }
    }
}

/// A bar as long as a share.
fn share(share: f64, class: Class) -> Markup {
    html! {
        i.share.(class.name()) style={ "width:" (format!("{:.1}", share * 240.0)) "px" } {}
    }
}

fn groups<'a>(
    title: &str,
    first: &str,
    groups: impl IntoIterator<Item = (&'a str, &'a Tally)>,
) -> Markup {
    html! {
        h2 { (title) }
        table {
            tr {
                th { (first) }
                th.n { "experiments" }
                @for class in Class::ALL { th.n { (class) } }
            }
            @for (name, tally) in groups {
                tr.bad[tally.failures().records > 0] {
                    td { code { (name) } }
                    td.n { (grouped(tally.total().records)) }
                    @for class in Class::ALL {
                        @let points = tally.of(class).points;
                        td.n { @if points > 0 { (grouped(points)) } }
                    }
                }
            }
        }
        p.note { "Under the classes: fault points." }
    }
}

fn memory(header: &Header) -> Markup {
    let svg = timeline::svg(&header.golden);
    html! {
        @if !svg.is_empty() {
            h2 { "Memory in the run without faults" }
            (PreEscaped(svg))
            p.note { "Since the end of boot." }
        }
    }
}

fn failures(records: &[Record]) -> Markup {
    let all: Vec<&Record> = records.iter().filter(|it| it.class.is_failure()).collect();
    html! {
        @if !all.is_empty() {
            h2 { "Failures" }
            @for record in all.iter().take(MAX_FAILURES) { (failure::show(record)) }
            @if all.len() > MAX_FAILURES {
                p.note { "And " (all.len() - MAX_FAILURES) " more: see the table." }
            }
        }
    }
}

fn experiment(header: &Header) -> Markup {
    html! {
        h2 { "The experiment" }
        pre { (header.experiment) }
        p.note {
            "pagelab " (header.pagelab) ", seed " (header.seed) ", guest " code { (header.guest) }
            ", campaign " code { (header.campaign) }
        }
    }
}
