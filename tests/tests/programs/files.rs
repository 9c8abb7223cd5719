//! Files and pipes.

use super::alike;

#[test]
fn files_in_tmp() {
    alike(&["./files"]);
}

#[test]
fn pipes() {
    alike(&["./pipes"]);
}
