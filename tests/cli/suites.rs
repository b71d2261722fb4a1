//! The test suites of docs/staging, with Twilio's SDKs, as a team runs them: they start the worlds themselves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::home::{Home, eventually, without_settings};
use crate::sdks::{NODE, PYTHON, node_modules, python};

/// The files, in a folder in which the runners may leave theirs.
fn copied(home: &Home) -> PathBuf {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/staging");
    let folder = home.data_dir().with_file_name("suite");
    fs::create_dir(&folder).expect("a folder");
    for file in fs::read_dir(files).expect("a folder").map(|file| file.expect("a file")) {
        fs::copy(file.path(), folder.join(file.file_name())).expect("a copy");
    }
    folder
}

/// Fails unless all four stories are told well, and the worlds end with their suite.
#[track_caller]
fn assert_told(home: &Home, command: &mut Command) {
    without_settings(command);
    let command = command.env("NUMBERBANK", env!("CARGO_BIN_EXE_numberbank"));
    let command = command.env("NUMBERBANK_DATA_DIR", home.data_dir());
    let output = command.env_remove("TWILIO_EDGE").env_remove("TWILIO_REGION").output().expect("it runs");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).join("\n");
    assert!(output.status.success() && said.contains("4 passed"), "{said}");
    eventually("the worlds end", || home.postgres_of_worlds().is_none());
}

#[test]
fn the_suite_of_pytest_tells_its_four_stories() {
    let Some(python) = python(PYTHON) else { return };
    let home = Home::new();
    let folder = copied(&home);
    assert_told(&home, Command::new(python).args(["-m", "pytest", "-n", "2"]).current_dir(folder));
}

#[test]
fn the_suite_of_jest_tells_its_four_stories() {
    let Some(modules) = node_modules(NODE) else { return };
    let home = Home::new();
    let folder = copied(&home);
    symlink(modules, folder.join("node_modules")).expect("a link");
    assert_told(&home, Command::new("node_modules/.bin/jest").args(["--maxWorkers", "2"]).current_dir(folder));
}
