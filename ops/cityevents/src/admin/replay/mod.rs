//! Tables made anew from the log, beside the live ones: as answers.
//!
//! A replay goes on a piece at a time, each piece a question of its own: so whoever asks sees how far
//! it is, ends it by asking no more, and a running instance never works for somebody who is gone.

mod begin;
mod diff;
mod drop;
mod facts;
mod show;
mod status;
mod switch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use cityevents_domain::ids::EventId;
use cityevents_processors::replay::carry::Carry;
use cityevents_processors::replay::{Come, Replay, commands};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, Progress};
use crate::instance::TablesName;

/// What can be asked about tables beside the live ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ReplayQuestion {
    /// Makes the tables, or finds them again, and tells how much there is to do.
    Begin {
        /// Their name.
        into: String,
        /// Only what was decided until then, in milliseconds since 1970.
        until_ms: Option<i64>,
        /// They are there already.
        resume: bool,
    },
    /// Goes on for a while.
    Go {
        /// Which tables.
        into: String,
        /// At most so many records a second.
        rate: Option<u32>,
        /// About so long.
        for_ms: u64,
        /// On so many threads.
        threads: usize,
    },
    /// Whether they say what the live ones say.
    Diff {
        /// Which tables.
        name: String,
    },
    /// Makes them the live ones.
    Switch {
        /// Which tables.
        to: String,
        /// Why, although they are not what the live ones are.
        force: Option<String>,
        /// Who asks.
        by: String,
    },
    /// Throws them away.
    Drop {
        /// Which tables.
        name: String,
        /// Who asks.
        by: String,
    },
    /// Which are live, and how far they have come.
    Status {
        /// Others than the live ones.
        name: Option<String>,
    },
    /// What this program would have decided.
    Commands,
    /// Makes new topics for facts, or finds them again, and tells how much there is to do.
    FactsBegin {
        /// Their prefix.
        prefix: String,
        /// How many partitions they get; `None`: they are there already.
        partitions: Option<u32>,
    },
    /// Goes on for a while.
    FactsGo {
        /// Which topics.
        prefix: String,
        /// At most so many facts a second.
        rate: Option<u32>,
        /// About so long.
        for_ms: u64,
    },
    /// Whether each event has the same state there.
    FactsDiff {
        /// Which topics.
        prefix: String,
    },
    /// Ends the old topics: life goes on in the new ones.
    FactsSwitch {
        /// Which topics.
        prefix: String,
    },
    /// What they say of an event.
    Show {
        /// Which tables.
        name: String,
        /// Which event.
        event: String,
    },
}

/// Replays that are under way in this process: into tables by name, into topics by prefix.
#[derive(Default)]
pub struct Replays(Mutex<BTreeMap<TablesName, Arc<Replay>>>, Mutex<BTreeMap<String, Arc<Carry>>>);

/// Answers.
pub(super) fn replay(
    context: &Context,
    question: &ReplayQuestion,
    progress: Progress<'_>,
) -> anyhow::Result<Value> {
    match question {
        ReplayQuestion::Begin { into, until_ms, resume } => {
            let replay = begin::begin(context, &name(into)?, *until_ms, *resume)?;
            Ok(told(&replay.come()))
        }
        ReplayQuestion::Go { into, rate, for_ms, threads } => {
            let into = name(into)?;
            let found = context.replays.0.lock().get(&into).cloned();
            let replay = found.with_context(|| {
                format!("nobody is replaying into {into} here any more; --resume goes on")
            })?;
            let worked = replay.run(Duration::from_millis(*for_ms), *rate, *threads);
            let come = replay.come();
            let is_done = come.iter().all(|come| come.is_done);
            if worked.is_err() || is_done {
                context.replays.0.lock().remove(&into);
            }
            worked?;
            if is_done {
                let views = context.tables.open(&into)?;
                futures::executor::block_on(views.write.flush())?;
            }
            Ok(told(&come))
        }
        ReplayQuestion::Diff { name: of } => {
            Ok(serde_json::to_value(diff::diff(context, &name(of)?, progress)?)?)
        }
        ReplayQuestion::Switch { to, force, by } => {
            switch::switch(context, &name(to)?, force.as_deref(), by, progress)
        }
        ReplayQuestion::Drop { name: of, by } => drop::drop_tables(context, &name(of)?, by),
        ReplayQuestion::Status { name: of } => {
            let of = of.as_deref().map(name).transpose()?;
            status::status(context, of.as_ref())
        }
        ReplayQuestion::Commands => decide_again(context, progress),
        ReplayQuestion::FactsBegin { prefix, partitions } => {
            Ok(told(&facts::begin(context, prefix, *partitions)?.come()))
        }
        ReplayQuestion::FactsGo { prefix, rate, for_ms } => {
            let carry = facts::under_way(context, prefix)?;
            let worked = carry.run(Duration::from_millis(*for_ms), *rate);
            let come = carry.come();
            if worked.is_err() || come.iter().all(|come| come.is_done) {
                facts::forget(context, prefix);
            }
            worked?;
            Ok(told(&come))
        }
        ReplayQuestion::FactsDiff { prefix } => {
            Ok(serde_json::to_value(facts::diff(context, prefix, progress)?)?)
        }
        ReplayQuestion::FactsSwitch { prefix } => facts::switch(context, prefix, progress),
        ReplayQuestion::Show { name: of, event } => {
            let event: EventId = event.parse()?;
            show::show(context, &name(of)?, event)
        }
    }
}

fn decide_again(context: &Context, progress: Progress<'_>) -> anyhow::Result<Value> {
    let source = &context.source;
    let count = context.log().describe(&source.facts)?.spec.partitions;
    let mut decided = Vec::new();
    let mut before = 0;
    for partition in 0..count {
        let mut end = 0;
        decided.push(commands::decide_again(source, partition, &mut |done, of| {
            progress(before + done, before + of);
            end = of;
        })?);
        before += end;
    }
    Ok(serde_json::to_value(decided)?)
}

fn name(text: &str) -> anyhow::Result<TablesName> {
    text.parse().map_err(|reason: String| anyhow!("{text:?} is no name of tables: {reason}"))
}

fn told(come: &[Come]) -> Value {
    let is_done = come.iter().all(|come| come.is_done);
    json!({ "is_done": is_done, "partitions": come })
}
