//! Calls about the machine, its limits and clocks.

use super::{Build, SMALL, guest, programs};

alike! {
    small_calls_answer_as_linux_does: ["./small_calls"],
    bad_pointers_are_errors: ["./bad_pointers"],
}

/// What `cpuid` prints on a machine with this option.
fn cpu(build: Build, option: &str) -> Option<String> {
    let folder = programs(build)?;
    let report = guest(
        folder,
        &[&SMALL[..], &["--cpu", option]].concat(),
        &["./cpuid"],
    );
    assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
    Some(report["program"]["stdout"].as_str()?.to_owned())
}

#[test]
fn programs_see_the_same_cpu_everywhere_or_the_hosts() {
    for &build in crate::compare::libraries(&["./cpuid"]) {
        let Some(text) = cpu(build, "baseline") else {
            return;
        };
        assert_eq!(
            text,
            "name <pagelab x86-64-v2 virtual CPU>\nSSE4.2 1 XSAVE 0 AVX 0 RDRAND 0\n"
        );
    }
    let host = cpu(Build::Glibc, "host").expect("it ran before");
    assert!(!host.contains("pagelab"), "{host}");
}

#[test]
fn counters_are_the_event_clock() {
    for &build in crate::compare::libraries(&["./counters"]) {
        let Some(folder) = programs(build) else {
            return;
        };
        let run = || guest(folder, &SMALL, &["./counters"]);
        let (first, second) = (run(), run());
        assert_eq!(first["verdict"], "held", "{}", first["reasons"]);
        let text = first["program"]["stdout"].as_str().unwrap();
        let (count, rest) = text.split_once(',').unwrap();
        // A microsecond for each event and for each look at the counter.
        assert_eq!(
            rest,
            " then 1000 and 2000 more\nrdtscp: signal 4\nrdpmc: signal 11\n"
        );
        assert!(count.parse::<u64>().unwrap() % 1000 == 0, "{text}");
        assert_eq!(first["trace_hash"], second["trace_hash"]);
        assert_eq!(first["program"], second["program"]);
    }
}

#[test]
fn no_wild_pointer_reaches_the_kernel() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let report = guest(folder, &SMALL, &["./wild"]);
    assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
    assert_eq!(report["program"]["status"], 0, "{}", report["program"]);
    let stdout = report["program"]["stdout"].as_str().unwrap();
    // Before it is what some call has found to write.
    assert!(stdout.ends_with("tried 470, odd 0, ended 1\n"), "{stdout}");
}
