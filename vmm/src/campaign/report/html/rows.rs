//! The table of all experiments: data, which the page's script filters and shows.

use crate::campaign::record::{Class, Record};
use maud::{Markup, PreEscaped, html};
use serde::Serialize;

/// One row, in the order in which the script shows its cells.
#[derive(Debug, Serialize)]
struct Row<'a>(
    u64,
    String,
    &'a str,
    &'a str,
    String,
    Option<u64>,
    u64,
    String,
    &'a str,
);

impl<'a> Row<'a> {
    fn new(record: &'a Record) -> Self {
        let faults: Vec<&str> = record.faults.iter().map(|it| it.fault.as_str()).collect();
        let first = record.faults.first();
        let text = |text: Option<&'a String>| text.map_or("", String::as_str);
        let pid = first.and_then(|fault| fault.pid);
        Self(
            record.id,
            faults.join(" + "),
            record.class.name(),
            text(first.and_then(|fault| fault.site.as_ref())),
            match (pid, first.and_then(|fault| fault.comm.as_ref())) {
                (Some(pid), Some(comm)) => format!("{pid} {comm}"),
                (Some(pid), None) => pid.to_string(),
                (None, _) => String::new(),
            },
            first.and_then(|fault| fault.event),
            record.weight,
            record.reasons.join("; "),
            &record.command,
        )
    }
}

/// The table with its filters. Without scripts the page still has all of its other parts.
pub(super) fn table(records: &[Record]) -> Markup {
    let rows: Vec<Row<'_>> = records.iter().map(Row::new).collect();
    // Nothing in a text can end the script element: the format allows to escape each slash.
    let data = serde_json::to_string(&rows)
        .unwrap_or_default()
        .replace("</", "<\\/");
    html! {
        h2 { "All experiments" }
        noscript { p { "The table needs scripts; the records have the same." } }
        form #filter {
            input #text type="search" placeholder="fault, call site, process, reason …" size="40";
            @for class in Class::ALL {
                label { input type="checkbox" name="class" value=(class.name()) checked; (class) }
            }
            output #shown {}
        }
        table #rows {
            thead { tr {
                @for head in ["id", "fault", "class", "site", "process", "event", "weight", "reasons"] {
                    th data-sort=(head) { (head) }
                }
            } }
            tbody {}
        }
        script #data type="application/json" { (PreEscaped(data)) }
    }
}
