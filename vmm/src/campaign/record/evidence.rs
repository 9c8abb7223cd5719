//! What the guest looked like where an experiment failed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The guest's state at a failure, kept so that a report needs no machine to show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Views as of `--inspect`, in the order of their names.
    pub views: Vec<EvidenceView>,
    /// The last lines of the guest's console.
    pub console: String,
}

/// One view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceView {
    /// Its name, such as `buddyinfo`.
    pub name: String,
    /// Its text.
    pub text: String,
}
