//! Bad input: an error that names the value and the remedy, exit status 2, nothing left behind.

use pagelab_tests::{kvm, pagelab};
use std::fs;

/// Status 2, nothing on standard output, and all of these words on standard error.
fn refused(arguments: &[&str], words: &[&str]) {
    let ran = pagelab(arguments);
    assert_eq!(ran.status, Some(2), "{arguments:?}: {ran:#?}");
    assert_eq!(ran.stdout, "", "{arguments:?}");
    for word in words {
        assert!(
            ran.stderr.contains(word),
            "{arguments:?} lacks '{word}': {}",
            ran.stderr
        );
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn memory() {
    if !kvm() {
        return;
    }
    refused(&["run", "--memory", "0"], &["0", "16M"]);
    refused(&["run", "--memory", "20000001"], &["20000001", "page size"]);
    refused(&["run", "--memory", "15M"], &["15M", "16M"]);
    refused(&["run", "--memory", "65G"], &["65G", "64G"]);
    refused(&["run", "--memory", "lots"], &["'lots'", "512M"]);
    refused(&["run", "--memory", "99999999999T"], &["99999999999T"]);
}

#[test]
fn names() {
    refused(
        &["run", "--zones", "clasic"],
        &["'clasic'", "did you mean 'classic'?"],
    );
    refused(
        &["run", "--workload", "defualt"],
        &["'defualt'", "did you mean 'default'?"],
    );
    refused(
        &["run", "--pressure", "squeze"],
        &["'squeze'", "did you mean 'squeeze'?"],
    );
    refused(
        &["run", "--fault", "failslb,nth=1"],
        &["'failslb'", "did you mean 'failslab'?"],
    );
    refused(
        &["run", "--inspect", "buddyinf"],
        &["'buddyinf'", "did you mean 'buddyinfo'?"],
    );
    refused(
        &["run", "--stop-at", "page_aloc"],
        &["'page_aloc'", "did you mean 'page_alloc'?"],
    );
    refused(&["run", "--slab-debug", "QX"], &["'QX'", "red zones"]);
    refused(&["rum"], &["rum"]);
}

#[test]
fn zone_limits() {
    refused(
        &["run", "--zone-limits", "896M,16M"],
        &["896M", "16M", "out of order"],
    );
    refused(&["run", "--zone-limits", "16M"], &["'16M'", "16M,896M"]);
    refused(&["run", "--zone-limits", "5M,896M"], &["5M", "8M"]);
}

#[test]
fn kernels() {
    if !kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = folder.path().join("none").to_str().unwrap().to_owned();
    refused(&["run", "--kernel", &missing], &[&missing]);
    refused(&["run", "--kernel", &file("empty", b"")], &["empty"]);
    refused(
        &["run", "--kernel", &file("text", &[b'x'; 4096])],
        &["text", "ELF"],
    );
    let own = fs::read(pagelab_tests::binary()).unwrap();
    refused(
        &["run", "--kernel", &file("truncated", &own[..100])],
        &["truncated"],
    );
    // A whole ELF file, but no kernel.
    refused(&["run", "--kernel", &file("own", &own)], &["PVH"]);
    let mut narrow = own[..4096].to_vec();
    narrow[4] = 1;
    refused(&["run", "--kernel", &file("narrow", &narrow)], &["32-bit"]);
}

#[test]
fn images() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = folder.path().join("none").to_str().unwrap().to_owned();
    refused(&["inspect", &missing], &[&missing]);
    refused(
        &["inspect", &file("empty", b""), "--cr3", "0x1000"],
        &["empty"],
    );
    refused(&["inspect", &file("raw", &[0; 8192])], &["--cr3"]);
    refused(
        &["inspect", &file("raw", &[0; 8192]), "--cr3", "0x5000"],
        &["0x5000", "outside"],
    );
}

#[test]
fn programs() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let run = |program: &str, words: &[&str]| refused(&["run", "--", program], words);
    let missing = folder.path().join("none").to_str().unwrap().to_owned();
    run(&missing, &[&missing, "check the path"]);
    run("", &["check the path"]);
    run(folder.path().to_str().unwrap(), &["regular file"]);
    run(&file("empty", b""), &["empty", "x86-64"]);
    run(&file("script", b"#!/bin/sh\n"), &["script", "--file"]);
    // This test's own binary is dynamic.
    let own = fs::read(pagelab_tests::binary()).unwrap();
    run(
        &file("dynamic", &own),
        &["dynamic", "interpreter", "-static"],
    );
    run(&file("cut", &own[..100]), &["cut", "truncated"]);
    let changed = |name: &str, at: usize, value: u8| {
        let mut bytes = own[..own.len().min(1 << 16)].to_vec();
        bytes[at] = value;
        file(name, &bytes)
    };
    run(&changed("narrow", 4, 1), &["32-bit", "x86-64"]);
    run(&changed("arm", 18, 183), &["AArch64", "x86-64"]);
    run(&changed("object", 16, 1), &["not linked"]);

    refused(
        &["run", "--env", "A=B", "--workload", "none"],
        &["--env", "--"],
    );
    refused(&["run", "--env", "A", "--", "x"], &["'A'", "NAME=VALUE"]);
    refused(
        &["run", "--file", "a:b", "--", "x"],
        &["'b'", "absolute", "/data/input"],
    );
    refused(
        &["run", "--file", "a:/dev/null", "--", "x"],
        &["/dev/null", "the guest itself"],
    );
    refused(&["run", "--workload", "none", "--", "x"], &["--workload"]);
}

#[test]
fn help_and_version_are_no_errors() {
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["run", "--help"],
        &["inspect", "--help"],
    ] {
        let ran = pagelab(arguments);
        assert_eq!(ran.status, Some(0), "{ran:#?}");
        assert!(
            ran.stdout.contains("pagelab") && ran.stderr.is_empty(),
            "{ran:#?}"
        );
    }
}
