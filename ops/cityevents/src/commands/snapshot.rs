//! `snapshot`: list, take, verify.

use std::process::ExitCode;

use super::print_rows;
use crate::admin::{self, Question};
use crate::cli::{FAILURE, Snapshot, SnapshotAction};

pub(super) fn run(arguments: &Snapshot) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let format = arguments.place.output;
    match arguments.action {
        SnapshotAction::List => {
            let answer = admin::ask(&config, &Question::Snapshots)?;
            print_rows(&answer, &["partition", "fact_offset", "bytes", "name"], format)?;
        }
        SnapshotAction::Take => {
            let answer = admin::ask(&config, &Question::TakeSnapshots)?;
            print_rows(&answer, &["partition", "name"], format)?;
        }
        SnapshotAction::Verify => {
            let answer = admin::ask(&config, &Question::VerifySnapshots)?;
            print_rows(&answer, &["name", "verdict"], format)?;
            let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
            if rows.iter().any(|row| row["good"] != true) {
                return Ok(ExitCode::from(FAILURE));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
