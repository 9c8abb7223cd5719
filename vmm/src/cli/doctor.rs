//! `pagelab doctor`.

use super::{
    args::{DoctorArguments, Format},
    exit_status,
    output::{self, Failure},
};
use crate::machine::doctor::examine;
use std::process::ExitCode;

/// Examines this host and says what it can do. Status 2 if it cannot run a machine at all.
pub(super) fn doctor(arguments: &DoctorArguments) -> Result<ExitCode, Failure> {
    let findings = examine();
    match arguments.format {
        Format::Json => {
            output::json(&findings)?;
        }
        Format::Human => output::text(&findings.to_string())?,
    }
    Ok(ExitCode::from(if findings.usable {
        0
    } else {
        exit_status::BAD_INPUT
    }))
}
