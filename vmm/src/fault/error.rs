//! Errors in a fault specification.

use thiserror::Error;

/// Why a `--fault` value cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FaultError {
    /// No such fault.
    #[error("unknown fault '{name}'{}; known are: {known}", nearest.as_ref().map(|n| format!(", did you mean '{n}'?")).unwrap_or_default())]
    UnknownKind {
        /// What was written.
        name: String,
        /// The known name that is closest, if one is close.
        nearest: Option<&'static str>,
        /// All known names.
        known: String,
    },
    /// No such knob.
    #[error("unknown knob '{knob}' of {fault}{}; its knobs are: {known}", nearest.as_ref().map(|n| format!(", did you mean '{n}'?")).unwrap_or_default())]
    UnknownKnob {
        /// The fault's name.
        fault: &'static str,
        /// What was written.
        knob: String,
        /// The known knob that is closest, if one is close.
        nearest: Option<&'static str>,
        /// All knobs of this fault.
        known: String,
    },
    /// A knob without `=VALUE`.
    #[error("knob '{0}' has no value; write {0}=VALUE")]
    NoValue(String),
    /// A value that the knob cannot take.
    #[error("{knob}={value} is out of range; {knob} takes {allowed}")]
    BadValue {
        /// The knob.
        knob: &'static str,
        /// What was written.
        value: String,
        /// What would be allowed.
        allowed: &'static str,
    },
    /// One knob given twice.
    #[error("knob '{0}' is given twice; give it once")]
    Twice(&'static str),
    /// A knob that has to be there.
    #[error("{knob} is missing; {knob} takes {allowed}")]
    Missing {
        /// The knob.
        knob: &'static str,
        /// What it takes.
        allowed: &'static str,
    },
    /// A knob that has no use beside the others.
    #[error("{0} has no use for what the other knobs name; leave it out")]
    InVain(&'static str),
    /// No such field.
    #[error("unknown field '{name}'{}; known are: {known}", nearest.as_ref().map(|n| format!(", did you mean '{n}'?")).unwrap_or_default())]
    UnknownField {
        /// What was written.
        name: String,
        /// The field that is closest, if one is close.
        nearest: Option<&'static str>,
        /// All fields of the structure.
        known: String,
    },
    /// No such bit.
    #[error("bit={bit} is out of range; there are bits 0 to {}", bits - 1)]
    NoBit {
        /// What was written.
        bit: u64,
        /// Bits that there are.
        bits: u32,
    },
    /// The fault can never fire.
    #[error(
        "{0} would never fire: give nth=N, or probability=P (1 to 100) with interval, times or space as wished"
    )]
    NeverFires(&'static str),
}
