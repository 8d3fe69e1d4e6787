//! How far every group is behind, in records and in seconds, partition by partition; and how old
//! the oldest undecided command is, against the time that commands are kept.

use std::sync::Arc;
use std::time::Duration;

use cityevents_processors::{projection, publisher, registration};
use cityevents_runtime::lag::{Counts, expiry_warning, of_group, retention_of};
use cityevents_runtime::log::TopicPartition;
use serde_json::{Value, json};

use super::{Context, Progress};

/// Who works on which topic.
fn groups(context: &Context) -> [(&'static str, &Arc<str>, Counts); 3] {
    let source = &context.source;
    [
        (registration::NAME, &source.commands, Counts::All),
        (projection::NAME, &source.facts, Counts::Linked),
        (publisher::NAME, &source.facts, Counts::Linked),
    ]
}

pub(super) fn lag(context: &Context, progress: Progress<'_>) -> anyhow::Result<Value> {
    let mut rows = Vec::new();
    let mut oldest_command_ms = None;
    let groups = groups(context);
    let mut places = Vec::new();
    for (name, topic, counts) in groups {
        for partition in 0..context.log().describe(topic)?.spec.partitions {
            places.push((name, TopicPartition::new(topic.clone(), partition), counts));
        }
    }
    let total = places.len() as u64;
    for (done, (name, place, counts)) in (1..).zip(places) {
        let (row, oldest_at_ms) = row(context, name, &place, counts);
        if name == registration::NAME {
            oldest_command_ms = [oldest_command_ms, oldest_at_ms].into_iter().flatten().min();
        }
        rows.push(row);
        progress(done, total);
    }
    Ok(json!({ "rows": rows, "commands": commands(context, oldest_command_ms)? }))
}

fn row(
    context: &Context,
    name: &str,
    place: &TopicPartition,
    counts: Counts,
) -> (Value, Option<i64>) {
    let group = context.group(name);
    let mut row = json!({
        "group": group,
        "topic": &*place.topic,
        "partition": place.partition,
    });
    match of_group(&**context.log(), &group, place, counts) {
        Ok(lag) => {
            let expired = lag.expired();
            row["committed"] = json!(lag.committed);
            row["end"] = json!(lag.end);
            row["records"] = json!(lag.records);
            row["seconds"] = json!(age(context, lag.oldest_at_ms).as_secs_f64());
            row["verdict"] = json!(match (lag.records, lag.committed) {
                _ if expired > 0 => format!("{expired} records were thrown away unread"),
                (0, _) => "keeps up".to_owned(),
                (_, None) => "never began".to_owned(),
                (_, Some(_)) => "is behind".to_owned(),
            });
            row["good"] = json!(expired == 0);
            (row, lag.oldest_at_ms)
        }
        Err(error) => {
            row["verdict"] = json!(error.to_string());
            row["good"] = json!(false);
            (row, None)
        }
    }
}

fn commands(context: &Context, oldest_at_ms: Option<i64>) -> anyhow::Result<Value> {
    let topic = context.log().describe(&context.source.commands)?;
    let kept = retention_of(&topic);
    let age = age(context, oldest_at_ms);
    Ok(json!({
        "topic": &*topic.spec.name,
        "oldest_undecided_seconds": age.as_secs_f64(),
        "kept_seconds": kept.map(|kept| kept.as_secs()),
        "warning": kept.and_then(|kept| expiry_warning(&topic.spec.name, age, kept)),
    }))
}

fn age(context: &Context, stamp_ms: Option<i64>) -> Duration {
    let waits_ms = stamp_ms.map_or(0, |stamp_ms| context.source.clock.now_ms() - stamp_ms);
    // Clocks of machines differ a little.
    Duration::from_millis(u64::try_from(waits_ms).unwrap_or(0))
}
