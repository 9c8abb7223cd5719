//! No program is forgotten: each C file is named in a test.

use std::{fs, path::Path};

/// Names of the files of a folder of this package that have this extension, with their contents.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| {
            let name = path.file_stem().expect("it has a name").to_string_lossy();
            (
                name.into_owned(),
                fs::read_to_string(&path).expect("it can be read"),
            )
        })
        .collect()
}

#[test]
fn each_program_has_a_test() {
    let tests = files("tests/programs", "rs");
    let programs = files("programs", "c");
    assert!(!programs.is_empty());
    for (name, _) in programs {
        let named = format!("\"./{name}\"");
        assert!(
            tests.iter().any(|(_, text)| text.contains(&named)),
            "no test runs programs/{name}.c"
        );
    }
}
