//! Campaigns: one experiment file, thousands of runs, one judgement each.
//!
//! * [`experiment`]: the TOML file: machine, workload, steady state, faults, how to explore them.
//! * [`partition`]: the part of a campaign that one machine does.
//! * [`record`]: what is kept: a file of JSON lines, a [`record::Header`] and a [`record::Record`]
//!   for each experiment.

pub mod experiment;
pub mod partition;
pub mod record;
