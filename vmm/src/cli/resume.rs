//! `pagelab resume`.

use super::{
    args::{Format, ResumeArguments},
    output::Failure,
    run,
};
use crate::scenario::{self, ConfigError, Resume};
use std::process::ExitCode;

/// Goes on with a run that was kept in a file, and reports it.
pub(super) fn resume(arguments: &ResumeArguments) -> Result<ExitCode, Failure> {
    if let Some(what) = arguments.inspect.iter().find(|what| what.has_two_moments()) {
        return Err(ConfigError::NeedsSince(what.name()).into());
    }
    let how = Resume {
        forward: arguments.format == Format::Human,
        inspect: arguments.inspect.clone(),
    };
    let report = scenario::resume(&arguments.snapshot, &how)?;
    run::print(&report, arguments.format, arguments.color)
}
