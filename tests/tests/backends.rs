//! One experiment, two backends: this host's /dev/kvm and AMD-V emulated by QEMU. Everything in
//! the report that is not about the host has to be equal.

use pagelab_tests::{binary, kvm, report};
use serde_json::Value;
use std::{
    arch::x86_64::__cpuid,
    env,
    path::{Path, PathBuf},
    process::Command,
};

const RUN: [&str; 2] = ["--memory", "128M"];

/// CPUID leaf 0x4000_0000 as QEMU's software CPU answers it.
fn is_emulated() -> bool {
    let leaf = __cpuid(0x4000_0000);
    [leaf.ebx, leaf.ecx, leaf.edx]
        .map(u32::to_le_bytes)
        .as_flattened()
        == b"TCGTCGTCGTCG"
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/nested-kvm")
}

/// Why there is no second backend here, if there is none.
fn missing() -> Option<String> {
    let check = Command::new(script())
        .arg("--check")
        .output()
        .expect("the script can be started");
    (!check.status.success()).then(|| String::from_utf8_lossy(&check.stdout).into_owned())
}

/// What must not depend on the backend: all but the host and the CPU's own features.
fn reproducible(mut report: Value) -> Value {
    report
        .as_object_mut()
        .unwrap()
        .remove("host")
        .expect("a report says where it ran");
    report["page_table"]
        .as_object_mut()
        .unwrap()
        .remove("state")
        .expect("and on which CPU");
    report
}

#[test]
fn the_same_run_on_another_backend() {
    if !kvm() {
        return;
    }
    if is_emulated() {
        println!("this is the emulated machine itself: compared from outside");
        return;
    }
    if let Some(missing) = missing() {
        let required = env::var_os("PAGELAB_REQUIRE_KVM").is_some_and(|value| value == "1");
        assert!(!required, "scripts/nested-kvm cannot run here:\n{missing}");
        println!("SKIPPED: scripts/nested-kvm cannot run here:\n{missing}");
        return;
    }
    let here = report(&RUN);
    let output = Command::new(script())
        .args(["--sealed", "--timeout", "300"])
        .arg(binary())
        .args(["run", "--format", "json"])
        .args(RUN)
        .output()
        .expect("the script can be started");
    let there: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("not JSON ({error}): {output:?}"));
    assert_eq!(there["host"]["backend"], "AMD-V");
    assert_eq!(here["trace_hash"], there["trace_hash"]);
    assert_eq!(reproducible(here), reproducible(there));
}
