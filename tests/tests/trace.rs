//! What is recorded of a run is the run: every event, in its order, and nothing else changes.

use pagelab::{
    scenario::{self, RunConfig, StopAt},
    size::ByteSize,
    trace::{Event, Mark, Sink},
};
use pagelab_abi::event::mix;
use pagelab_tests::{kvm, pagelab};
use serde_json::Value;
use std::{fs, io};

/// Keeps all events and marks.
#[derive(Default)]
struct Kept {
    events: Vec<Event>,
    marks: Vec<(u64, Mark)>,
    is_finished: bool,
}

impl Sink for Kept {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.events.push(*event);
        Ok(())
    }

    fn mark(&mut self, at: u64, mark: &Mark) -> io::Result<()> {
        self.marks.push((at, mark.clone()));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.is_finished = true;
        Ok(())
    }
}

fn config() -> RunConfig {
    RunConfig {
        memory: ByteSize(64 << 20),
        ..RunConfig::default()
    }
}

fn hash(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap()
}

/// The hash of a run is made of its events: that of the records goes on from that of the end of boot.
#[test]
fn the_records_have_the_hash_of_a_run_without_them() {
    if !kvm() {
        return;
    }
    let plain = scenario::run(&config()).unwrap();
    let mut kept = Kept::default();
    let recorded = scenario::run_recorded(&config(), &mut kept).unwrap();
    assert_eq!(plain.trace_hash, recorded.trace_hash);
    assert_eq!(plain.audits.len(), recorded.audits.len());
    assert!(kept.is_finished);

    let boot = kept.events[0].number - 1;
    let booted = scenario::run(&RunConfig {
        stop_at: Some(StopAt::Event(boot)),
        ..config()
    });
    let before = hash(&booted.unwrap().trace_hash);
    let after = kept
        .events
        .iter()
        .zip(boot + 1..)
        .fold(before, |hash, (event, number)| {
            assert_eq!(event.number, number);
            let [a, b] = event.arguments;
            mix(hash, event.kind.expect("a kind of the ABI"), a, b)
        });
    assert_eq!(after, hash(&plain.trace_hash));
    assert_eq!(kept.events.last().unwrap().number, plain.events);
    // More than the guest has room for.
    assert!(kept.events.len() > 2 * pagelab_abi::event_log::EVENT_LOG_CAPACITY);

    let has = |is_wanted: fn(&Mark) -> bool| kept.marks.iter().any(|(_, mark)| is_wanted(mark));
    assert!(has(|mark| matches!(mark, Mark::Fault(_))));
    assert!(has(
        |mark| matches!(mark, Mark::Balloon { achieved, .. } if *achieved > 0)
    ));
}

#[test]
fn a_sink_that_fails_ends_the_run_with_its_error() {
    struct Full;
    impl Sink for Full {
        fn event(&mut self, _: &Event) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn mark(&mut self, _: u64, _: &Mark) -> io::Result<()> {
            Ok(())
        }
        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    if !kvm() {
        return;
    }
    let error = scenario::run_recorded(&config(), &mut Full).unwrap_err();
    assert!(error.to_string().contains("is the disk full?"), "{error}");
}

#[test]
fn the_command_writes_a_file_for_viewers() {
    if !kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.json");
    let file = path.to_str().unwrap();
    let run = |file: &str| {
        pagelab(&[
            "run",
            "--memory",
            "64M",
            "--workload",
            "buddy",
            "--format",
            "json",
            "--trace",
            file,
        ])
    };
    let report = run(file).json();
    let text = fs::read_to_string(&path).unwrap();
    let trace: Value = serde_json::from_str(&text).unwrap();
    let entries = trace["traceEvents"].as_array().unwrap();
    let allocations = entries.iter().filter(|entry| {
        let name = entry["name"].as_str().unwrap();
        name.starts_with("allocate order")
    });
    let counts = report["events_by_kind"].as_array().unwrap();
    let counted = counts.iter().find(|count| count["kind"] == "page_alloc");
    let booted = counted.unwrap()["count"].as_u64().unwrap() - allocations.count() as u64;
    assert!(
        booted < 64,
        "{booted} page allocations are not in the trace"
    );

    run(file);
    assert_eq!(text, fs::read_to_string(&path).unwrap());
    let refused = run(directory.path().to_str().unwrap());
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("cannot write the trace to"),
        "{refused:?}"
    );
}
