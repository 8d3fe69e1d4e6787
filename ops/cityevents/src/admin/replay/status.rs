//! Which tables are live, since when and why, and how far they have come.

use cityevents_domain::time::Timestamp;
use cityevents_processors::projection;
use cityevents_runtime::log::TopicPartition;
use cityevents_schemas::rfc3339::Rfc3339;
use futures::executor::block_on;
use serde_json::{Value, json};

use crate::admin::Context;
use crate::instance::{TablesName, tables_record as record};

/// Of the live tables, or of others.
pub(super) fn status(context: &Context, name: Option<&TablesName>) -> anyhow::Result<Value> {
    let main = context.tables.open(&TablesName::main())?;
    let live_name = record::live_name(&main)?;
    let said = record::live(&main)?.map(|(_, live)| live);
    let name = name.unwrap_or(&live_name);
    let views = context.tables.open(name)?;
    let until = record::made(&views)?.and_then(|made| made.until_ms);
    let facts = &context.source.facts;
    let mut partitions = Vec::new();
    for partition in 0..context.log().describe(facts)?.spec.partitions {
        let place = TopicPartition::new(facts.clone(), partition);
        let progress = views.progress.progress(projection::NAME.to_owned(), partition);
        let offset = block_on(progress)?.map_or(0, |row| row.next_offset);
        let end = context.log().watermarks(&place)?.high;
        partitions.push(json!({ "partition": partition, "offset": offset, "end": end }));
    }
    let text = |ms| Rfc3339::new(Timestamp::from_millis(ms)).as_str().to_owned();
    Ok(json!({
        "live": live_name.as_str(),
        "since": said.as_ref().filter(|live| live.at_ms > 0).map(|live| text(live.at_ms)),
        "by": said.as_ref().map(|live| live.by.clone()),
        "reason": said.as_ref().and_then(|live| live.reason.clone()),
        "tables": name.as_str(),
        "place": context.tables.place(name),
        "until": until.map(text),
        "partitions": partitions,
    }))
}
