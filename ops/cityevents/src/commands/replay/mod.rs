//! `replay`: tables made anew from the log, beside the live ones.

mod decisions;
mod diff;
mod facts;
mod pieces;
mod rebuild;

use std::process::ExitCode;

use cityevents_domain::ids::EventId;
use cityevents_kit::Config;
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::facts::FactsArguments;
use super::{cell, who};
use crate::admin::replay::ReplayQuestion;
use crate::admin::{self, Question};
use crate::cli::{FAILURE, Place};
use crate::output::{self, Format};

/// `replay`.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
pub struct ReplayArguments {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// Make these tables: a folder or a keyspace of their own, beside the live ones
    #[arg(long, value_name = "NAME", required = true)]
    pub into: Option<String>,
    /// Only what was decided until then, as 2026-07-14T09:30:00Z: tables of the past, to look at
    #[arg(long, value_name = "TIME")]
    pub to: Option<jiff::Timestamp>,
    /// Go on with tables that are there, after a stop or to bring them up to now
    #[arg(long)]
    pub resume: bool,
    /// At most so many records a second [default: as many as go]
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
    /// What else to do.
    #[command(subcommand)]
    pub action: Option<ReplayAction>,
}

/// What can be done with tables beside the live ones.
#[derive(Debug, Subcommand)]
pub enum ReplayAction {
    /// Which are the live ones, since when and why, and how far they have come
    Status {
        /// Others than the live ones
        name: Option<String>,
    },
    /// Compare them with the live ones; fails when something differs
    Diff {
        /// Which tables
        name: String,
    },
    /// Make them the live ones, once they say the same; `main` goes back to those of the beginning
    Switch {
        /// Which tables
        name: String,
        /// Although they are not compared, because the live ones are wrong
        #[arg(long, requires = "reason")]
        force: bool,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", requires = "force")]
        reason: Option<String>,
    },
    /// Throw tables away that are not the live ones
    Drop {
        /// Which tables
        name: String,
    },
    /// Decide the logged commands once more, with this program, and tell what it would have decided
    /// otherwise; fails when there is anything. Writes nothing
    Commands,
    /// Carry the facts into new topics, also with another number of partitions
    Facts(FactsArguments),
    /// What they say of an event
    Show {
        /// Which tables
        name: String,
        /// Which event
        #[arg(long)]
        event: EventId,
    },
}

pub(super) fn run(arguments: &ReplayArguments) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let format = arguments.place.output;
    match (&arguments.action, &arguments.into) {
        (Some(ReplayAction::Commands), _) => decisions::run(&config, format),
        (Some(ReplayAction::Facts(asked)), _) => facts::run(&config, asked, format),
        (Some(ReplayAction::Switch { name, reason, .. }), _) => {
            let (to, force, by) = (name.clone(), reason.clone(), who());
            let question = Question::Replay(ReplayQuestion::Switch { to, force, by });
            tell_switch(&admin::ask(&config, &question)?, format)
        }
        (Some(ReplayAction::Drop { name }), _) => {
            let question = Question::Replay(ReplayQuestion::Drop { name: name.clone(), by: who() });
            tell_drop(&admin::ask(&config, &question)?, format)
        }
        (Some(ReplayAction::Status { name }), _) => {
            let question = Question::Replay(ReplayQuestion::Status { name: name.clone() });
            tell_status(&admin::ask(&config, &question)?, format)
        }
        (Some(ReplayAction::Diff { name }), _) => diff::run(&config, name, format),
        (Some(ReplayAction::Show { name, event }), _) => {
            let (name, event) = (name.clone(), event.to_string());
            let question = Question::Replay(ReplayQuestion::Show { name, event });
            show(&admin::ask(&config, &question)?, format)
        }
        (None, Some(into)) => rebuild::run(&config, arguments, into),
        (None, None) => anyhow::bail!("say which tables: --into"),
    }
}

/// Asks what differs in each partition and prints it; fails when something does.
fn tell_differences<T: DeserializeOwned>(
    config: &Config,
    question: ReplayQuestion,
    format: Format,
    is_same: impl FnMut(&T) -> bool,
    print: impl FnOnce(&[T]),
) -> anyhow::Result<ExitCode> {
    let answer = admin::ask(config, &Question::Replay(question))?;
    let partitions: Vec<T> = serde_json::from_value(answer.clone())?;
    match format {
        Format::Json => output::json(&answer)?,
        Format::Table => print(&partitions),
    }
    Ok(if partitions.iter().all(is_same) { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

fn tell_drop(answer: &Value, format: Format) -> anyhow::Result<ExitCode> {
    match format {
        Format::Json => output::json(answer)?,
        _ => {
            let (tables, place) = (cell(answer, "tables"), cell(answer, "place"));
            output::line(&format!("the tables {tables} are dropped ({place})"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_status(answer: &Value, format: Format) -> anyhow::Result<ExitCode> {
    if format == Format::Json {
        output::json(answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let given = |field: &str, word: &str| {
        let text = answer[field].as_str().filter(|text| !text.is_empty());
        text.map(|text| format!(" {word} {text}")).unwrap_or_default()
    };
    let (since, by, reason) =
        (given("since", "since"), given("by", "by"), given("reason", "because:"));
    output::line(&format!(
        "the tables {} are the live ones{since}{by}{reason}",
        cell(answer, "live")
    ));
    let until = given("until", "made up to");
    output::line(&format!("{} are in {}{until}", cell(answer, "tables"), cell(answer, "place")));
    super::print_rows(&answer["partitions"], &["partition", "offset", "end"], format)?;
    Ok(ExitCode::SUCCESS)
}

fn tell_switch(answer: &Value, format: Format) -> anyhow::Result<ExitCode> {
    if format == Format::Json {
        output::json(answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let compared = answer["compared_rows"].as_u64();
    let compared = compared.map_or("without a comparison".to_owned(), |rows| {
        format!("which say the same in {rows} rows")
    });
    let [to, from, when] = ["to", "from", "takes_effect"].map(|field| cell(answer, field));
    output::line(&format!("the tables {to} are the live ones, after {from}, {compared}: {when}"));
    output::line(&format!("`cityevents replay switch {from}` goes back"));
    Ok(ExitCode::SUCCESS)
}

fn show(answer: &Value, format: Format) -> anyhow::Result<ExitCode> {
    if format == Format::Json {
        output::json(answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let until = answer["until"].as_str().unwrap_or("now");
    output::line(&format!(
        "event {} in the tables {}, which go up to {until}",
        cell(answer, "event"),
        cell(answer, "tables")
    ));
    let fields = [
        "status",
        "version",
        "title",
        "city",
        "category",
        "start_time",
        "end_time",
        "capacity",
        "updated_at",
        "active",
        "waiting",
        "checked_in",
    ];
    let row = |field: &&str| vec![(*field).to_owned(), cell(answer, field)];
    output::table(&["what", "is"], fields.iter().map(row));
    let fields = ["user", "status", "cause", "joined_at", "updated_at", "ticket"];
    super::print_rows(&answer["registrations"], &fields, format)?;
    Ok(ExitCode::SUCCESS)
}
