//! `audit`: proves the invariants on the whole log.

use std::process::ExitCode;

use serde_json::Value;

use super::cell;
use crate::admin::{self, Question};
use crate::cli::Place;
use crate::output::{self, Format};

pub(super) fn run(place: &Place) -> anyhow::Result<ExitCode> {
    let config = place.load(Vec::new())?.config;
    let report = admin::ask(&config, &Question::Audit)?;
    match place.output {
        Format::Json => output::json(&report)?,
        Format::Table => print(&report),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a report that found nothing wrong.
pub(super) fn print(report: &Value) {
    let counts = [
        ("commands with a verdict", "commands"),
        ("commands not decided yet", "pending"),
        ("facts", "facts"),
        ("links", "links"),
        ("records that do not count", "unlinked"),
        ("events", "events"),
        ("people with a place now", "active"),
        ("people waiting now", "waiting"),
    ];
    let rows = counts.iter().map(|(what, field)| vec![(*what).to_owned(), cell(report, field)]);
    let refused = report["without_effect"].as_object();
    let refused = refused
        .into_iter()
        .flatten()
        .map(|(code, count)| vec![format!("without effect: {code}"), count.to_string()]);
    output::table(&["audit", "count"], rows.chain(refused));
    output::line("INV-1 to INV-9 hold, and every command up to the chain's end has one verdict");
    if let Some(expired) = report["expired"].as_u64().filter(|expired| *expired > 0) {
        output::line(&format!(
            "not checked: {expired} of these commands are not kept any more, so that each verdict \
             is for the right one is known of the others only"
        ));
    }
}
