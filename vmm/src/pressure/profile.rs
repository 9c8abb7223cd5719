//! Profiles and samples.

use schemars::JsonSchema;
use serde::Serialize;

/// From `event` on the balloon is asked for `target` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Events since the profile began.
    pub event: u64,
    /// Bytes, a multiple of the page size and at most the machine's memory.
    pub target: u64,
}

/// A pressure profile: steps in the order of their events. It begins with the workload's pressure
/// phase, or at the end of boot if the workload has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PressureProfile {
    text: String,
    steps: Vec<Step>,
}

impl PressureProfile {
    /// A profile of these steps, known to the user as `text`. At one event the last step counts.
    pub(super) fn new(text: &str, mut steps: Vec<Step>) -> Self {
        steps.sort_by_key(|step| step.event);
        Self {
            text: text.to_owned(),
            steps,
        }
    }

    /// As the user wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The steps, by event.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Events from the beginning to the last step.
    pub fn length(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.event)
    }
}

/// One look at the balloon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sample {
    /// Event at which it was taken.
    pub event: u64,
    /// Bytes asked for.
    pub requested: u64,
    /// Bytes in the balloon.
    pub achieved: u64,
    /// Bytes free in the guest's zones.
    pub available: u64,
}
