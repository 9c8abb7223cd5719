use super::*;
use crate::campaign::{
    merge::{MergeError, merge},
    partition::Partition,
    record::{Class, Counts, FORMAT, FaultPoint, Golden},
};
use proptest::prelude::*;
use std::fs;

const POINTS: u64 = 12;

fn header(partition: Option<Partition>) -> Header {
    Header {
        format: FORMAT.to_owned(),
        campaign: "c".to_owned(),
        title: "t".to_owned(),
        seed: 1,
        pagelab: "0".to_owned(),
        guest: "g".to_owned(),
        program: String::new(),
        experiment: "title = 't'\n".to_owned(),
        directory: ".".to_owned(),
        golden: Golden {
            trace_hash: "0".to_owned(),
            output_hash: "0".to_owned(),
            events: 9,
            boot_events: 1,
            audits: 2,
            event_limit: 100,
            timeline: Vec::new(),
        },
        space: POINTS,
        points: POINTS,
        partition,
    }
}

fn record(id: u64) -> Record {
    Record {
        id,
        faults: vec![FaultPoint {
            fault: format!("failslab,nth={}", id + 1),
            kind: "failslab".to_owned(),
            ..FaultPoint::default()
        }],
        weight: 1,
        class: Class::Masked,
        reasons: Vec::new(),
        trace_hash: format!("{id:016x}"),
        output_hash: String::new(),
        end: None,
        audits: Vec::new(),
        counts: Counts::default(),
        command: "pagelab run\n".to_owned(),
        evidence: None,
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes the records of these experiments that are not there yet.
fn go_on(path: &Path, partition: Option<Partition>) -> Journal {
    let mut journal = Journal::open(path, header(partition)).unwrap();
    for id in 0..POINTS {
        let mine = partition.is_none_or(|part| part.contains(id));
        if mine && !journal.done().contains(&id) {
            journal.append(&record(id)).unwrap();
        }
    }
    journal
}

#[test]
fn a_file_ends_the_same_wherever_it_was_cut() {
    let folder = folder();
    let path = folder.path().join("all.jsonl");
    drop(go_on(&path, None));
    let whole = fs::read(&path).unwrap();
    // Each is synced to the disk, which takes its time.
    let lines = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let ends: Vec<usize> = lines.map(|(at, _)| at).take(2).collect();
    let around = ends.iter().flat_map(|end| [end - 1, *end, end + 1]);
    let far = [0, 1, 100, whole.len() - 1, whole.len()];
    for len in around.chain(far) {
        fs::write(&path, &whole[..len]).unwrap();
        drop(go_on(&path, None));
        assert_eq!(fs::read(&path).unwrap(), whole, "cut at {len}");
    }
}

#[test]
fn a_torn_line_is_left_out_and_a_damaged_one_named() {
    let folder = folder();
    let path = folder.path().join("all.jsonl");
    drop(go_on(&path, None));
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 2]).unwrap();
    assert_eq!(read(&path).unwrap().records.len() as u64, POINTS - 1);
    let lines: Vec<&str> = whole.lines().collect();
    let error = |lines: &[&str]| {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        read(&path).unwrap_err().to_string()
    };
    assert!(error(&[lines[0], "{\"record\":", lines[1]]).contains("all.jsonl:2: this is no line"));
    assert!(error(&[lines[0], lines[1], lines[1]]).contains(":3: experiment 0 is there twice"));
    assert!(error(&[lines[1]]).contains(":1: the first line is no header"));
    assert!(error(&[lines[0], lines[0]]).contains("use `pagelab merge`"));
    let other = lines[0].replace("pagelab-campaign/1", "pagelab-campaign/9");
    assert!(error(&[&other]).contains("pagelab-campaign/9"));
    fs::write(&path, "").unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("no header"));
}

#[test]
fn a_file_has_one_writer_one_campaign_and_one_part() {
    let folder = folder();
    let path = folder.path().join("all.jsonl");
    let journal = go_on(&path, None);
    let busy = Journal::open(&path, header(None)).unwrap_err();
    assert!(matches!(busy, JournalError::Busy(_)), "{busy}");
    drop(journal);
    let other = Header {
        campaign: "d".to_owned(),
        ..header(None)
    };
    let other = Journal::open(&path, other).unwrap_err();
    assert!(
        matches!(other, JournalError::OtherCampaign { .. }),
        "{other}"
    );
    let part = Journal::open(&path, header(Some("slice:1/2".parse().unwrap()))).unwrap_err();
    assert!(part.to_string().contains("slice:1/2"), "{part}");
}

#[test]
fn what_is_no_file_is_refused() {
    let error = Journal::open(Path::new("/dev/full"), header(None)).unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
}

#[test]
fn no_room_is_told_from_other_errors() {
    for (errno, no_room) in [
        (libc::ENOSPC, true),
        (libc::EDQUOT, true),
        (libc::EFBIG, true),
        (libc::EIO, false),
    ] {
        let error = JournalError::io(Path::new("x"), io::Error::from_raw_os_error(errno));
        assert_eq!(
            matches!(error, JournalError::NoRoom { .. }),
            no_room,
            "{error}"
        );
    }
}

#[test]
fn parts_merge_to_the_file_of_one_machine() {
    let folder = folder();
    let whole = folder.path().join("whole.jsonl");
    drop(go_on(&whole, None));
    let whole = fs::read(&whole).unwrap();
    for method in ["slice", "hash"] {
        let paths: Vec<PathBuf> = (1..=3)
            .rev()
            .map(|index| {
                let path = folder.path().join(format!("{method}-{index}.jsonl"));
                drop(go_on(
                    &path,
                    Some(format!("{method}:{index}/3").parse().unwrap()),
                ));
                path
            })
            .collect();
        let mut merged = Vec::new();
        merge(&paths).unwrap().write(&mut merged).unwrap();
        assert_eq!(merged, whole, "{method}");

        let gap = merge(&paths[..2]).unwrap_err();
        assert!(matches!(gap, MergeError::Gap { .. }), "{gap}");
        let twice = [&paths[..], &paths[..1]].concat();
        let twice = merge(&twice).unwrap_err();
        assert!(matches!(twice, MergeError::Duplicate { .. }), "{twice}");
    }
    let mixed = ["slice-1", "hash-2"].map(|name| folder.path().join(format!("{name}.jsonl")));
    let mixed = merge(&mixed).unwrap_err();
    assert!(matches!(mixed, MergeError::Mixed { .. }), "{mixed}");
    assert!(matches!(merge(&[]), Err(MergeError::Nothing)));
}

#[test]
fn other_campaigns_are_not_merged() {
    let folder = folder();
    let paths = ["a", "b"].map(|name| folder.path().join(name));
    for (path, guest) in paths.iter().zip(["one", "two"]) {
        let header = Header {
            guest: guest.to_owned(),
            ..header(None)
        };
        Journal::open(path, header).unwrap();
    }
    let error = merge(&paths).unwrap_err().to_string();
    assert!(error.contains("the guest kernel differs"), "{error}");
}

proptest! {
    #[test]
    fn garbage_never_panics(text in "\\PC{0,80}(\n\\PC{0,80}){0,3}\n") {
        let _ = parse(Path::new("x"), &text);
    }
}
