//! Bad input: named with file, line and column, and with what is allowed.

use super::{campaign, experiment, folder};
use pagelab_tests::pagelab;

fn refused(text: &str) -> Option<String> {
    let folder = folder()?;
    let file = experiment(folder.path(), text);
    let output = folder.path().join("all.jsonl");
    let ran = campaign(&file, &output, &[]);
    assert_eq!(ran.status, Some(2), "{ran:#?}");
    assert!(!output.exists());
    Some(ran.stderr)
}

#[test]
fn unknown_keys_are_named_with_line_and_column() {
    let text = "title = 'x'\n[workload]\nbuiltin = 'none'\n[machine]\nmemry = '1G'\n";
    let Some(error) = refused(text) else { return };
    assert!(
        error.contains("experiment.toml:5:1: unknown field `memry`"),
        "{error}"
    );
    assert!(error.contains("`memory`"), "{error}");
}

#[test]
fn a_workload_that_fails_by_itself_is_not_tried() {
    let fault = "[[fault]]\nkind = 'failslab'\nnth = 1\n";
    let text = format!("title = 'x'\n[workload]\nprogram = ['./bin/exit_status', '3']\n{fault}");
    let Some(error) = refused(&text) else { return };
    assert!(error.contains("steady state is not met"), "{error}");
    assert!(error.contains("and not with status 0"), "{error}");
    let probe = "[[steady_state]]\nprobe = 'pgalloc_normal < 1'\n";
    let text = format!("title = 'x'\n[workload]\nbuiltin = 'buddy'\n{probe}{fault}");
    let error = refused(&text).unwrap();
    assert!(error.contains("steady state is not met"), "{error}");
    assert!(error.contains("probe pgalloc_normal < 1"), "{error}");
}

#[test]
fn nothing_to_try_is_no_pass() {
    let text = "title = 'x'\n[workload]\nbuiltin = 'none'\n[[fault]]\nkind = 'failslab'\ncomm = 'nobody'\nnth = '1..'\n";
    let Some(error) = refused(text) else { return };
    assert!(error.contains("there is nothing to try"), "{error}");
}

#[test]
fn what_is_no_record_file_is_named() {
    for command in ["report", "replay", "minimize"] {
        let mut arguments = vec![command, "/dev/null"];
        if command == "minimize" {
            arguments.push("0");
        }
        let ran = pagelab(&arguments);
        assert_eq!(ran.status, Some(2), "{ran:#?}");
        assert!(
            ran.stderr.contains("/dev/null:1: there is no header"),
            "{ran:#?}"
        );
    }
}
