//! `replay --into`: tables made anew, piece by piece.

use std::process::ExitCode;
use std::time::Instant;

use cityevents_kit::Config;
use cityevents_processors::replay::Come;
use serde_json::json;

use super::ReplayArguments;
use super::pieces::{PIECE_MS, Pieces, State};
use crate::admin::replay::ReplayQuestion;
use crate::admin::{Asker, Question};
use crate::instance::TablesName;
use crate::output::{self, Format};

/// Records done in this run, and those to be done in it.
fn records(state: &State) -> (u64, u64) {
    let done = |come: &Come| come.offset.saturating_sub(come.began);
    // What lies behind a moment of the past is never done.
    let goal = |come: &Come| {
        if come.is_done { done(come) } else { come.goal.saturating_sub(come.began) }
    };
    (state.partitions.iter().map(done).sum(), state.partitions.iter().map(goal).sum())
}

pub(super) fn run(
    config: &Config,
    arguments: &ReplayArguments,
    into: &str,
) -> anyhow::Result<ExitCode> {
    into.parse::<TablesName>()
        .map_err(|reason| crate::cli::Usage(format!("--into {into}: {reason}")))?;
    let until_ms = arguments.to.map(jiff::Timestamp::as_millisecond);
    let begin = ReplayQuestion::Begin { into: into.to_owned(), until_ms, resume: arguments.resume };
    let begin = Question::Replay(begin);
    let asker = Asker::find(config, begin.schemas())?;
    // A running instance has other work.
    let threads = match &asker {
        Asker::Running(_) => 1,
        Asker::Here(_) => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let go = Question::Replay(ReplayQuestion::Go {
        into: into.to_owned(),
        rate: arguments.rate,
        for_ms: PIECE_MS,
        threads,
    });
    let started = Instant::now();
    let resume = format!("cityevents replay --into {into} --resume");
    let pieces = Pieces { begin, go, doing: "replaying", records, resume: &resume };
    let state = pieces.run(&asker)?;
    let seconds = started.elapsed().as_secs_f64();
    tell(arguments, into, &state, seconds)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(
    arguments: &ReplayArguments,
    into: &str,
    state: &State,
    seconds: f64,
) -> anyhow::Result<()> {
    let (records, _) = records(state);
    if arguments.place.output == Format::Json {
        return output::json(&json!({
            "into": into,
            "until": arguments.to.map(|to| to.to_string()),
            "records": records,
            "seconds": seconds,
            "partitions": state.partitions,
        }));
    }
    let row = |come: &Come| {
        let numbers = [come.began, come.offset, come.goal].map(|number| number.to_string());
        [&[come.topic.clone(), come.partition.to_string()][..], &numbers[..]].concat()
    };
    let headings = ["topic", "partition", "began at", "rows up to", "end"];
    output::table(&headings, state.partitions.iter().map(row));
    let rate = records as f64 / seconds.max(0.001);
    output::line(&format!(
        "the tables {into} have {records} records more, in {seconds:.1} s ({rate:.0} a second)"
    ));
    Ok(())
}
