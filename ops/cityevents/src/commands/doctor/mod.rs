//! `doctor`: whether an instance may be let loose on people, and what to do where it may not.
//!
//! It changes nothing: it makes no key, no topic, no table and sends no mail. Everything is told at
//! once, each row for itself, also while everything is away.

mod log;
mod machine;
mod mail;
mod row;
mod secrets;
mod settings;
mod stores;

use std::process::ExitCode;

use self::row::{Look, Row, Verdict, take};
use crate::cli::{Doctor, FAILURE, Usage};
use crate::output::{self, Format};

/// On a machine or a cluster that people come to.
const PRODUCTION: [Look; 9] = [
    Look {
        checks: &["public address", "proxies", "limits", "mail sender", "broker security"],
        take: settings::production,
    },
    Look { checks: &["signing keys", "instance secret"], take: secrets::production },
    Look { checks: &["log", "topics", "retention", "copies"], take: log::look },
    Look { checks: &["tables"], take: stores::tables },
    Look { checks: &["schema registry"], take: stores::registry },
    Look { checks: &["snapshots", "pictures"], take: stores::objects },
    Look { checks: &["mail server", "mail templates"], take: mail::production },
    Look { checks: &["disk", "operations listener"], take: machine::production },
    Look { checks: &["clock"], take: machine::clock },
];
/// On a laptop.
const LAPTOP: [Look; 5] = [
    Look { checks: &["signing keys", "instance secret"], take: secrets::laptop },
    Look { checks: &["log", "topics", "retention", "copies"], take: log::look },
    Look { checks: &["tables"], take: stores::tables },
    Look { checks: &["mail templates"], take: mail::laptop },
    Look { checks: &["disk"], take: machine::laptop },
];

pub(super) fn run(arguments: &Doctor) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let looks: &[Look] = if arguments.production { &PRODUCTION } else { &LAPTOP };
    check_accepted(looks, &arguments.accept)?;
    let spinner = output::spinner("looking");
    let mut rows = take(looks, &config);
    spinner.finish_and_clear();
    for row in &mut rows {
        if row.verdict != Verdict::Ok && arguments.accept.iter().any(|check| check == row.check) {
            row.verdict = Verdict::Accepted;
        }
    }
    match arguments.place.output {
        Format::Json => output::json(&rows)?,
        Format::Table => print(&rows),
    }
    let is_green = |row: &Row| matches!(row.verdict, Verdict::Ok | Verdict::Accepted);
    Ok(if rows.iter().all(is_green) { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

fn check_accepted(looks: &[Look], accepted: &[String]) -> Result<(), Usage> {
    let known: Vec<_> = looks.iter().flat_map(|look| look.checks).copied().collect();
    match accepted.iter().find(|check| !known.contains(&check.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            Err(Usage(format!("--accept {unknown:?} is none of: {}", known.join(", "))))
        }
    }
}

fn print(rows: &[Row]) {
    let cells = |row: &Row| {
        let Row { check, verdict, found, todo } = row;
        vec![(*check).to_owned(), verdict.as_str().to_owned(), found.clone(), todo.clone()]
    };
    output::table(&["check", "verdict", "found", "what to do"], rows.iter().map(cells));
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let (fails, warns) = (count(Verdict::Fail), count(Verdict::Warn));
    output::line(&match (fails, warns) {
        (0, 0) => "all green".to_owned(),
        _ => format!("{fails} to mend, {warns} to look at"),
    });
}
