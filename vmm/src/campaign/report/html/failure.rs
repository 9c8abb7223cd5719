//! One failure, whole: what was done, what was found, how to see it again.

use crate::campaign::{
    record::{End, Evidence, Record},
    report::{buddy, page_table},
};
use maud::{Markup, html};

/// The failure, folded.
pub(super) fn show(record: &Record) -> Markup {
    html! {
        details id={ "failure-" (record.id) } {
            summary {
                b { (record.id) " " (record.class) } " "
                @for fault in &record.faults { code { (fault.fault) } " " }
            }
            @for fault in &record.faults {
                p {
                    "Strikes " @if let Some(event) = fault.event { "before event " (event) }
                    @if let Some(pid) = fault.pid { ", process " (pid) }
                    @if let Some(comm) = &fault.comm { " (" (comm) ")" }
                    @if let Some(site) = &fault.site { ", in " code { (site) } }
                    @if let Some(request) = &fault.request { ", " (request) }
                }
            }
            ul { @for reason in &record.reasons { li { (reason) } } }
            @if !record.audits.is_empty() {
                table {
                    tr { th { "audit" } th { "moment" } th { "finding" } }
                    @for audit in &record.audits {
                        tr {
                            td { code { (audit.name) } @if audit.skipped { " (skipped)" } }
                            td { (audit.moment) }
                            td { (audit.finding) }
                        }
                    }
                }
            }
            p { (end(record)) " Trace " code { (record.trace_hash) } ", " (record.counts.events) " events." }
            pre.command { (record.command) }
            @if let Some(evidence) = &record.evidence { (pictures(evidence)) }
        }
    }
}

fn end(record: &Record) -> String {
    match record.end {
        Some(End::Status(status)) => format!("The program ended with status {status}."),
        Some(End::Signal(signal)) => format!("The program was killed by signal {signal}."),
        None => "No program came to its end.".to_owned(),
    }
}

fn pictures(evidence: &Evidence) -> Markup {
    html! {
        @for view in &evidence.views {
            h3 { (view.name) }
            @match view.name.as_str() {
                "buddyinfo" => { (buddy::draw(&view.text)) }
                "pagetable" => { (page_table::draw(&view.text)) }
                _ => { pre { (view.text) } }
            }
        }
        @if !evidence.console.is_empty() {
            h3 { "Console" }
            pre { (evidence.console) }
        }
    }
}
