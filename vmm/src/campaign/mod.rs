//! Campaigns: one experiment file, thousands of runs, one judgement each.
//!
//! * [`experiment`]: the TOML file: machine, workload, steady state, faults, how to explore them.
//! * [`partition`]: the part of a campaign that one machine does.
//! * [`record`]: what is kept: a file of JSON lines, a [`record::Header`] and a [`record::Record`]
//!   for each experiment.
//! * [`tally`]: counts of a campaign, and what they say of points that no experiment stands for.
//! * [`report`]: a page of HTML, and JUnit's XML.

pub mod experiment;
pub mod partition;
pub mod record;
pub mod report;
pub mod tally;
