//! The record file of a campaign: JSON lines. The first holds the [`Header`], each other one the
//! [`Record`] of one experiment, in the order in which they ended.
//!
//! Nothing in it depends on the host, the time or the number of threads: two campaigns of one
//! experiment file write the same lines, and only their order may differ.

mod class;
mod evidence;
mod header;
mod line;
mod timeline;

pub use class::Class;
pub use evidence::{Evidence, EvidenceView};
pub use header::{FORMAT, Golden, Header};
pub use line::{AuditFailure, Counts, End, FaultPoint, Line, Record};
pub use timeline::{Timeline, TimelinePoint};
