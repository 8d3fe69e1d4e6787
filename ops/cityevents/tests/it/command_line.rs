//! Runs the binary and reads what it says.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_cityevents");

/// Settings of processes that answer: on a machine that does other things as well, a decision or an end
/// can take longer than people are asked to wait.
pub const PATIENT: [(&str, &str); 3] = [
    ("CITYEVENTS__INGEST__WAIT", "20s"),
    ("CITYEVENTS__INGEST__WAIT_MAX", "20s"),
    ("CITYEVENTS__OPS__SHUTDOWN_BUDGET", "50s"),
];

/// What a command line came to.
#[derive(Debug)]
pub struct Said {
    /// Exit status.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// The output, of a command that succeeded.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// The output as JSON, of a command that succeeded.
    #[track_caller]
    pub fn json(self) -> Value {
        let out = self.good();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Failed with this status, and said all of these.
    #[track_caller]
    pub fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in {:?}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }
}

/// The binary, with nothing of the caller's surroundings that changes what it does.
pub fn command() -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CITYEVENTS__")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command line to its end.
pub fn run(arguments: &[&str]) -> Said {
    said(command().args(arguments).output().unwrap())
}

/// Runs a command line about a data folder.
pub fn run_on(data: &Path, arguments: &[&str]) -> Said {
    said(command().args(arguments).arg("--data").arg(data).output().unwrap())
}

/// What a process that ended has said.
pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
