//! The part that a scheduler has given this process, from the environment.

use super::{Method, Partition};
use thiserror::Error;

/// Why the environment names no part.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AutoError {
    /// None of the variables is set.
    #[error(
        "--partition auto finds no scheduler's variable: neither SLURM_ARRAY_TASK_ID with \
         SLURM_ARRAY_TASK_COUNT, nor JOB_COMPLETION_INDEX with JOB_COMPLETIONS, nor CI_NODE_INDEX \
         with CI_NODE_TOTAL is set; write the part, such as --partition slice:3/8"
    )]
    None,
    /// One of two variables is not set.
    #[error(
        "{present} is set, but {missing} is not, which says how many parts there are; set it in the \
         job, or write the part, such as --partition slice:3/8"
    )]
    Half {
        /// The one that is set.
        present: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A variable is not a number, or not one that fits the other.
    #[error("{name}={value} names no part; it takes {allowed}")]
    Bad {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it takes.
        allowed: String,
    },
}

/// How one scheduler says it.
struct Scheduler {
    index: &'static str,
    /// The lowest index; a number, or the variable that has it.
    first: u64,
    minimum: Option<&'static str>,
    step: Option<&'static str>,
    count: &'static str,
}

/// Slurm's job arrays (sbatch, "OUTPUT ENVIRONMENT VARIABLES"), whose numbers start where the user says;
/// Kubernetes' indexed jobs, which count from 0 and do not say how many there are, so that the job sets
/// `JOB_COMPLETIONS` itself; GitLab's `parallel`, which counts from 1 (predefined variables), and others
/// after it.
const SCHEDULERS: [Scheduler; 3] = [
    Scheduler {
        index: "SLURM_ARRAY_TASK_ID",
        first: 0,
        minimum: Some("SLURM_ARRAY_TASK_MIN"),
        step: Some("SLURM_ARRAY_TASK_STEP"),
        count: "SLURM_ARRAY_TASK_COUNT",
    },
    Scheduler {
        index: "JOB_COMPLETION_INDEX",
        first: 0,
        minimum: None,
        step: None,
        count: "JOB_COMPLETIONS",
    },
    Scheduler {
        index: "CI_NODE_INDEX",
        first: 1,
        minimum: None,
        step: None,
        count: "CI_NODE_TOTAL",
    },
];

/// The part that the variables name, which `variable` looks up.
///
/// # Errors
/// [`AutoError`] if there are none, or they do not fit together.
pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Partition, AutoError> {
    let scheduler = SCHEDULERS
        .iter()
        .find(|scheduler| variable(scheduler.index).is_some())
        .ok_or(AutoError::None)?;
    let number = |name: &'static str| -> Result<Option<u64>, AutoError> {
        let Some(value) = variable(name) else {
            return Ok(None);
        };
        let parsed = value.trim().parse().ok();
        parsed.map(Some).ok_or_else(|| AutoError::Bad {
            name,
            value,
            allowed: "a number".to_owned(),
        })
    };
    let optional = |name: Option<&'static str>| name.map_or(Ok(None), number);
    let index = number(scheduler.index)?.unwrap_or_default();
    let of = number(scheduler.count)?.ok_or(AutoError::Half {
        present: scheduler.index,
        missing: scheduler.count,
    })?;
    let first = optional(scheduler.minimum)?.unwrap_or(scheduler.first);
    let step = optional(scheduler.step)?.unwrap_or(1).max(1);
    let place = index.checked_sub(first).map(|offset| offset / step);
    match place.filter(|place| *place < of) {
        Some(place) => Ok(Partition {
            method: Method::Slice,
            index: place + 1,
            of,
        }),
        None => Err(AutoError::Bad {
            name: scheduler.index,
            value: index.to_string(),
            allowed: format!("a number from {first} for {of} parts"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(variables: &[(&str, &str)]) -> Result<String, AutoError> {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        from_environment(find).map(|part| part.to_string())
    }

    #[test]
    fn each_scheduler_counts_in_its_way() {
        let slurm = |id| {
            part(&[
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_MIN", "10"),
                ("SLURM_ARRAY_TASK_STEP", "5"),
                ("SLURM_ARRAY_TASK_COUNT", "4"),
            ])
        };
        assert_eq!(slurm("10").unwrap(), "slice:1/4");
        assert_eq!(slurm("25").unwrap(), "slice:4/4");
        assert!(slurm("30").is_err());
        assert!(slurm("9").is_err());
        let kubernetes = [("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "8")];
        assert_eq!(part(&kubernetes).unwrap(), "slice:1/8");
        let gitlab = [("CI_NODE_INDEX", "8"), ("CI_NODE_TOTAL", "8")];
        assert_eq!(part(&gitlab).unwrap(), "slice:8/8");
    }

    #[test]
    fn errors_name_variable_and_remedy() {
        assert_eq!(part(&[]), Err(AutoError::None));
        let half = part(&[("JOB_COMPLETION_INDEX", "0")])
            .unwrap_err()
            .to_string();
        assert!(
            half.contains("JOB_COMPLETIONS") && half.contains("slice:3/8"),
            "{half}"
        );
        let bad = part(&[("CI_NODE_INDEX", "x"), ("CI_NODE_TOTAL", "8")]);
        assert!(bad.unwrap_err().to_string().contains("CI_NODE_INDEX=x"));
        let zero = part(&[("CI_NODE_INDEX", "0"), ("CI_NODE_TOTAL", "8")]);
        assert!(zero.unwrap_err().to_string().contains("from 1"));
    }
}
