//! What must hold of a run: an audit by its name, or an expression over the fields of /proc/vmstat.

use crate::{
    inspect::{AuditResult, Findings, proc::vmstat_fields},
    nearest::nearest,
};
use evalexpr::{ContextWithMutableVariables, HashMapContext, Node, Value, build_operator_tree};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{fmt, sync::Arc};
use thiserror::Error;

/// A `[[steady_state]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is looked at.
    pub check: Check,
    /// When.
    pub mode: Mode,
}

/// When a probe is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// At the end of boot.
    Start,
    /// At the end of the run.
    #[default]
    End,
    /// Each time that the host audits the guest, the end of boot and of the run among them.
    Continuous,
}

/// What a probe looks at.
#[derive(Clone)]
pub enum Check {
    /// An audit, by its name: it must be made, and hold.
    Audit(String),
    /// An expression over vmstat that must be true.
    VmStat {
        /// As written.
        text: String,
        /// The same, parsed.
        tree: Arc<Node>,
    },
}

/// Two are the same if they are written alike.
impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Audit(one), Self::Audit(other)) => one == other,
            (Self::VmStat { text: one, .. }, Self::VmStat { text: other, .. }) => one == other,
            _ => false,
        }
    }
}

impl Eq for Check {}

/// Why a probe cannot be made.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ProbeError {
    /// It is no audit and no expression.
    #[error(
        "probe '{text}' is neither an audit nor an expression over fields of vmstat ({why}){hint}; \
         write one such as page-references or pgalloc_fail == 0 && nr_free_pages > 100"
    )]
    Unreadable {
        /// As written.
        text: String,
        /// What is wrong with it as an expression.
        why: String,
        /// The audit whose name is near.
        hint: String,
    },
    /// It names a field that is not there.
    #[error("probe: vmstat has no field '{name}'{hint}; `--inspect vmstat` shows them all")]
    UnknownField {
        /// The name.
        name: String,
        /// The field whose name is near.
        hint: String,
    },
    /// It is no condition.
    #[error("probe '{0}' is not true or false; compare with something, such as {0} < 100")]
    NoCondition(String),
}

fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = nearest(name, known);
    nearest.map_or(String::new(), |name| format!(", did you mean '{name}'?"))
}

/// The fields of vmstat as variables of an expression. Numbers above what the expression can count with
/// are its highest.
fn context(fields: Vec<(String, u64)>) -> HashMapContext {
    let mut context = HashMapContext::new();
    for (name, value) in fields {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        // A context of variables that nothing was assigned to before takes each.
        let _ = context.set_value(name, Value::Int(value));
    }
    context
}

impl Check {
    /// Reads a probe. `audits` are the names of all audits.
    ///
    /// # Errors
    /// [`ProbeError`] says what is wrong with it.
    pub fn parse(text: &str, audits: &[&'static str]) -> Result<Self, ProbeError> {
        let text = text.trim();
        if audits.contains(&text) {
            return Ok(Self::Audit(text.to_owned()));
        }
        let unreadable = |why: String| ProbeError::Unreadable {
            text: text.to_owned(),
            why,
            hint: hint(text, audits.iter().copied()),
        };
        let fields = vmstat_fields(None);
        if text.is_empty() {
            return Err(unreadable("there is none".to_owned()));
        }
        let tree: Node =
            build_operator_tree(text).map_err(|error| unreadable(error.to_string()))?;
        for name in tree.iter_variable_identifiers() {
            if !fields.iter().any(|(field, _)| field == name) {
                // With hyphens in it, a mistyped audit reads as a subtraction.
                return Err(match text.contains('-') && !text.contains(' ') {
                    true => unreadable(format!("there is no field '{name}'")),
                    false => ProbeError::UnknownField {
                        name: name.to_owned(),
                        hint: hint(name, fields.iter().map(|(field, _)| field.as_str())),
                    },
                });
            }
        }
        if let Some(name) = tree.iter_write_variable_identifiers().next() {
            return Err(unreadable(format!(
                "{name} cannot be changed; write == to compare"
            )));
        }
        match tree.eval_with_context(&context(fields)) {
            Ok(Value::Boolean(_)) => {}
            // It depends on the values: a division by zero, say.
            Err(evalexpr::EvalexprError::DivisionError { .. }) => {}
            Ok(_) => return Err(ProbeError::NoCondition(text.to_owned())),
            Err(error) => return Err(unreadable(error.to_string())),
        }
        Ok(Self::VmStat {
            text: text.to_owned(),
            tree: Arc::new(tree),
        })
    }

    /// As written.
    pub fn text(&self) -> &str {
        match self {
            Self::Audit(name) => name,
            Self::VmStat { text, .. } => text,
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.text()).finish()
    }
}

impl Probe {
    /// Whether it is looked at where `moment` is `boot`, `end` or anything between.
    pub fn is_due(&self, moment: &str) -> bool {
        match self.mode {
            Mode::Start => moment == "boot",
            Mode::End => moment == "end",
            Mode::Continuous => true,
        }
    }

    /// Looks at the fields of vmstat, if that is what it is about.
    pub fn look(&self, fields: Vec<(String, u64)>) -> Option<AuditResult> {
        const CHECKS: &str = "an expression over vmstat that the experiment wants to be true";
        let Check::VmStat { text, tree } = &self.check else {
            return None;
        };
        let name = format!("probe {text}");
        let context = context(fields);
        Some(match tree.eval_boolean_with_context(&context) {
            Ok(holds) => {
                let mut findings = Findings::new();
                findings.require(holds, || {
                    let mut names: Vec<&str> = tree.iter_variable_identifiers().collect();
                    names.sort_unstable();
                    names.dedup();
                    let value = |name: &&str| {
                        let value = evalexpr::Context::get_value(&context, name);
                        value.map_or(String::new(), |value| format!("{name} is {value}"))
                    };
                    names.iter().map(value).collect::<Vec<_>>().join(", ")
                });
                findings.into_result(&name, CHECKS)
            }
            Err(error) => AuditResult::skipped(&name, CHECKS, error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDITS: [&str; 2] = ["page-references", "decode"];

    fn look(text: &str) -> AuditResult {
        let check = Check::parse(text, &AUDITS).unwrap();
        let mode = Mode::End;
        Probe { check, mode }.look(vmstat_fields(None)).unwrap()
    }

    #[test]
    fn conditions_hold_or_do_not() {
        assert!(look("pgalloc_fail == 0 && oom_kill < 1").held());
        let result = look("nr_free_pages > 100 || pgfault > 0");
        assert!(result.violated());
        assert_eq!(result.findings, ["nr_free_pages is 0, pgfault is 0"]);
        // What cannot be worked out is no pass.
        assert!(!look("pgfault / pgfree > 1").held());
        assert!(!look("pgfault / pgfree > 1").violated());
    }

    #[test]
    fn an_audit_s_name_is_no_expression() {
        let check = Check::parse("page-references", &AUDITS).unwrap();
        assert!(matches!(check, Check::Audit(_)));
    }

    #[test]
    fn errors_name_value_and_remedy() {
        let error = |text| Check::parse(text, &AUDITS).unwrap_err().to_string();
        assert!(error("page-reference").contains("did you mean 'page-references'?"));
        assert!(error("pgfalt > 1").contains("did you mean 'pgfault'?"));
        assert!(error("pgfault").contains("is not true or false"));
        assert!(error("pgfault = 1").contains("write == to compare"));
        assert!(error("pgfault >").contains("neither an audit"));
        assert!(error("").contains("neither"));
    }

    #[test]
    fn modes_name_moments() {
        let check = Check::parse("decode", &AUDITS).unwrap();
        let due = |mode, moment| {
            let check = check.clone();
            Probe { check, mode }.is_due(moment)
        };
        assert!(due(Mode::Start, "boot") && !due(Mode::Start, "end"));
        assert!(due(Mode::End, "end") && !due(Mode::End, "event 7"));
        assert!(due(Mode::Continuous, "event 7"));
    }
}
