use super::*;
use crate::campaign::experiment::Strategy;
use proptest::prelude::{prop_assert_eq, proptest};

fn point(fault: &str, class: u32) -> SpacePoint {
    SpacePoint {
        point: FaultPoint {
            fault: fault.to_owned(),
            kind: fault.split(',').next().unwrap_or_default().to_owned(),
            ..FaultPoint::default()
        },
        armed: Armed::Failure(Box::new(fault.parse().unwrap())),
        class,
    }
}

/// So many candidates of one family, in classes of this size.
fn points(count: u64, class_size: u64) -> Vec<SpacePoint> {
    let point = |nth| {
        point(
            &format!("failslab,nth={nth}"),
            ((nth - 1) / class_size) as u32,
        )
    };
    (1..=count).map(point).collect()
}

fn explore(strategy: Strategy, prune: bool) -> Explore {
    Explore {
        strategy,
        prune,
        timeout: None,
    }
}

fn weights(plan: &Plan) -> Vec<u64> {
    (0..plan.len())
        .map(|id| plan.get(id).unwrap().weight)
        .collect()
}

#[test]
fn exhaustive_is_each_point_once() {
    let plan = Plan::new(points(9, 4), &explore(Strategy::Exhaustive, false), 1).unwrap();
    assert_eq!((plan.len(), plan.space()), (9, 9));
    let faults = (0..9).map(|id| plan.get(id).unwrap().faults[0].fault.clone());
    let expected = (1..=9).map(|nth| format!("failslab,nth={nth}"));
    assert!(faults.eq(expected));
    assert!(plan.get(9).is_none());
}

#[test]
fn pruned_classes_carry_their_weight() {
    let plan = Plan::new(points(9, 4), &explore(Strategy::Exhaustive, true), 1).unwrap();
    assert_eq!((plan.len(), plan.space()), (3, 9));
    assert_eq!(weights(&plan), [4, 4, 1]);
    assert_eq!(plan.get(1).unwrap().faults[0].fault, "failslab,nth=5");
}

#[test]
fn a_pruned_sample_counts_what_was_drawn() {
    let precision = Precision {
        confidence: 0.9,
        margin: 0.1,
    };
    let drawn = sample_size(500, precision);
    let plan = Plan::new(
        points(500, 50),
        &explore(Strategy::Sample(precision), true),
        1,
    )
    .unwrap();
    assert_eq!(weights(&plan).iter().sum::<u64>(), drawn);
    assert!(plan.len() <= 10);
}

#[test]
fn pairs_are_all_pairs() {
    let plan = Plan::new(points(5, 1), &explore(Strategy::Pairs(None), false), 1).unwrap();
    assert_eq!(plan.len(), 10);
    let pair = |id| plan.get(id).unwrap().armed[0].options()[1].clone();
    let mut all: Vec<String> = (0..10).map(pair).collect();
    assert_eq!(all[0], "failslab,nth=1,then=1");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 10);
    assert!(plan.get(10).is_none());
}

#[test]
fn pairs_of_two_tables_of_one_kind_are_refused() {
    let mixed = vec![point("failslab,nth=1", 0), point("failslab,nth=1,pid=2", 1)];
    let error = Plan::new(mixed, &explore(Strategy::Pairs(None), false), 1).unwrap_err();
    assert!(matches!(error, PlanError::Incompatible(..)));
    let kinds = vec![
        point("failslab,nth=1", 0),
        point("fail_page_alloc,nth=1", 1),
    ];
    let plan = Plan::new(kinds, &explore(Strategy::Pairs(None), false), 1).unwrap();
    assert_eq!(plan.get(0).unwrap().armed.len(), 2);
}

#[test]
fn nothing_is_no_plan() {
    let error = |points, strategy| Plan::new(points, &explore(strategy, false), 1).unwrap_err();
    assert_eq!(error(Vec::new(), Strategy::Exhaustive), PlanError::Nothing);
    assert_eq!(
        error(points(1, 1), Strategy::Pairs(None)),
        PlanError::Nothing
    );
}

proptest! {
    #[test]
    fn each_pair_has_a_number(larger in 1_u64..1 << 31, smaller: u64) {
        let smaller = smaller % larger;
        let number = larger * (larger - 1) / 2 + smaller;
        prop_assert_eq!(nth_pair(number), (smaller, larger));
    }
}
