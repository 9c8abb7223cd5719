//! What `pagelab run -- PROGRAM` says and leaves behind.

use super::{Build, SMALL, guest, programs};
use pagelab_tests::{binary, pagelab};
use std::process::{Command, Output};

fn human(flags: &[&str], command: &[&str]) -> Option<Output> {
    let folder = programs(Build::Glibc)?;
    let output = Command::new(binary())
        .arg("run")
        .args(SMALL)
        .args(flags)
        .arg("--")
        .args(command)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .output();
    Some(output.expect("the binary under test can be started"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_outputs_are_the_programs_and_a_line_follows() {
    let Some(ran) = human(&[], &["./hello"]) else {
        return;
    };
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(text(&ran.stdout), "hello, world\n42 words  3.14\n");
    let stderr = text(&ran.stderr);
    let rest = stderr.strip_prefix("hello, error\n").unwrap();
    assert!(
        rest.starts_with("pagelab: ./hello exited with status 0; "),
        "{rest}"
    );
    assert_eq!(rest.lines().count(), 1, "{rest}");
}

#[test]
fn the_exit_status_is_that_of_a_shell() {
    for (command, status) in [
        (&["./exit_status", "77"][..], 77),
        (&["./killed", "segv"], 128 + 11),
        (&["./killed", "kill"], 128 + 9),
    ] {
        let Some(ran) = human(&[], command) else {
            return;
        };
        assert_eq!(ran.status.code(), Some(status), "{command:?}: {ran:?}");
    }
}

#[test]
fn variables_are_the_default_and_those_that_were_asked_for() {
    let flags = ["--env", "TERM=vt100", "--env", "A=b c"];
    let Some(ran) = human(&flags, &["./arguments"]) else {
        return;
    };
    let stdout = text(&ran.stdout);
    let env: Vec<&str> = stdout
        .lines()
        .filter(|line| line.starts_with("env"))
        .collect();
    assert_eq!(
        env,
        [
            "env <HOME=/>",
            "env <PATH=/bin:/usr/bin>",
            "env <TERM=vt100>",
            "env <A=b c>"
        ]
    );
}

#[test]
fn the_report_follows_its_schema_and_is_the_same_twice() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let run = || guest(folder, &SMALL, &["./exit_status", "5"]);
    let mut report = run();
    let schema = pagelab(&["schema"]).json();
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let errors: Vec<_> = validator
        .iter_errors(&report)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let program = &report["program"];
    assert_eq!(program["status"], 5);
    assert_eq!(program["signal"], serde_json::Value::Null);
    assert_eq!(program["stdout"], "exit handler\n");
    assert_eq!(program["argv"][1], "5");
    let audits = report["audits"].as_array().unwrap();
    for (moment, name) in [("end", "nothing-left"), ("event", "user-pages-in-areas")] {
        let fits = |audit: &&serde_json::Value| {
            audit["name"] == name && audit["moment"].as_str().unwrap().starts_with(moment)
        };
        assert!(
            audits.iter().any(|audit| fits(&audit)),
            "{name} at {moment}"
        );
    }
    let mut again = run();
    for report in [&mut report, &mut again] {
        report.as_object_mut().unwrap().remove("host").unwrap();
    }
    assert_eq!(report, again);
}

#[test]
fn a_stopped_program_can_be_looked_at() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let image = tempfile::tempdir().unwrap();
    let core = image.path().join("vm.core");
    let core = core.to_str().unwrap();
    let mut flags = SMALL.to_vec();
    flags.extend([
        "--stop-at",
        "syscall,nth=5",
        "--inspect",
        "maps=1,smaps,pagemap,rmap",
        "--save",
        core,
    ]);
    let live = guest(folder, &flags, &["./hello"]);
    assert_eq!(live["verdict"], "held", "{}", live["reasons"]);
    let views = live["views"].as_array().unwrap();
    let maps = views[0]["text"].as_str().unwrap();
    assert!(maps.lines().any(|line| line.ends_with("[stack]")), "{maps}");
    assert!(maps.lines().any(|line| line.contains(" r-xp ")), "{maps}");
    let saved = pagelab(&[
        "inspect",
        core,
        "--inspect",
        "maps=1,smaps,pagemap,rmap",
        "--format",
        "json",
    ]);
    assert_eq!(saved.status, Some(0), "{saved:#?}");
    assert_eq!(saved.json()["views"], live["views"]);
}
