//! Who may open a data folder.

use std::fs;

use cityevents_runtime::log::LogErrorKind;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use tempfile::TempDir;

use super::{KEPT, open, topic};

fn refusal(folder: &TempDir) -> (LogErrorKind, String) {
    let refused = LocalLog::open(folder.path(), LocalOptions::default());
    let error = refused.err().expect("the folder was opened");
    (error.kind(), error.to_string())
}

#[test]
fn a_folder_in_use_is_refused_with_its_path_and_the_holders_process() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    let (kind, message) = refusal(&folder);
    assert_eq!(kind, LogErrorKind::InUse);
    assert!(message.contains(&std::process::id().to_string()), "{message}");
    assert!(message.contains(folder.path().to_str().unwrap()), "{message}");
    drop(log);
    open(folder.path());
}

#[test]
fn a_folder_is_in_use_as_long_as_anything_of_the_log_is() {
    let folder = TempDir::new().unwrap();
    let log = open(folder.path());
    topic(&log, "facts", 1, KEPT);
    let producer = cityevents_runtime::log::Log::producer(&*log, "still here").unwrap();
    drop(log);
    assert_eq!(refusal(&folder).0, LogErrorKind::InUse);
    drop(producer);
    open(folder.path());
}

#[test]
fn a_folder_of_another_version_is_refused_with_both_versions() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    fs::write(folder.path().join("format"), "cityevents-log 7\n").unwrap();
    let (kind, message) = refusal(&folder);
    assert_eq!(kind, LogErrorKind::Configuration);
    assert!(message.contains("version 7"), "{message}");
    assert!(message.contains("version 1"), "{message}");
}

#[test]
fn a_folder_that_does_not_tell_its_version_is_damaged() {
    for text in [None, Some(""), Some("something else")] {
        let folder = TempDir::new().unwrap();
        drop(open(folder.path()));
        let marker = folder.path().join("format");
        match text {
            None => fs::remove_file(marker).unwrap(),
            Some(text) => fs::write(marker, text).unwrap(),
        }
        assert_eq!(refusal(&folder).0, LogErrorKind::Corrupt, "{text:?}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = LocalLog::open(file.join("log"), LocalOptions::default());
    assert_eq!(refused.err().map(|error| error.kind()), Some(LogErrorKind::Unavailable));
}
