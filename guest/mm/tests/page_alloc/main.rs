//! The page allocator against a naive model: a set of intervals.
//!
//! Random sequences of allocations, frees, drains, balloon moves, reports and injected failures
//! run on both. After each step the oracle has to be content, no block may overlap another, and
//! what is free has to be what the model says.

mod model;
mod step;

use model::Model;
use pagelab_abi::zone::ZoneModel;
use pagelab_mm::{testing::boot_with, zone::ZoneConfig};
use proptest::prelude::*;
use step::Step;

const MIB: u64 = 1 << 20;

/// Zones with limits that leave something in each zone of a small machine.
fn zones() -> impl Strategy<Value = ZoneConfig> {
    let limits =
        |model, limits: Vec<u64>| ZoneConfig::with_limits(model, &limits).expect("limits in order");
    prop_oneof![
        Just(ZoneConfig::CLASSIC),
        Just(ZoneConfig::X86_64),
        (1u64..8, 1u64..8).prop_map(move |(dma, normal)| {
            limits(
                ZoneModel::Classic,
                vec![dma * 2 * MIB, (dma + normal) * 2 * MIB],
            )
        }),
        (1u64..5, 1u64..5, 1u64..5).prop_map(move |(dma, dma32, normal)| {
            limits(
                ZoneModel::X86_64,
                vec![
                    dma * 2 * MIB,
                    (dma + dma32) * 2 * MIB,
                    (dma + dma32 + normal) * 2 * MIB,
                ],
            )
        }),
    ]
}

/// Ranges that something else has, page by page.
fn reserved(pages: u64) -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..pages, 1u64..700), 0..6).prop_map(|ranges| {
        ranges
            .into_iter()
            .map(|(start, pages)| (start << 12, pages << 12))
            .collect()
    })
}

/// Pages of the machines, so odd that the last pageblock is cut.
const PAGES: u64 = 32 * 256 - 77;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model(
        zones in zones(),
        mut reserved in reserved(PAGES - 2048),
        steps in prop::collection::vec(step::any_step(), 1..200),
    ) {
        reserved.push((0, 4096));
        let mm = boot_with(PAGES << 12, zones, 2, &reserved);
        let mut model = Model::new(&mm);
        model.check(&mm)?;
        for step in steps {
            model.run(&mm, &step)?;
            model.check(&mm)?;
        }
        model.give_back_all(&mm);
        model.check(&mm)?;
        model.check_nothing_is_missing(&mm)?;
    }
}

/// A sequence that touches each kind of step, whatever the random ones do.
#[test]
fn each_step_at_least_once() {
    let mm = boot_with(PAGES << 12, ZoneConfig::CLASSIC, 2, &[(0, 1 << 20)]);
    let mut model = Model::new(&mm);
    for step in Step::examples() {
        model.run(&mm, &step).expect("agreement");
        model.check(&mm).expect("agreement");
    }
    model.give_back_all(&mm);
    model
        .check_nothing_is_missing(&mm)
        .expect("nothing missing");
}
