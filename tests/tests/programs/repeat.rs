//! The same program gives the same run.

use super::{Build, SMALL, guest, programs};

#[test]
fn the_same_program_gives_the_same_trace() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let run = || guest(folder, &SMALL, &["./children"]);
    let (first, second) = (run(), run());
    assert_eq!(first["program"]["status"], 17, "{first}");
    assert_eq!(first["trace_hash"], second["trace_hash"]);
    assert_eq!(first["events"], second["events"]);
}
