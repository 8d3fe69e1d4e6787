//! How much an event is talked about, and why: its joins and views by the hour, and what they add to
//! its score. Worked out from the log alone, by the same fold as the lists.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_processors::trending::{Explained, SCORE_ONE, Trending, Verdict, days_until};
use cityevents_runtime::follower::Follower;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Isolation, PollLimit, TopicPartition, poll_below};
use cityevents_schemas::message::{decode_engagement, decode_link};
use cityevents_schemas::rfc3339::Rfc3339;
use cityevents_schemas::topic;
use serde_json::{Value, json};

use super::{Context, Progress};

const READ: PollLimit = PollLimit { records: 8_192, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(10);

pub(super) fn explain_trend(
    context: &Context,
    event: &EventId,
    progress: Progress<'_>,
) -> anyhow::Result<Value> {
    let source = &context.source;
    let count = context.log().describe(&source.facts)?.spec.partitions;
    let number = partition_of(event.to_string().as_bytes(), count);
    let facts = TopicPartition::new(source.facts.clone(), number);
    let engagement = context.partition(&topic::ENGAGEMENT, number);
    let (to_fold, looked) =
        (context.log().watermarks(&facts)?.high, context.log().watermarks(&engagement)?);
    let total = to_fold + looked.high - looked.low;
    let mut state = Trending::default();
    fold_facts(context, &facts, event, to_fold, &mut state, &mut |done| progress(done, total))?;
    let verdicts = fold_engagements(context, &engagement, event, &mut state, &mut |done| {
        progress(to_fold + done, total);
    })?;
    let now = Timestamp::from_millis(source.clock.now_ms());
    let explained = state
        .hours_of(event, now)
        .with_context(|| format!("event {event} was never open to the public"))?;
    Ok(answer(event, number, now, &explained, &verdicts))
}

fn fold_facts(
    context: &Context,
    facts: &TopicPartition,
    event: &EventId,
    high: u64,
    state: &mut Trending,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<()> {
    let source = &context.source;
    let metrics = source.metrics.follower("explain");
    let mut follower =
        Follower::open(&**context.log(), facts, None, source.clock.clone(), metrics)?;
    let mut links = Vec::new();
    while follower.poll_below(high, READ, READ_WAIT, &mut links)? {
        for linked in &links {
            let link = decode_link(linked.record.value.as_deref().unwrap_or_default())?;
            if let Some(fact) = link.fact.as_ref().filter(|fact| fact.event == *event) {
                state.fold_fact(fact, &mut Vec::new());
            }
        }
        progress(follower.offset());
    }
    Ok(())
}

/// How often engagements of the event came to what.
fn fold_engagements(
    context: &Context,
    engagement: &TopicPartition,
    event: &EventId,
    state: &mut Trending,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<BTreeMap<Verdict, u64>> {
    let marks = context.log().watermarks(engagement)?;
    let mut reader = context.log().reader(engagement, marks.low, Isolation::Uncommitted)?;
    let (mut records, mut verdicts) = (Vec::new(), BTreeMap::new());
    while poll_below(&mut *reader, engagement, marks.high, READ, READ_WAIT, &mut records)? {
        for record in &records {
            // What cannot be read is a dead letter and counts for nobody.
            let Ok(found) = decode_engagement(record.value.as_deref().unwrap_or_default()) else {
                continue;
            };
            if found.event == *event {
                let stamp = Timestamp::from_millis(record.timestamp_ms);
                let verdict = state.fold_engagement(&found, stamp, &mut Vec::new());
                *verdicts.entry(verdict).or_default() += 1;
            }
        }
        progress(reader.position() - marks.low);
    }
    Ok(verdicts)
}

fn answer(
    event: &EventId,
    partition: u32,
    now: Timestamp,
    explained: &Explained,
    verdicts: &BTreeMap<Verdict, u64>,
) -> Value {
    let figures = &explained.figures;
    let score = |millionths: u64| millionths as f64 / SCORE_ONE as f64;
    let counted = 4_000_000 * u64::from(figures.joins_24h)
        + 2_000_000 * u64::from(figures.joins_7d)
        + 500_000 * u64::from(figures.views_24h);
    let hours: Vec<_> = explained
        .hours
        .iter()
        .map(|(begin, joins, views)| {
            let age_hours = now.as_millis().saturating_sub(begin.as_millis()) / 3_600_000;
            json!({
                "hour": Rfc3339::new(*begin).as_str(),
                "hours_ago": age_hours,
                "joins": joins,
                "views": views,
            })
        })
        .collect();
    let verdicts: BTreeMap<_, _> =
        verdicts.iter().map(|(verdict, count)| (verdict.as_str(), *count)).collect();
    json!({
        "event": event.to_string(),
        "partition": partition,
        "at": Rfc3339::new(now).as_str(),
        "score": score(explained.score),
        "can_be_shown": explained.is_shown,
        "joins_24h": figures.joins_24h,
        "joins_7d": figures.joins_7d,
        "views_24h": figures.views_24h,
        "days_until_start": days_until(explained.start, now),
        "parts": {
            "joins_24h": 4.0 * f64::from(figures.joins_24h),
            "joins_7d": 2.0 * f64::from(figures.joins_7d),
            "views_24h": 0.5 * f64::from(figures.views_24h),
            "nearness": score(explained.score.saturating_sub(counted)),
        },
        "hours": hours,
        "engagements": verdicts,
    })
}
