//! Programs whose files are on a disk.

use super::{Build, SMALL, alike_in, alike_on, guest, programs};
use pagelab_tests::binary;
use serde_json::Value;
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

/// A directory to make a disk of.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("of-a-test"), "").unwrap();
    let content: Vec<u8> = (0..16).flat_map(|page| [b'a' + page; 4096]).collect();
    fs::write(directory.path().join("content"), content).unwrap();
    directory
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn files_are_what_they_are_on_linux() {
    for build in [Build::Glibc, Build::Musl] {
        if let Some(folder) = programs(build) {
            // The program makes its own.
            let empty = tempfile::tempdir().unwrap();
            fs::write(empty.path().join("of-a-test"), "").unwrap();
            alike_in(folder, &["--disk", path(empty.path())], &["./disk"]);
        }
    }
}

/// The report of a program on a machine with a disk, whose audits all hold.
fn run(options: &[&str], command: &[&str]) -> Option<Value> {
    let folder = programs(Build::Glibc)?;
    let report = guest(folder, &[&SMALL, options].concat(), command);
    assert_eq!(report["verdict"], "held", "{options:?}: {report:#}");
    Some(report)
}

fn stdout(report: &Value) -> &str {
    report["program"]["stdout"].as_str().unwrap()
}

#[test]
fn what_a_program_leaves_on_the_disk_comes_back() {
    let directory = directory();
    let out = directory.path().join("out");
    let options = ["--disk", path(directory.path()), "--disk-out", path(&out)];
    let Some(report) = run(&options, &["./disk_errors"]) else {
        return;
    };
    assert!(stdout(&report).contains("fsync 0\n"), "{report:#}");
    let file: Vec<u8> = (0..16).flat_map(|page| [b'a' + page; 4096]).collect();
    assert_eq!(fs::read(out.join("file")).unwrap(), file);
    assert_eq!(fs::read(out.join("content")).unwrap(), file);
}

#[test]
fn a_disk_image_stays_sound() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let Some(mke2fs) = tool("mke2fs") else { return };
    let made = Command::new(mke2fs)
        .args(["-q", "-F", "-t", "ext2", "-b", "4096"])
        .arg(&image)
        .arg("16M")
        .status()
        .unwrap();
    assert!(made.success());
    let Some(report) = run(&["--disk", path(&image)], &["./disk_errors"]) else {
        return;
    };
    assert!(stdout(&report).contains("right 16\n"), "{report:#}");
    let Some(e2fsck) = tool("e2fsck") else { return };
    let checked = Command::new(e2fsck).args(["-f", "-n"]).arg(&image).output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

/// A program of e2fsprogs, if it is installed.
fn tool(name: &str) -> Option<std::path::PathBuf> {
    ["/usr/sbin", "/sbin", "/usr/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
}

#[test]
fn an_error_of_writing_reaches_each_descriptor_once() {
    let directory = directory();
    let disk = ["--disk", path(directory.path())];
    let fault = ["--fault", "file_io,rw=write,nth=3"];
    let Some(report) = run(&[&disk[..], &fault].concat(), &["./disk_errors"]) else {
        return;
    };
    let expected =
        "write 65536\nfsync EIO\nfsync 0\nsecond EIO\nsecond 0\nthird 0\nread 65536\nright 16\n";
    assert_eq!(stdout(&report), expected, "{report:#}");
    let written = report.pointer("/disk/guest/write_errors").unwrap();
    assert_eq!(written, 1, "{report:#}");
}

#[test]
fn a_slow_disk_is_waited_for() {
    let directory = directory();
    let disk = ["--disk", path(directory.path())];
    let run = |fault: &[&str]| run(&[&disk[..], fault].concat(), &["./disk_errors"]);
    let Some(fast) = run(&[]) else { return };
    let slow = run(&["--fault", "file_io,probability=30,delay=200"]).unwrap();
    assert_eq!(stdout(&slow), stdout(&fast), "{slow:#}");
    let delayed = slow.pointer("/disk/device/delayed").unwrap().as_u64();
    assert!(delayed > Some(3), "{slow:#}");
}

#[test]
fn a_page_that_cannot_be_read_is_eio_and_sigbus_and_never_wrong() {
    let directory = directory();
    let disk = ["--disk", path(directory.path())];
    for fault in ["file_io,rw=read,probability=60", "file_io,rw=read,nth=12"] {
        let options = [&disk[..], &["--fault", fault]].concat();
        let Some(folder) = programs(Build::Glibc) else {
            return;
        };
        let report = guest(
            folder,
            &[&SMALL[..], &options].concat(),
            &["./disk_errors", "read"],
        );
        // If not even the names could be read, nothing was started.
        let Some(text) = report["program"]["stdout"]
            .as_str()
            .filter(|text| !text.is_empty())
        else {
            assert!(
                report["console"].as_str().unwrap().contains("I/O error"),
                "{report:#}"
            );
            continue;
        };
        assert_eq!(report["verdict"], "held", "{report:#}");
        let numbers: Vec<u64> = text
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        assert_eq!(numbers[0] + numbers[1], 16, "{text}");
        assert_eq!(numbers[2] + numbers[3], 16, "{text}");
    }
}

#[test]
fn a_disk_that_cannot_be_used_is_named() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    fs::write(&image, vec![0; 1 << 20]).unwrap();
    let report = guest(
        folder,
        &[&SMALL[..], &["--disk", path(&image)]].concat(),
        &["./disk_errors"],
    );
    let console = report["console"].as_str().unwrap();
    assert!(
        console.contains("there is no ext2 file system"),
        "{report:#}"
    );
    let run = Command::new(binary())
        .args(["run", "--disk", "/no/such/disk", "--", "./disk_errors"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
    let text = String::from_utf8_lossy(&run.stderr);
    assert!(text.contains("/no/such/disk"), "{text}");
}

#[test]
fn a_file_larger_than_the_memory_is_what_it_is_on_linux() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let empty = tempfile::tempdir().unwrap();
    fs::write(empty.path().join("of-a-test"), "").unwrap();
    let options = ["--memory", "16M", "--disk", path(empty.path())];
    let report = alike_on(&options, folder, &["./big_files"]);
    // Most of its thousand pages have been dropped at each of the six times that it went through them.
    let device = |key: &str| report["disk"]["device"][key].as_u64().unwrap();
    assert!(device("bytes_read") > 3000 << 12, "{}", report["disk"]);
    assert!(device("writes") > 1000, "{}", report["disk"]);
}

#[test]
fn a_full_disk_tells_who_writes_and_loses_nothing() {
    for build in [Build::Glibc, Build::Musl] {
        let Some(folder) = programs(build) else {
            return;
        };
        let flags = [&SMALL[..], &["--disk", "2M"]].concat();
        let report = guest(folder, &flags, &["./full_disk"]);
        assert_eq!(report["verdict"], "held", "{report:#}");
        let expected = "hole: 0\nfull: ENOSPC\nmany: 1\nagain: ENOSPC\nsize: 1\n\
            over what is there: 1\nread: 0\nSIGBUS: adrerr 1, right 1\n\
            where there is room: 2\nnew name: 1\nmsync: 0\nfsync: 0\nright: 1\nshorter: 0\n\
            stored: 7\nwrite: 16384\nfsync: 0\n";
        assert_eq!(stdout(&report), expected, "{report:#}");
    }
}
