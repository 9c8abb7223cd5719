//! What was done to the machine itself.

use schemars::JsonSchema;
use serde::Serialize;

/// Something that was done to the machine itself, or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostAct {
    /// As armed.
    pub armed: String,
    /// Its kind, such as `machine_check`.
    pub kind: &'static str,
    /// Event at which it was done.
    pub event: u64,
    /// Whether it was done.
    pub done: bool,
    /// The frame, in hexadecimal; none if it was done to none.
    pub pfn: Option<String>,
    /// How many things there were to choose from, if it is chosen by a number.
    pub candidates: Option<u64>,
    /// What the guest made of it, in words; none if it did not say.
    pub outcome: Option<String>,
    /// Why it was not done.
    pub reason: Option<String>,
    /// Whether it was not done because this host cannot do it: then nothing is known.
    pub skipped: bool,
}
