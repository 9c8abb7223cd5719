//! Both views of each process side by side, alone and of two moments.
//!
//! * [`Record`]: what one moment had; small enough to be kept while the guest goes on.
//! * [`Spaces`]: areas, and beneath each what is mapped. [`WriteExecute`]: what breaks W^X.
//! * [`Diff`]: what changed from one moment to a later one. [`WorkingSet`]: what was used between
//!   the two.
//!
//! Each is a value for JSON and, by `Display`, a text of at most 80 columns.

mod diff;
mod record;
mod side_by_side;
#[cfg(test)]
mod tests;
mod working_set;
mod write_execute;

use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

pub use diff::{Change, ChangeKind, Diff, FrameChange, ProcessDiff};
pub use record::{AreaRecord, PageRecord, Pages, ProcessRecord, Record, Rights};
pub use side_by_side::{AreaPages, ProcessSpaces, Spaces};
pub use working_set::{AreaUse, ProcessUse, WorkingSet};
pub use write_execute::{Alias, ProcessRights, WriteExecute};

/// One of the views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProcessView {
    /// [`Spaces`].
    Spaces,
    /// [`WriteExecute`].
    WriteExecute,
    /// [`Diff`].
    Diff,
    /// [`WorkingSet`].
    WorkingSet,
}

/// What a view shows, for JSON and as text.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ProcessData {
    /// Areas and pages.
    Spaces(Spaces),
    /// Rights to write and to execute.
    WriteExecute(WriteExecute),
    /// Changes.
    Diff(Diff),
    /// Use.
    WorkingSet(WorkingSet),
}

impl ProcessView {
    /// All of them, in the order in which they are printed.
    pub const ALL: [Self; 4] = [
        Self::Spaces,
        Self::WriteExecute,
        Self::Diff,
        Self::WorkingSet,
    ];

    /// The name on the command line and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spaces => "spaces",
            Self::WriteExecute => "wx",
            Self::Diff => "diff",
            Self::WorkingSet => "working-set",
        }
    }

    /// Whether it is of two moments.
    pub const fn has_two_moments(self) -> bool {
        matches!(self, Self::Diff | Self::WorkingSet)
    }
}

impl fmt::Display for ProcessData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spaces(view) => view.fmt(f),
            Self::WriteExecute(view) => view.fmt(f),
            Self::Diff(view) => view.fmt(f),
            Self::WorkingSet(view) => view.fmt(f),
        }
    }
}
