//! For tests: whether they can run here.

use std::io::Write;

use super::host::{self, HostError};
pub use super::tiny::{CODE, pvh_elf};

/// Set to `1`, this variable turns a test that is skipped for want of KVM into one that fails.
pub const REQUIRE_KVM: &str = "PAGELAB_REQUIRE_KVM";

/// True if machines can be created here. If not, says SKIPPED and why on standard error, past the
/// test harness's capture.
///
/// # Panics
/// If they cannot, and [`REQUIRE_KVM`] is `1`.
#[must_use]
pub fn has_kvm() -> bool {
    let Err(error) = probe() else { return true };
    let required = std::env::var_os(REQUIRE_KVM).is_some_and(|value| value == "1");
    assert!(!required, "{REQUIRE_KVM}=1, but {error}");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test");
    // If standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{test}: SKIPPED: {error}");
    false
}

fn probe() -> Result<(), HostError> {
    host::create_vm(&host::open()?).map(drop)
}
