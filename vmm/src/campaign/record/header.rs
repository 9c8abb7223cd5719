//! The first line: which campaign the records are of.

use super::TimelinePoint;
use crate::campaign::partition::Partition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Value of [`Header::format`].
pub const FORMAT: &str = "pagelab-campaign/1";

/// What decides a campaign. Two files may be merged if their headers are equal but for
/// [`Header::partition`] and [`Header::directory`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// Identity: SHA-256, in hexadecimal, of experiment, seed, guest, program and plan.
    pub campaign: String,
    /// The experiment's title.
    pub title: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Version of pagelab.
    pub pagelab: String,
    /// SHA-256 of the guest's kernel.
    pub guest: String,
    /// SHA-256 of what the program gets: itself, its arguments, its environment, its files; empty without
    /// a program.
    pub program: String,
    /// The experiment file's text.
    pub experiment: String,
    /// Where relative paths of the experiment file begin, as it was said.
    pub directory: String,
    /// The run without faults that all others are held against.
    pub golden: Golden,
    /// Fault points, or pairs of them, that there are.
    pub space: u64,
    /// Experiments planned, numbered 0 to `points - 1`: the records of a complete campaign.
    pub points: u64,
    /// The part of them that is in this file; none for all.
    pub partition: Option<Partition>,
}

/// The run without faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Hash of all its events, 16 hexadecimal digits.
    pub trace_hash: String,
    /// SHA-256 of what the program wrote and how it ended.
    pub output_hash: String,
    /// Its events.
    pub events: u64,
    /// Events up to the end of boot, where faults are armed.
    pub boot_events: u64,
    /// Audits that were made, and held.
    pub audits: u64,
    /// The last event that an experiment may come to.
    pub event_limit: u64,
    /// Memory over its events.
    #[serde(default)]
    pub timeline: Vec<TimelinePoint>,
}
