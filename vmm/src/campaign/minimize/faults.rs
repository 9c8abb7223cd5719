//! Fewer faults.

use super::{MinimizeError, search::Search, variant::Variant};
use crate::{campaign::plan::Armed, fault::FaultSpec};

impl Search<'_> {
    /// One fault of two, or none at all.
    pub(super) fn faults(&mut self) -> Result<(), MinimizeError> {
        let none = Variant {
            armed: Vec::new(),
            ..self.best().clone()
        };
        // What is told from the run without faults cannot do without one.
        if !self.signature().is_relative() && self.accept(none, "no fault is needed")? {
            return Ok(());
        }
        let singles = singles(&self.best().armed);
        if singles.len() < 2 {
            return Ok(());
        }
        for single in singles {
            let what = format!("one fault is enough: {}", single.options()[1]);
            let variant = Variant {
                armed: vec![single],
                ..self.best().clone()
            };
            if self.accept(variant, &what)? {
                break;
            }
        }
        Ok(())
    }
}

/// The faults, each by itself.
fn singles(armed: &[Armed]) -> Vec<Armed> {
    let each = armed.iter().flat_map(|armed| match armed {
        Armed::Failure(spec) if spec.then > 0 => {
            let one = |nth| {
                Armed::Failure(Box::new(FaultSpec {
                    nth,
                    then: 0,
                    ..(**spec).clone()
                }))
            };
            vec![one(spec.nth), one(spec.nth + spec.then)]
        }
        other => vec![other.clone()],
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_comes_apart() {
        let pair = Armed::Failure(Box::new("failslab,nth=3,then=4,pid=1".parse().unwrap()));
        let singles = singles(&[pair]);
        let texts: Vec<String> = singles.iter().map(|it| it.options()[1].clone()).collect();
        assert_eq!(texts, ["failslab,nth=3,pid=1", "failslab,nth=7,pid=1"]);
    }
}
