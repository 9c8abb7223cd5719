//! Where a run is to be stopped: `--stop-at 5000`, or `--stop-at page_alloc,nth=3,min-order=2`.

use crate::nearest::nearest;
use pagelab_abi::event::EventKind;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A point on the event clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAt {
    /// The event with this number.
    Event(u64),
    /// The n-th event of a kind after boot.
    Nth {
        /// The kind.
        kind: EventKind,
        /// Counted from 1.
        nth: u64,
        /// Page allocations of a smaller order do not count, 0 to 10.
        min_order: u32,
    },
}

/// Why a stop cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StopError {
    /// Neither a number nor the name of an event.
    #[error(
        "'{0}' is no event; give a number such as 5000, or a kind such as page_alloc,nth=3,min-order=2{hint}",
        hint = nearest_hint(.0)
    )]
    UnknownEvent(String),
    /// Something other than `nth=` and `min-order=`.
    #[error(
        "'{0}' is not understood; a kind of event takes nth=N (from 1) and min-order=K (0 to 10, page_alloc only)"
    )]
    BadKnob(String),
}

fn nearest_hint(word: &str) -> String {
    nearest(word, EventKind::ALL.map(EventKind::name))
        .map(|name| format!("; did you mean '{name}'?"))
        .unwrap_or_default()
}

impl StopAt {
    /// Whether it is a system call, which has not begun then.
    pub fn is_call(self) -> bool {
        matches!(self, Self::Nth { kind, .. } if kind == EventKind::Syscall)
    }
}

impl FromStr for StopAt {
    type Err = StopError;

    fn from_str(text: &str) -> Result<Self, StopError> {
        if let Ok(event) = text.trim().parse() {
            return Ok(Self::Event(event));
        }
        let mut parts = text.split(',').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let kind = EventKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| StopError::UnknownEvent(name.to_owned()))?;
        let (mut nth, mut min_order) = (1, 0);
        for part in parts {
            let bad = || StopError::BadKnob(part.to_owned());
            match part.split_once('=').ok_or_else(bad)? {
                ("nth", value) => {
                    nth = value.parse().ok().filter(|nth| *nth > 0).ok_or_else(bad)?;
                }
                ("min-order" | "min_order", value) if kind == EventKind::PageAlloc => {
                    min_order = value
                        .parse()
                        .ok()
                        .filter(|order| *order <= 10)
                        .ok_or_else(bad)?;
                }
                _ => return Err(bad()),
            }
        }
        Ok(Self::Nth {
            kind,
            nth,
            min_order,
        })
    }
}

impl fmt::Display for StopAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write!(f, "{event}"),
            Self::Nth {
                kind,
                nth,
                min_order,
            } => {
                write!(f, "{},nth={nth}", kind.name())?;
                if *min_order > 0 {
                    write!(f, ",min-order={min_order}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_and_writes_them_back() {
        for text in ["5000", "page_alloc,nth=3,min-order=2", "slab_free,nth=1"] {
            assert_eq!(text.parse::<StopAt>().unwrap().to_string(), text);
        }
        assert_eq!(
            "phase".parse::<StopAt>().unwrap().to_string(),
            "phase,nth=1"
        );
    }

    #[test]
    fn errors_name_value_and_remedy() {
        let error = |text: &str| text.parse::<StopAt>().unwrap_err().to_string();
        assert!(error("page_aloc").ends_with("did you mean 'page_alloc'?"));
        assert!(error("page_alloc,nth=0").starts_with("'nth=0' is not understood"));
        assert!(error("slab_free,min-order=1").contains("page_alloc only"));
        assert!(error("-1").contains("'-1' is no event"));
    }
}
