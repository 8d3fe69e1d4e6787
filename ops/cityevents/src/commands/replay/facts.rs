//! `replay facts`: facts carried into new topics, also with another number of partitions.

use std::process::ExitCode;
use std::time::Instant;

use cityevents_kit::Config;
use cityevents_processors::replay::Come;
use cityevents_processors::replay::carry::ComparedFacts;
use clap::{ArgGroup, Args};
use serde_json::json;

use super::pieces::{PIECE_MS, Pieces, State};
use super::tell_differences;
use crate::admin::replay::ReplayQuestion;
use crate::admin::{self, Asker, Question};
use crate::commands::cell;
use crate::output::{self, Format};

/// `replay facts`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["partitions", "resume", "diff", "switch"])))]
pub struct FactsArguments {
    /// Prefix of the new topics (`log.prefix` of whoever uses them)
    pub prefix: String,
    /// Make the topics, with so many partitions, and carry everything that is there
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub partitions: Option<u32>,
    /// Go on with topics that are there, after a stop or to bring them up to now
    #[arg(long)]
    pub resume: bool,
    /// Compare the state of every event; fails when something differs
    #[arg(long)]
    pub diff: bool,
    /// End the old topics and carry what is left: from then on commands are decided in the new ones only
    #[arg(long)]
    pub switch: bool,
    /// At most so many facts a second [default: as many as go]
    #[arg(long, value_name = "FACTS", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
}

/// Records that were looked at, and those that there are.
fn records(state: &State) -> (u64, u64) {
    let sum = |of: fn(&Come) -> u64| state.partitions.iter().map(of).sum();
    (sum(|come| come.offset), sum(|come| come.goal))
}

pub(super) fn run(
    config: &Config,
    asked: &FactsArguments,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let prefix = asked.prefix.clone();
    if asked.diff {
        return diff(config, prefix, format);
    }
    if asked.switch {
        return switch(config, prefix, format);
    }
    let begin = ReplayQuestion::FactsBegin { prefix, partitions: asked.partitions };
    carry(config, asked, begin, format)
}

fn carry(
    config: &Config,
    asked: &FactsArguments,
    begin: ReplayQuestion,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let begin = Question::Replay(begin);
    let asker = Asker::find(config, begin.schemas())?;
    let (prefix, rate) = (asked.prefix.clone(), asked.rate);
    let go = Question::Replay(ReplayQuestion::FactsGo { prefix, rate, for_ms: PIECE_MS });
    let started = Instant::now();
    let resume = format!("cityevents replay facts {} --resume", asked.prefix);
    let pieces = Pieces { begin, go, doing: "carrying facts", records, resume: &resume };
    let state = pieces.run(&asker)?;
    let seconds = started.elapsed().as_secs_f64();
    let (records, _) = records(&state);
    if format == Format::Json {
        let prefix = &asked.prefix;
        output::json(&json!({
            "prefix": prefix, "records": records, "seconds": seconds, "partitions": state.partitions,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |come: &Come| {
        let numbers = [u64::from(come.partition), come.offset, come.goal];
        numbers.map(|number| number.to_string()).to_vec()
    };
    output::table(&["old partition", "carried up to", "end"], state.partitions.iter().map(row));
    output::line(&format!(
        "the topics of {} have the facts of {records} records, in {seconds:.1} s",
        asked.prefix
    ));
    Ok(ExitCode::SUCCESS)
}

fn diff(config: &Config, prefix: String, format: Format) -> anyhow::Result<ExitCode> {
    let question = ReplayQuestion::FactsDiff { prefix };
    tell_differences(config, question, format, ComparedFacts::is_same, print)
}

fn print(compared: &[ComparedFacts]) {
    let row = |one: &ComparedFacts| {
        let numbers = [u64::from(one.partition), one.facts, one.events, one.differing];
        numbers.map(|number| number.to_string()).to_vec()
    };
    output::table(&["new partition", "facts", "events", "differing"], compared.iter().map(row));
    let none = || "none".to_owned();
    for difference in compared.iter().flat_map(|one| &one.differences) {
        output::line(&format!("event {}:", difference.event));
        output::line(&format!("  old  {}", difference.old.clone().unwrap_or_else(none)));
        output::line(&format!("  new  {}", difference.new.clone().unwrap_or_else(none)));
    }
    let sum = |of: fn(&ComparedFacts) -> u64| compared.iter().map(of).sum::<u64>();
    let (events, wrong) = (sum(|one| one.events), sum(|one| one.differing + one.missing));
    output::line(&match wrong {
        0 => format!("all {events} events have the same state"),
        _ => format!("{wrong} events have another state, or none"),
    });
}

fn switch(config: &Config, prefix: String, format: Format) -> anyhow::Result<ExitCode> {
    let question = ReplayQuestion::FactsSwitch { prefix };
    let answer = admin::ask(config, &Question::Replay(question))?;
    if format == Format::Json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let told = ["facts", "events", "commands", "prefix", "partitions"];
    let [facts, events, commands, prefix, partitions] = told.map(|field| cell(&answer, field));
    output::line(&format!(
        "{facts} facts of {events} events go on in {partitions} partitions, with {commands} commands that \
         came in between"
    ));
    output::line(&format!(
        "start every process with log.prefix = {prefix:?} and log.partitions = {partitions}, after \
         `cityevents replay --into NAME` and `cityevents replay switch NAME --force --reason TEXT` with \
         these settings"
    ));
    Ok(ExitCode::SUCCESS)
}
