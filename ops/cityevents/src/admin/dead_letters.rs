//! Dead letters: list, show, redrive, drop.
//!
//! A topic's records cannot be taken out one by one, so what was done with a letter is a record of
//! its own behind it: without a value, naming the letter, what was done, by whom and when. So the
//! history of handling is in the log too, and redriving twice takes a decision and not an accident.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cityevents_runtime::dead_letter::{
    ATTEMPT_HEADER, FIRST_FAILED_AT_HEADER, REDRIVE_COUNT_HEADER,
};
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::{
    Isolation, Outgoing, PollLimit, Producer, Record, TopicPartition, poll_below,
};
use cityevents_runtime::retry::without_tries;
use cityevents_schemas::catalog::catalog;
use cityevents_schemas::cloudevents::header;
use serde_json::{Value, json};

use super::Context;
use crate::cli::DlqFilter;

/// A letter that came back so often is not redriven any more.
const REDRIVES_MAX: u32 = 5;
/// Header of a handling record: offset of the letter.
pub(super) const HANDLED_HEADER: &str = "handled-offset";
/// Header of a handling record: what was done.
const ACTION_HEADER: &str = "handled-action";
/// Header of a handling record: by whom.
const BY_HEADER: &str = "handled-by";
pub(super) const READ: PollLimit = PollLimit { records: 1_024, bytes: 4 << 20 };
pub(super) const READ_WAIT: Duration = Duration::from_secs(10);
const APPEND_WAIT: Duration = Duration::from_secs(10);

/// A letter, and what was done with it.
struct Letter {
    place: TopicPartition,
    record: Record,
    handled: Option<String>,
}

impl Letter {
    fn id(&self) -> String {
        format!("{}/{}", self.place, self.record.offset)
    }

    fn connect(&self, name: &str) -> &str {
        let header = format!("__connect.errors.{name}");
        self.record.headers.get_text(&header).unwrap_or("")
    }

    fn key(&self) -> String {
        let key = self.record.key.as_deref().unwrap_or_default();
        String::from_utf8_lossy(key).into_owned()
    }

    fn redrives(&self) -> u32 {
        let count = self.record.headers.get_text(REDRIVE_COUNT_HEADER);
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// What the record is, by its headers: `email.place_confirmed`, `command.join`.
    fn kind(&self) -> &str {
        let kind = self.record.headers.get_text(header::TYPE).unwrap_or("");
        kind.strip_prefix("cityevents.").unwrap_or(kind)
    }

    fn first_failed_at_ms(&self) -> Option<i64> {
        let text = self.record.headers.get_text(FIRST_FAILED_AT_HEADER)?;
        text.parse().ok()
    }

    fn is_of_age(&self, filter: &DlqFilter, now_ms: i64) -> bool {
        let failed_ms = self.first_failed_at_ms().unwrap_or(self.record.timestamp_ms);
        let age_ms = now_ms.saturating_sub(failed_ms);
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        filter.older_than.is_none_or(|least| age >= least)
            && filter.younger_than.is_none_or(|most| age < most)
    }

    fn passes(&self, filter: &DlqFilter, now_ms: i64) -> bool {
        let is_topic =
            |topic: &String| *self.place.topic == **topic || self.connect("topic") == topic;
        let is_template =
            |template: &String| self.kind().strip_prefix("email.") == Some(template.as_str());
        filter.topic.as_ref().is_none_or(is_topic)
            && filter.template.as_ref().is_none_or(is_template)
            && filter
                .class
                .as_ref()
                .is_none_or(|class| self.connect("exception.class.name") == class)
            && self.is_of_age(filter, now_ms)
            && filter.key.as_ref().is_none_or(|key| *key == self.key())
            && filter
                .reason
                .as_ref()
                .is_none_or(|text| self.connect("exception.message").contains(text))
            && (filter.all || self.handled.is_none())
    }

    fn row(&self) -> Value {
        json!({
            "id": self.id(),
            "source": format!(
                "{}/{}/{}",
                self.connect("topic"), self.connect("partition"), self.connect("offset")
            ),
            "key": self.key(),
            "kind": self.kind(),
            "class": self.connect("exception.class.name"),
            "reason": self.connect("exception.message"),
            "first_failed_at_ms": self.first_failed_at_ms(),
            "attempts": self.record.headers.get_text(ATTEMPT_HEADER),
            "redrives": self.redrives(),
            "handled": self.handled,
        })
    }
}

pub(super) fn list(context: &Context, filter: &DlqFilter) -> anyhow::Result<Value> {
    Ok(letters(context, filter)?.iter().map(Letter::row).collect())
}

pub(super) fn show(context: &Context, id: &str) -> anyhow::Result<Value> {
    let filter = DlqFilter { all: true, ..DlqFilter::default() };
    let letters = letters(context, &filter)?;
    let letter = letters.iter().find(|letter| letter.id() == id);
    let letter = letter.with_context(|| format!("there is no dead letter {id}; see `dlq list`"))?;
    let mut row = letter.row();
    let headers: BTreeMap<_, _> = letter
        .record
        .headers
        .iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
        .collect();
    row["headers"] = json!(headers);
    let value = letter.record.value.as_deref().unwrap_or_default();
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    row["value_hex"] = json!(hex);
    Ok(row)
}

pub(super) fn redrive(
    context: &Context,
    filter: &DlqFilter,
    execute: bool,
    rate: u32,
    by: &str,
) -> anyhow::Result<Value> {
    let letters = letters(context, &DlqFilter { all: false, ..filter.clone() })?;
    let mut producer = context.log().producer("redrive")?;
    let pause = Duration::from_secs(1) / rate.max(1);
    let mut rows = Vec::new();
    for letter in &letters {
        let mut row = letter.row();
        let is_loop = letter.redrives() >= REDRIVES_MAX;
        row["result"] = json!(match (is_loop, execute) {
            (true, _) => format!("not redriven: it came back {REDRIVES_MAX} times"),
            (false, false) => "would be redriven".to_owned(),
            (false, true) => {
                let started = Instant::now();
                append(&mut *producer, &source_of(context, letter)?, original(letter))?;
                mark(&mut *producer, letter, "redriven", by)?;
                std::thread::sleep(pause.saturating_sub(started.elapsed()));
                "redriven".to_owned()
            }
        });
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

pub(super) fn discard(
    context: &Context,
    filter: &DlqFilter,
    execute: bool,
    by: &str,
) -> anyhow::Result<Value> {
    let letters = letters(context, &DlqFilter { all: false, ..filter.clone() })?;
    let mut producer = context.log().producer("redrive")?;
    let mut rows = Vec::new();
    for letter in &letters {
        let mut row = letter.row();
        if execute {
            mark(&mut *producer, letter, "dropped", by)?;
        }
        row["result"] = json!(if execute { "dropped" } else { "would be dropped" });
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

/// All letters that pass the filter, in the order of topic, partition and offset.
fn letters(context: &Context, filter: &DlqFilter) -> anyhow::Result<Vec<Letter>> {
    let sources = catalog().topics().iter().filter_map(|topic| topic.dead_letters);
    let names: std::collections::BTreeSet<_> = sources.collect();
    let mut letters = Vec::new();
    for name in names {
        let topic = catalog().topic(name).context("the catalogue does not know its own topic")?;
        let full = topic.full_name(&context.prefix);
        for partition in 0..context.log().describe(&full)?.spec.partitions {
            letters.extend(letters_of(context, &context.partition(topic, partition))?);
        }
    }
    let now_ms = context.source.clock.now_ms();
    letters.retain(|letter| letter.passes(filter, now_ms));
    Ok(letters)
}

fn letters_of(context: &Context, place: &TopicPartition) -> anyhow::Result<Vec<Letter>> {
    let marks = context.log().watermarks(place)?;
    let mut reader = context.log().reader(place, marks.low, Isolation::Uncommitted)?;
    let mut letters: BTreeMap<u64, Letter> = BTreeMap::new();
    let mut batch = Vec::new();
    while poll_below(&mut *reader, place, marks.high, READ, READ_WAIT, &mut batch)? {
        for record in batch.drain(..) {
            let handled = record.headers.get_text(HANDLED_HEADER);
            if let Some(offset) = handled.and_then(|offset| offset.parse::<u64>().ok()) {
                let text = |name| record.headers.get_text(name).unwrap_or("");
                let done = format!("{} by {}", text(ACTION_HEADER), text(BY_HEADER));
                if let Some(letter) = letters.get_mut(&offset) {
                    letter.handled = Some(done);
                }
            } else {
                let letter = Letter { place: place.clone(), record, handled: None };
                letters.insert(letter.record.offset, letter);
            }
        }
    }
    Ok(letters.into_values().collect())
}

/// Where a letter's record is handled from the beginning. What failed in a tier is tried as if it
/// were new.
fn source_of(context: &Context, letter: &Letter) -> anyhow::Result<TopicPartition> {
    let (topic, partition) = (letter.connect("topic"), letter.connect("partition"));
    match partition.parse() {
        Ok(partition) if !topic.is_empty() => {
            let mut known = catalog().topics().iter();
            let from = known.find(|known| known.full_name(&context.prefix) == topic);
            let base = from.and_then(|tier| catalog().topic(tier.retries?));
            let source = base.map(|base| base.full_name(&context.prefix));
            Ok(TopicPartition::new(source.unwrap_or_else(|| topic.to_owned()), partition))
        }
        _ => bail!("dead letter {} does not say where it came from", letter.id()),
    }
}

/// The record as it was, with one more redrive counted.
fn original(letter: &Letter) -> Outgoing {
    let mut headers = HeadersBuilder::default();
    for (name, value) in without_tries(&letter.record.headers).build().iter() {
        if !name.starts_with("__connect.errors.") && name != REDRIVE_COUNT_HEADER {
            headers.push(name, value);
        }
    }
    if let Some(first) = letter.record.headers.get(FIRST_FAILED_AT_HEADER) {
        headers.push(FIRST_FAILED_AT_HEADER, first);
    }
    headers.push(REDRIVE_COUNT_HEADER, (letter.redrives() + 1).to_string().as_bytes());
    Outgoing {
        key: letter.record.key.clone(),
        value: letter.record.value.clone(),
        headers: headers.build(),
        timestamp_ms: None,
    }
}

fn mark(
    producer: &mut dyn Producer,
    letter: &Letter,
    action: &str,
    by: &str,
) -> anyhow::Result<()> {
    let mut headers = HeadersBuilder::default();
    headers.push(HANDLED_HEADER, letter.record.offset.to_string().as_bytes());
    headers.push(ACTION_HEADER, action.as_bytes()).push(BY_HEADER, by.as_bytes());
    let record = Outgoing {
        key: letter.record.key.clone(),
        headers: headers.build(),
        ..Outgoing::default()
    };
    append(producer, &letter.place, record)?;
    tracing::info!(by, action, "dead letter {} is {action} by {by}", letter.id());
    Ok(())
}

fn append(
    producer: &mut dyn Producer,
    place: &TopicPartition,
    record: Outgoing,
) -> anyhow::Result<()> {
    let ticket = producer.append(place, vec![record])?;
    let mut deliveries = Vec::new();
    let started = Instant::now();
    while started.elapsed() < APPEND_WAIT {
        producer.poll(APPEND_WAIT, &mut deliveries)?;
        for delivery in deliveries.drain(..) {
            delivery.result?;
            if delivery.first_ticket + delivery.count > ticket {
                return Ok(());
            }
        }
    }
    bail!("{place} did not acknowledge in time; whether it took the record is unknown")
}
