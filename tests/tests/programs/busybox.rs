//! Somebody else's programs: busybox, its shell and its applets.

use super::{alike_in, compare::skip};
use pagelab_tests::kvm;
use std::{fs, path::Path};
use tempfile::TempDir;

/// Where Debian's package busybox-static puts it.
const BUSYBOX: &str = "/usr/bin/busybox";

/// A folder with busybox in it; none if it cannot be run here, which is said.
fn folder() -> Option<TempDir> {
    if !Path::new(BUSYBOX).exists() {
        skip(&format!(
            "there is no {BUSYBOX}: apt-get install busybox-static"
        ));
        return None;
    }
    if !kvm() {
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    fs::copy(BUSYBOX, folder.path().join("busybox")).expect("busybox can be copied");
    Some(folder)
}

/// Runs a script by its text, natively and in the guest.
fn script(text: &str) {
    let Some(folder) = folder() else { return };
    alike_in(folder.path(), &[], &["./busybox", "sh", "-c", text]);
}

#[test]
fn the_shell_runs_a_script() {
    script(include_str!("../../programs/shell.sh"));
}
