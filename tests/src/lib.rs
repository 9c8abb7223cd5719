//! What the end-to-end tests share: running the `pagelab` command and reading what it says.

use serde_json::Value;
use std::{
    arch::x86_64::__cpuid,
    env,
    fs::OpenOptions,
    path::PathBuf,
    process::{Command, Output},
};

/// The binary under test, which cargo builds beside the tests.
pub fn binary() -> PathBuf {
    let mut path = env::current_exe().expect("a running test has a path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.join("pagelab-under-test")
}

/// What one run of the command left behind.
#[derive(Debug)]
pub struct Ran {
    /// Exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `pagelab` with these arguments to its end.
pub fn pagelab(arguments: &[&str]) -> Ran {
    let output: Output = Command::new(binary())
        .args(arguments)
        .env_remove("RUST_LOG")
        .output()
        .expect("the binary under test can be started");
    Ran {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
    }
}

impl Ran {
    /// The JSON document on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:#?}"))
    }
}

/// Runs `pagelab run --format json` with more arguments and reads the report.
pub fn report(arguments: &[&str]) -> Value {
    let mut all = vec!["run", "--format", "json"];
    all.extend(arguments);
    pagelab(&all).json()
}

/// Whether this is QEMU's software CPU, on which `scripts/nested-kvm` runs: CPUID leaf 0x4000_0000.
pub fn is_emulated() -> bool {
    let leaf = __cpuid(0x4000_0000);
    let name = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes);
    name.as_flattened() == b"TCGTCGTCGTCG"
}

/// Whether /dev/kvm can be used here. If not, says so, and fails where `PAGELAB_REQUIRE_KVM` is 1:
/// in CI a skipped test is no passed test.
pub fn kvm() -> bool {
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => true,
        Err(error) => {
            assert!(
                env::var_os("PAGELAB_REQUIRE_KVM").is_none_or(|value| value != "1"),
                "/dev/kvm cannot be used ({error}), and PAGELAB_REQUIRE_KVM=1 demands it"
            );
            println!("SKIPPED: /dev/kvm cannot be used: {error}");
            false
        }
    }
}
