//! Reports of a campaign, from its records alone: one page of HTML, and JUnit's XML.
//!
//! Neither says when or where it was made: the report of a campaign done by many machines is, to the
//! byte, that of one machine.

mod buddy;
mod html;
mod junit;
mod page_table;
#[cfg(test)]
pub(super) mod test_records;
#[cfg(test)]
mod tests;
mod timeline;

pub use html::html;
pub use junit::{JunitError, junit};
