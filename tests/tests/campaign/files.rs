//! Record files: killed, without room, in parts, replayed.

use super::{SMALL, campaign, experiment, folder, lines, records};
use pagelab_tests::{binary, is_emulated, pagelab};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// As cheap as an experiment can be: no program, and a bit that nobody looks at.
const CHEAP: &str = "\
title = 'cheap'
[machine]
memory = '16M'
[workload]
builtin = 'none'
[[fault]]
kind = 'bitflip'
at = 4096
bit = '0..7'
event = '0..'
[[fault]]
kind = 'bitflip'
at = 4104
bit = '0..7'
event = '0..'
";

/// Numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ bits >> 31) % end
    }
}

/// Runs `pagelab campaign` and kills it after so many microseconds. Says whether it was still running.
fn kill_after(file: &Path, output: &Path, micros: u64) -> bool {
    let mut child = Command::new(binary())
        .args(["campaign", file.to_str().unwrap(), "-o"])
        .arg(output)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it can be started");
    thread::sleep(Duration::from_micros(micros));
    child.kill().expect("it is a child of ours");
    let status = child.wait().expect("it ends");
    status.code().is_none()
}

/// The whole lines of a record file, and what is behind them.
fn durable(path: &Path) -> (String, String) {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    (text[..whole].to_owned(), text[whole..].to_owned())
}

#[test]
fn a_campaign_that_is_killed_at_random_ends_as_one_that_is_not() {
    let Some(folder) = folder() else { return };
    // A run takes a hundred times as long there.
    let wanted = if is_emulated() { 4 } else { 50 };
    let file = experiment(folder.path(), CHEAP);
    let whole = folder.path().join("whole.jsonl");
    let began = Instant::now();
    let ran = campaign(&file, &whole, &[]);
    let takes = began.elapsed().as_micros() as u64;
    assert_eq!(ran.status, Some(0), "{ran:#?}");
    let whole = lines(&whole);
    let output = folder.path().join("killed.jsonl");
    let mut random = Random(1);
    let (mut kills, mut cut, mut ends) = (0, 0, 0);
    while kills < wanted {
        let before = durable(&output).0;
        let micros = random.below(takes);
        let killed = kill_after(&file, &output, micros);
        let at = format!("kill {kills}, {micros} of {takes} us");
        kills += u32::from(killed);
        // What was durable stays as it is, and nothing but whole records is added, and the begin of one.
        let (after, rest) = durable(&output);
        assert!(after.starts_with(&before), "{at}: {before}\n{after}");
        cut += u32::from(!rest.is_empty());
        for line in after.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{at}: {line}");
        }
        if after.lines().count() == whole.len() {
            assert_eq!(lines(&output), whole, "{at}");
            fs::remove_file(&output).expect("it is there");
            ends += 1;
        }
    }
    println!("{kills} kills, {cut} within a record; {ends} campaigns came to their end meanwhile");
    let ran = campaign(&file, &output, &[]);
    assert_eq!(ran.status, Some(0), "{ran:#?}");
    assert_eq!(lines(&output), whole);
}

/// Runs a campaign on a disk of its own that is too small, makes it larger, and runs it again. Says what came
/// of the first time, and copies the record file out.
const FULL_DISK: &str = "\
set -u
mount -t tmpfs -o size=$ROOM none \"$DISK\" || exit 77
\"$PAGELAB\" campaign \"$FILE\" -o \"$DISK/all.jsonl\" && exit 1
test $? -eq 2 || exit 1
cp \"$DISK/all.jsonl\" \"$OUT/first.jsonl\"
mount -o remount,size=1m \"$DISK\" || exit 77
\"$PAGELAB\" campaign \"$FILE\" -o \"$DISK/all.jsonl\" > /dev/null 2>&1 || exit 1
cp \"$DISK/all.jsonl\" \"$OUT/all.jsonl\"
";

#[test]
fn on_a_full_disk_it_stops_and_goes_on_when_there_is_room() {
    let Some(folder) = folder() else { return };
    let text = SMALL.replace("1..10", "1..");
    let file = experiment(folder.path(), &text);
    let whole = folder.path().join("whole.jsonl");
    assert_eq!(campaign(&file, &whole, &[]).status, Some(0));
    let bytes = fs::read(&whole).unwrap();
    let header = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    // Room for the header and about half of the records, in pages.
    let room = (header + bytes.len()) / 2 / 4096 * 4096;
    assert!(header < room, "{header} {room} {}", bytes.len());
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // A namespace in which a user may mount.
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            FULL_DISK,
        ])
        .env("ROOM", room.to_string())
        .env("DISK", &disk)
        .env("PAGELAB", binary())
        .env("FILE", &file)
        .env("OUT", folder.path())
        .output()
        .expect("util-linux is there");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(77) || stderr.contains("unshare") {
        println!("SKIPPED: nothing can be mounted here: {stderr}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("no room for more records"), "{stderr}");
    assert!(stderr.contains("all.jsonl"), "{stderr}");
    let first = fs::read_to_string(folder.path().join("first.jsonl")).unwrap();
    assert!(
        first.ends_with('\n') && first.lines().count() > 1,
        "{first}"
    );
    assert!(first.len() < bytes.len());
    assert_eq!(lines(&folder.path().join("all.jsonl")), lines(&whole));
}

#[test]
fn parts_of_several_machines_merge_to_the_bytes_of_one() {
    let Some(folder) = folder() else { return };
    let file = experiment(folder.path(), SMALL);
    let path = |name: &str| folder.path().join(name);
    assert_eq!(
        campaign(&file, &path("whole.jsonl"), &["--jobs", "2"]).status,
        Some(0)
    );
    for part in ["1", "2", "3"] {
        let partition = format!("hash:{part}/3");
        let output = path(&format!("{part}.jsonl"));
        let ran = campaign(&file, &output, &["--partition", &partition]);
        assert_eq!(ran.status, Some(0), "{ran:#?}");
    }
    let merge = |parts: &[&str], output: &str| {
        let names: Vec<String> = parts
            .iter()
            .map(|name| path(name).display().to_string())
            .collect();
        let output = path(output).display().to_string();
        let mut arguments = vec!["merge", "-o", &output];
        arguments.extend(names.iter().map(String::as_str));
        pagelab(&arguments)
    };
    assert_eq!(
        merge(&["3.jsonl", "1.jsonl", "2.jsonl"], "merged.jsonl").status,
        Some(0)
    );
    assert_eq!(merge(&["whole.jsonl"], "canonical.jsonl").status, Some(0));
    let bytes = |name: &str| fs::read(path(name)).unwrap();
    assert!(bytes("merged.jsonl") == bytes("canonical.jsonl"));

    let gap = merge(&["1.jsonl", "2.jsonl"], "gap.jsonl");
    assert_eq!(gap.status, Some(2));
    assert!(gap.stderr.contains("have no record"), "{gap:#?}");
    assert!(!path("gap.jsonl").exists());
    let twice = merge(&["1.jsonl", "1.jsonl", "2.jsonl", "3.jsonl"], "twice.jsonl");
    assert!(twice.stderr.contains("is in"), "{twice:#?}");

    // The page and the XML are of the records alone.
    let report = |records: &str, output: &str| {
        let (records, output) = (path(records), path(output));
        let (records, output) = (records.to_str().unwrap(), output.to_str().unwrap());
        pagelab(&["report", records, "--html", output])
    };
    assert_eq!(report("merged.jsonl", "merged.html").status, Some(0));
    assert_eq!(report("whole.jsonl", "whole.html").status, Some(0));
    assert!(bytes("merged.html") == bytes("whole.html"));
}

#[test]
fn a_scheduler_s_variables_name_the_part() {
    let Some(folder) = folder() else { return };
    let file = experiment(folder.path(), SMALL);
    let output = folder.path().join("part.jsonl");
    let ran = Command::new(binary())
        .args([
            "campaign",
            file.to_str().unwrap(),
            "-o",
            output.to_str().unwrap(),
        ])
        .args(["--partition", "auto"])
        .env("JOB_COMPLETION_INDEX", "4")
        .env("JOB_COMPLETIONS", "5")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(lines(&output)[0]["header"]["partition"], "slice:5/5");
    let ids: Vec<_> = records(&output)
        .iter()
        .map(|it| it["id"].as_u64())
        .collect();
    assert_eq!(ids, [Some(4), Some(9)]);
}

#[test]
fn each_record_repeats_and_one_can_be_looked_at() {
    let Some(folder) = folder() else { return };
    let file = experiment(folder.path(), SMALL);
    let output = folder.path().join("all.jsonl");
    assert_eq!(campaign(&file, &output, &[]).status, Some(0));
    let file = output.to_str().unwrap();
    let all = pagelab(&["replay", file]);
    assert_eq!(all.status, Some(0), "{all:#?}");
    assert!(all.stdout.starts_with("10 of 10 repeat"), "{all:#?}");
    let trace = folder.path().join("3.json");
    let one = pagelab(&[
        "replay",
        file,
        "3",
        "--inspect",
        "buddyinfo",
        "--trace",
        trace.to_str().unwrap(),
    ]);
    assert_eq!(one.status, Some(0), "{one:#?}");
    assert!(
        one.stdout.contains("Node 0, zone") && one.stdout.contains("3 repeats"),
        "{one:#?}"
    );
    let trace: serde_json::Value = serde_json::from_slice(&fs::read(&trace).unwrap()).unwrap();
    assert!(
        trace["traceEvents"]
            .as_array()
            .is_some_and(|events| !events.is_empty())
    );
    let none = pagelab(&["replay", file, "77"]);
    assert_eq!(none.status, Some(2));
    assert!(none.stderr.contains("from 0 to 9"), "{none:#?}");
    // A record that says otherwise does not pass.
    let text = fs::read_to_string(&output).unwrap();
    let hash = records(&output)[3]["trace_hash"]
        .as_str()
        .unwrap()
        .to_owned();
    fs::write(&output, text.replace(&hash, "0123456789abcdef")).unwrap();
    let changed = pagelab(&["replay", file, "3"]);
    assert_eq!(changed.status, Some(2));
    assert!(changed.stderr.contains("0123456789abcdef"), "{changed:#?}");
}

#[test]
fn a_file_of_another_campaign_is_not_written_to() {
    let Some(folder) = folder() else { return };
    let output = folder.path().join("all.jsonl");
    let file = experiment(folder.path(), SMALL);
    assert_eq!(
        campaign(&file, &output, &["--partition", "slice:1/10"]).status,
        Some(0)
    );
    let before = fs::read(&output).unwrap();
    let other = experiment(folder.path(), &SMALL.replace("small", "other"));
    let ran = campaign(&other, &output, &["--partition", "slice:1/10"]);
    assert_eq!(ran.status, Some(2));
    assert!(ran.stderr.contains("another campaign"), "{ran:#?}");
    assert!(fs::read(Path::new(&output)).unwrap() == before);
}
