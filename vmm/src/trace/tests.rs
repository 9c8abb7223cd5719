use super::{Chrome, Event, Mark, Sink};
use pagelab_abi::event::EventKind;
use pagelab_abi::event_log::EventRecord;
use serde_json::Value;

fn event(number: u64, kind: EventKind, pid: u32, a: u64, b: u64) -> Event {
    let kind = kind as u32;
    Event::new(number, &EventRecord { a, b, kind, pid })
}

/// The entries of a trace, but for names.
fn drawn(events: &[Event], marks: &[(u64, Mark)]) -> Vec<Value> {
    let mut out = Vec::new();
    let mut chrome = Chrome::new(&mut out).unwrap();
    for event in events {
        chrome.event(event).unwrap();
    }
    for (at, mark) in marks {
        chrome.mark(*at, mark).unwrap();
    }
    chrome.finish().unwrap();
    let mut document: Value = serde_json::from_slice(&out).unwrap();
    let Value::Array(mut entries) = document["traceEvents"].take() else {
        panic!("{document}");
    };
    entries.retain(|entry| entry["ph"] != "M");
    entries
}

fn find<'a>(entries: &'a [Value], name: &str) -> &'a Value {
    let found = entries.iter().find(|entry| entry["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {entries:#?}"))
}

#[test]
fn calls_and_faults_last_until_the_next_one_or_another_process() {
    let entries = drawn(
        &[
            event(7, EventKind::Syscall, 1, 9, 0),
            event(8, EventKind::Map, 1, 0x1000, 2),
            event(9, EventKind::Fault, 1, 0x1000, 6),
            event(10, EventKind::PageAlloc, 1, 77, 3 << 8),
            event(11, EventKind::PageAlloc, 2, 78, 0),
            event(12, EventKind::Syscall, 2, 9999, 0),
        ],
        &[],
    );
    let bar = |name| {
        let bar = find(&entries, name);
        let number = |key: &str| bar[key].as_u64().unwrap();
        (number("ts"), number("dur"), number("tid"))
    };
    assert_eq!(bar("mmap"), (7, 2, 1));
    assert_eq!(bar("write fault"), (9, 2, 1));
    assert_eq!(bar("system call 9999"), (12, 1, 2));
    assert_eq!(find(&entries, "map")["args"]["pages"], 2);
    assert_eq!(find(&entries, "allocate order 0")["args"]["gfp"], "0x3");
}

#[test]
fn curves_count_what_is_allocated() {
    let entries = drawn(
        &[
            event(1, EventKind::PageAlloc, 0, 8, 3),
            event(2, EventKind::PageFree, 0, 8, 1),
            event(3, EventKind::SlabAlloc, 0, 8, 3),
        ],
        &[],
    );
    let points: Vec<_> = entries.iter().filter(|entry| entry["ph"] == "C").collect();
    let [pages, objects] = points[..] else {
        panic!("{points:#?}");
    };
    assert_eq!(
        (&pages["name"], pages["args"]["allocated"].as_i64()),
        (&"pages".into(), Some(6))
    );
    assert_eq!(objects["args"]["allocated"], 1);
}

#[test]
fn what_the_host_does_is_drawn() {
    let requested = 4096;
    let achieved = 1024;
    let balloon = Mark::Balloon {
        requested,
        achieved,
    };
    let fault = Mark::Fault("failslab,nth=3".to_owned());
    let audit = Mark::Audit { violated: 2 };
    let entries = drawn(&[], &[(5, balloon), (6, fault), (7, audit)]);
    let curve = find(&entries, "balloon (bytes)");
    assert_eq!(curve["args"]["requested"], requested);
    assert_eq!(curve["args"]["achieved"], achieved);
    assert_eq!(find(&entries, "failslab,nth=3")["ts"], 6);
    assert_eq!(find(&entries, "2 not held")["ts"], 7);
}

#[test]
fn nothing_that_a_hostile_guest_records_breaks_the_file() {
    let mut events: Vec<Event> = EventKind::ALL
        .into_iter()
        .flat_map(|kind| [0, u64::MAX].map(|a| event(u64::MAX, kind, u32::MAX, a, a)))
        .collect();
    events.push(Event::new(0, &EventRecord::EMPTY));
    assert_eq!(events.last().unwrap().kind, None);
    assert!(drawn(&events, &[]).len() > EventKind::ALL.len());
}
