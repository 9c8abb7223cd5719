//! A balloon whose driver means harm.

use crate::{
    asm::Asm,
    random::Random,
    survive::{Case, ends, survive},
    virtio::{Target, fill, register},
};
use pagelab::{machine::testing::has_kvm, report::Verdict};
use pagelab_abi::platform::MMIO_BASE;

/// The balloon, with statistics, deflate on OOM and reporting.
const BALLOON: Target = Target {
    base: MMIO_BASE as u32,
    queues: 4,
    features: 1 << 1 | 1 << 2 | 1 << 5,
};

#[test]
fn garbage_in_the_rings() {
    if !has_kvm() {
        return;
    }
    let mut ended_well = 0;
    for seed in 0..80 {
        let case = Case::new("garbage rings", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        for _ in 0..4 {
            // A device that stopped is reset, and gets more.
            BALLOON.start(&mut asm);
            for _ in 0..4 {
                let queue = random.below(BALLOON.queues.into()) as u32;
                fill(&mut asm, random, queue);
                BALLOON.set(&mut asm, register::QUEUE_NOTIFY, queue);
            }
        }
        asm.exit(0);
        let report = ends(&case, &asm.code);
        // A guest may put its own code into the balloon, and then runs into zeros.
        ended_well += u32::from(report.crash.is_none());
    }
    assert!(
        ended_well >= 60,
        "only {ended_well} guests came to their end"
    );
}

#[test]
fn queues_in_impossible_places() {
    if !has_kvm() {
        return;
    }
    for seed in 0..40 {
        let case = Case::new("impossible queues", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        BALLOON.start(&mut asm);
        for _ in 0..20 {
            BALLOON.set(
                &mut asm,
                register::STATUS,
                random.pick(&[0, 1, 3, 11, 15, 128, 0xff]),
            );
            BALLOON.set(&mut asm, register::QUEUE_SEL, random.below(8) as u32);
            BALLOON.set(&mut asm, register::QUEUE_READY, random.below(3) as u32);
            BALLOON.set(&mut asm, register::QUEUE_NUM, random.nasty() as u32);
            for register in [
                register::QUEUE_DESC,
                register::QUEUE_DRIVER,
                register::QUEUE_DEVICE,
            ] {
                let address = random.nasty();
                BALLOON.set(&mut asm, register, address as u32);
                BALLOON.set(&mut asm, register + 4, (address >> 32) as u32);
            }
            BALLOON.set(&mut asm, register::QUEUE_READY, 1);
            BALLOON.set(&mut asm, register::QUEUE_NOTIFY, random.below(8) as u32);
            BALLOON.set(
                &mut asm,
                register::CONFIG + random.below(16) as u32,
                random.u32(),
            );
        }
        asm.exit(0);
        survive(&case, &asm.code);
    }
}

#[test]
fn a_storm_of_notifications() {
    if !has_kvm() {
        return;
    }
    for seed in 0..BALLOON.queues.into() {
        let case = Case::new("notify storm", seed);
        let random = &mut Random::new(seed);
        let mut asm = Asm::default();
        BALLOON.start(&mut asm);
        fill(&mut asm, random, seed as u32);
        let queue = seed as u32;
        asm.repeat(2000, |asm| BALLOON.set(asm, register::QUEUE_NOTIFY, queue));
        let again = asm.code.len();
        BALLOON.set(&mut asm, register::QUEUE_NOTIFY, queue);
        asm.jump_back(again);
        let report = survive(&case, &asm.code);
        assert_eq!(report.verdict, Verdict::Hung, "{:?}", report.reasons);
    }
}
