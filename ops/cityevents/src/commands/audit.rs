//! `audit`: proves the invariants on the whole log, or that nobody's personal data is in it.

use std::process::ExitCode;

use serde_json::Value;

use super::cell;
use crate::admin::{self, AskedText, Question};
use crate::cli::Audit;
use crate::output::{self, Format};

pub(super) fn run(arguments: Audit) -> anyhow::Result<ExitCode> {
    let Audit { place, personal_data, look_for } = arguments;
    let config = place.load(Vec::new())?.config;
    let look_for = look_for.into_iter().map(AskedText).collect();
    let (question, print): (_, fn(&Value)) = match personal_data {
        true => (Question::PersonalData { look_for }, print_nobody),
        false => (Question::Audit, print),
    };
    let report = admin::ask(&config, &question)?;
    match place.output {
        Format::Json => output::json(&report)?,
        Format::Table => print(&report),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a report that found nobody.
fn print_nobody(report: &Value) {
    let fields = ["topic", "records", "texts", "sealed", "undecodable", "published"];
    let headings = ["topic", "records", "texts", "sealed", "none of ours", "in what is published"];
    let topics = report["topics"].as_array().into_iter().flatten();
    output::table(&headings, topics.map(|row| fields.map(|field| cell(row, field)).into()));
    let count = |field: &str| cell(report, field);
    output::line(&format!(
        "no record and none of {} snapshots has anybody's personal data: looked for {} addresses and \
         {} names of accounts, and {} given texts",
        count("snapshots"),
        count("addresses"),
        count("names"),
        count("given"),
    ));
    if report["names_too_common"].as_u64().is_some_and(|names| names > 0) {
        output::line(&format!(
            "not looked for: {} names of one word in small letters, or of two letters",
            count("names_too_common")
        ));
    }
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
    if let Some(readable) = report["readable"].as_u64().filter(|readable| *readable > 0) {
        output::line(&format!(
            "{readable} commands that nobody could read when they came can be read now: `cityevents dlq \
             list` has those that were not redriven"
        ));
    }
    if let Some(expired) = report["expired"].as_u64().filter(|expired| *expired > 0) {
        output::line(&format!(
            "not checked: {expired} of these commands are not kept any more, so that each verdict \
             is for the right one is known of the others only"
        ));
    }
}
