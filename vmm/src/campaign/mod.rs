//! Campaigns: one experiment file, thousands of runs, one judgement each.
//!
//! ```text
//! experiment ── golden run ── fault space ── plan ── workers ── oracle ── journal
//! ```
//!
//! * [`experiment`]: the TOML file: machine, workload, steady state, faults, how to explore them.
//! * [`golden`]: the run without faults. [`plan`]: the fault points in it, and which are tried.
//! * [`Campaign`]: these together, with the identity that record files go by.
//! * [`executor`]: how one experiment is run. [`work`]: many, on several threads, in the order of `queue`.
//! * [`oracle`]: what became of it. [`record`]: how that is kept. [`journal`]: the file, durable record by
//!   record. [`merge`]: the files of several machines into one.
//! * [`partition`]: the part of a campaign that one machine does.
//! * [`replay`], [`minimize`]: one record again, and as little of it as still fails.
//! * [`tally`]: counts of a campaign, and what they say of points that no experiment stands for.
//! * [`report`]: a page of HTML, and JUnit's XML.
//!
//! # Threads
//!
//! Each worker has machines of its own and takes the number of the next experiment from a queue, whose lock
//! it holds for no longer; records go to the one thread that writes the file through a channel.

pub mod executor;
pub mod experiment;
pub mod golden;
pub mod journal;
pub mod merge;
pub mod minimize;
pub mod oracle;
pub mod partition;
pub mod plan;
mod prepared;
mod queue;
pub mod record;
pub mod replay;
pub mod report;
pub mod tally;
pub mod work;

pub use prepared::{Campaign, PrepareError, command_line};

use crate::report::Report;
use sha2::{Digest, Sha256};

/// SHA-256 of what a program wrote and how it ended; of nothing, without a program.
fn output_hash(report: &Report) -> String {
    let mut hash = Sha256::new();
    if let Some(program) = &report.program {
        for text in [&program.stdout, &program.stderr] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.update(program.dropped.to_le_bytes());
        hash.update([program.status.is_some().into(), program.status.unwrap_or(0)]);
        hash.update([program.signal.is_some().into(), program.signal.unwrap_or(0)]);
    }
    prepared::hex(&hash.finalize())
}
