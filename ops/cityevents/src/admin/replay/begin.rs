//! Begins a replay, or refuses.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use cityevents_domain::time::Timestamp;
use cityevents_processors::projection;
use cityevents_processors::replay::{Replay, Until};
use cityevents_runtime::log::{TopicPartition, read_one};
use cityevents_schemas::rfc3339::Rfc3339;
use cityevents_schemas::topic;
use cityevents_views::Views;
use futures::executor::block_on;

use crate::admin::Context;
use crate::instance::TablesName;
use crate::instance::tables_record::{self as record, Made};

const READ_WAIT: Duration = Duration::from_secs(10);

pub(super) fn begin(
    context: &Context,
    into: &TablesName,
    until_ms: Option<i64>,
    resume: bool,
) -> anyhow::Result<Arc<Replay>> {
    let main = context.tables.open(&TablesName::main())?;
    ensure!(
        *into != record::live_name(&main)?,
        "{into} are the live tables, and the instance writes them itself; replay into others"
    );
    if let Some(until_ms) = until_ms {
        check_moment(context, until_ms)?;
    }
    let tables = &context.tables;
    let place = tables.place(into);
    match (tables.exist(into)?, resume) {
        (true, false) => bail!(
            "there are tables {into} already ({place}): --resume goes on with them; for others take \
             another name, or remove them"
        ),
        (false, true) => bail!(
            "there are no tables {into} ({place}) to go on with; without --resume they are made"
        ),
        _ => {}
    }
    // New ones may become live, although a dropping of older ones by this name was cut off.
    if !resume {
        record::end_drop(&main, into)?;
    }
    let views = tables.open_or_make(into)?;
    let facts = context.log().describe(&context.source.facts)?.id;
    let made = Made { facts, until_ms };
    if !into.is_main() {
        check_made(context, into, &views, &made)?;
    }
    let trends: Arc<str> = topic::TRENDS.full_name(&context.prefix).into();
    let until = Until { moment: until_ms.map(Timestamp::from_millis), offset: None };
    let trends = until_ms.is_none().then_some(&trends);
    let replay = Arc::new(Replay::open(&context.source, trends, &views, until)?);
    context.replays.0.lock().insert(into.clone(), replay.clone());
    Ok(replay)
}

/// Which tables are live now.
pub(super) fn live_name(context: &Context) -> anyhow::Result<TablesName> {
    record::live_name(&context.tables.open(&TablesName::main())?)
}

/// A moment that the log knows of.
fn check_moment(context: &Context, until_ms: i64) -> anyhow::Result<()> {
    let text = |ms| Rfc3339::new(Timestamp::from_millis(ms));
    ensure!(until_ms <= record::now_ms(), "--to {} has not come yet", text(until_ms).as_str());
    let log = context.log();
    let mut first_ms: Option<i64> = None;
    for partition in 0..log.describe(&context.source.facts)?.spec.partitions {
        let place = TopicPartition::new(context.source.facts.clone(), partition);
        let marks = log.watermarks(&place)?;
        if marks.high == marks.low {
            continue;
        }
        let first = read_one(&**log, &place, marks.low, READ_WAIT)?;
        let stamped = first.map(|record| record.timestamp_ms);
        first_ms = first_ms.into_iter().chain(stamped).min();
    }
    let Some(first_ms) = first_ms else { bail!("nothing was decided yet") };
    ensure!(
        until_ms >= first_ms,
        "nothing was decided by --to {}: the facts begin at {}",
        text(until_ms).as_str(),
        text(first_ms).as_str()
    );
    Ok(())
}

/// Tables that are there have to be of this log, and up to the same moment.
fn check_made(
    context: &Context,
    into: &TablesName,
    views: &Views,
    wanted: &Made,
) -> anyhow::Result<()> {
    match record::made(views)? {
        Some(found) if found == *wanted => Ok(()),
        Some(found) if found.facts != wanted.facts => bail!(
            "the tables {into} were made from another topic of facts than the one that is there now"
        ),
        Some(found) => {
            let up_to = found.until_ms.map_or("the end of the log".to_owned(), |ms| {
                format!("--to {}", Rfc3339::new(Timestamp::from_millis(ms)).as_str())
            });
            bail!("the tables {into} are made up to {up_to}; go on with the same, or make others")
        }
        // Nothing was written before this was.
        None => {
            for partition in 0..context.log().describe(&context.source.facts)?.spec.partitions {
                let progress = views.progress.progress(projection::NAME.to_owned(), partition);
                ensure!(
                    block_on(progress)?.is_none(),
                    "{} has rows and was not made by a replay: take another name",
                    context.tables.place(into)
                );
            }
            record::set_made(views, wanted)
        }
    }
}
