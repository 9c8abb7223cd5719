//! QEMU's own virtio-balloon squeezes the guest and hears its statistics.

use crate::{
    machine::{Qemu, Setup, has_qemu},
    qmp::Qmp,
};
use pagelab_abi::platform::ExitCode;
use serde_json::json;

const MIB: u64 = 1 << 20;

/// The balloon's place in QEMU's tree of objects.
const BALLOON: &str = "/machine/peripheral/balloon";

/// A guest of 256 MiB that works until the balloon was inflated and deflated again.
const APPEND: &str = "workload=default pagelab.pressure";

#[test]
fn the_balloon_goes_to_its_target_and_back() {
    if !has_qemu() {
        return;
    }
    let mut qemu = Qemu::start(Setup::new(APPEND));
    let mut qmp = qemu.qmp();
    assert_eq!(qmp.balloon_actual(), 256 * MIB);
    for target in [128 * MIB, 64 * MIB, 200 * MIB, 96 * MIB] {
        qmp.set_balloon(target);
        let what = format!("balloon that leaves {} MiB", target / MIB);
        qemu.wait_for(&what, |_| (qmp.balloon_actual() == target).then_some(()));
    }
    qmp.set_balloon(256 * MIB);
    // The guest gets all of its memory back, counts it, and ends.
    assert_eq!(
        qemu.exit_code(),
        ExitCode::Success as u32,
        "{}",
        qemu.serial()
    );
    let serial = qemu.serial();
    assert!(
        !serial.contains("balloon: "),
        "the balloon holds pages at the end: {serial}"
    );
}

#[test]
fn a_target_out_of_reach_is_approached_and_survived() {
    if !has_qemu() {
        return;
    }
    let mut qemu = Qemu::start(Setup::new(APPEND));
    let mut qmp = qemu.qmp();
    // Less than the kernel itself needs: the guest gives what it can and goes on working.
    qmp.set_balloon(2 * MIB);
    qemu.wait_for("balloon of most of memory", |_| {
        (qmp.balloon_actual() < 32 * MIB).then_some(())
    });
    qmp.set_balloon(256 * MIB);
    assert_eq!(
        qemu.exit_code(),
        ExitCode::Success as u32,
        "{}",
        qemu.serial()
    );
}

/// What the host was told of the guest's memory, in bytes.
#[derive(Clone, Copy, Debug)]
struct Stats {
    total: u64,
    free: u64,
    available: u64,
}

/// The guest's latest statistics, if there are any.
fn stats(qmp: &mut Qmp) -> Option<Stats> {
    let arguments = json!({ "path": BALLOON, "property": "guest-stats" });
    let stats = qmp.execute("qom-get", arguments);
    // QEMU shows -1 for what it was not told.
    let of = |name: &str| {
        stats["stats"][name]
            .as_u64()
            .filter(|bytes| *bytes < 1 << 40)
    };
    Some(Stats {
        total: of("stat-total-memory")?,
        free: of("stat-free-memory")?,
        available: of("stat-available-memory")?,
    })
}

#[test]
fn statistics_reach_the_host() {
    if !has_qemu() {
        return;
    }
    let mut qemu = Qemu::start(Setup::new(APPEND));
    let mut qmp = qemu.qmp();
    let every_second =
        json!({ "path": BALLOON, "property": "guest-stats-polling-interval", "value": 1 });
    qmp.execute("qom-set", every_second);
    let before = qemu.wait_for("statistics", |_| stats(&mut qmp));
    assert!((240 * MIB..256 * MIB).contains(&before.total), "{before:?}");
    assert!(
        before.free > 128 * MIB && before.free <= before.total,
        "{before:?}"
    );
    assert!(before.available <= before.free, "{before:?}");
    qmp.set_balloon(128 * MIB);
    let after = qemu.wait_for("less free memory", |_| {
        stats(&mut qmp).filter(|stats| stats.free < 128 * MIB)
    });
    assert_eq!(after.total, before.total, "managed memory stays what it is");
}
