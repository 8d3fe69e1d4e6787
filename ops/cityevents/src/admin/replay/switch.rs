//! Makes other tables the live ones.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use cityevents_processors::replay::compare::Compared;
use cityevents_processors::replay::{Replay, Until};
use cityevents_schemas::topic;
use serde_json::{Value, json};

use super::diff;
use crate::admin::{Context, Progress};
use crate::instance::TablesName;
use crate::instance::tables_record::{self as record, Live};

/// How long one piece of bringing tables up to now takes.
const PIECE: Duration = Duration::from_secs(1);

pub(super) fn switch(
    context: &Context,
    to: &TablesName,
    force: Option<&str>,
    by: &str,
    progress: Progress<'_>,
) -> anyhow::Result<Value> {
    let main = context.tables.open(&TablesName::main())?;
    let known = record::live(&main)?;
    let from = record::live_name(&main)?;
    ensure!(*to != from, "{to} are the live tables already");
    let dropping = known.as_ref().and_then(|(_, live)| live.dropping.clone());
    ensure!(dropping.as_deref() != Some(to.as_str()), "the tables {to} are being dropped");
    let views = context.tables.open(to)?;
    let compared = match force {
        None => Some(check(context, to, progress)?),
        Some(reason) => {
            ensure!(!reason.trim().is_empty(), "--force needs a --reason that says something");
            None
        }
    };
    if compared.is_some() {
        let trends: Arc<str> = topic::TRENDS.full_name(&context.prefix).into();
        let replay = Replay::open(&context.source, Some(&trends), &views, Until::default())?;
        while !replay.come().iter().all(|come| come.is_done) {
            replay.run(PIECE, None, 1)?;
        }
    }
    let live = Live {
        tables: to.to_string(),
        by: by.to_owned(),
        reason: force.map(str::to_owned),
        at_ms: record::now_ms(),
        dropping,
    };
    record::set_live(&main, known.map(|(revision, _)| revision), &live)?;
    tracing::info!(
        views.tables = to.as_str(),
        "{by} made the tables {to} the live ones, after {from}"
    );
    context.tables.follow().with_context(|| {
        format!("the tables {to} are the live ones, and this process cannot use them")
    })?;
    let takes_effect = match (context.tables.served(), context.tables.are_shared()) {
        (Some(_), _) => "now",
        // Others look once a second.
        (None, true) => "within seconds",
        (None, false) => "at the next start",
    };
    Ok(json!({
        "from": from.as_str(),
        "to": to.as_str(),
        "compared_rows": compared.map(|all| all.iter().map(|one| one.rows).sum::<u64>()),
        "takes_effect": takes_effect,
    }))
}

fn check(
    context: &Context,
    to: &TablesName,
    progress: Progress<'_>,
) -> anyhow::Result<Vec<Compared>> {
    let compared = diff::diff(context, to, progress)?;
    let differing: u64 = compared.iter().map(|one| one.differing).sum();
    let moving: u64 = compared.iter().map(|one| one.moving).sum();
    if differing > 0 {
        bail!(
            "{differing} rows of the tables {to} are not what the live ones have; `cityevents replay \
             diff {to}` shows them. If the live ones are those that are wrong: --force --reason TEXT"
        );
    }
    if moving > 0 {
        bail!(
            "{moving} rows changed all the while and could not be compared: try again when less is \
             going on, or --force --reason TEXT"
        );
    }
    Ok(compared)
}
