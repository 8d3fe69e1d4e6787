//! Facts → the flat topics `events` and `registrations`, where the last record of a key wins.
//!
//! Readers of these topics cannot filter, so a zombie that wrote an old row late would turn a table
//! back. Hence the fenced discipline: outputs and progress in one atomic batch, under an identity
//! of which only the newest holder gets through. Order of a takeover: take the identity, then read
//! the progress, then follow.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cityevents_domain::fact::{Change, Fact};
use cityevents_runtime::chain::Cursor;
use cityevents_runtime::consumer::FactSink;
use cityevents_runtime::follower::{LinkedRecord, Position};
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Committed, FencedBatch, FencedWriter, Headers, Log, Outgoing, TopicPartition,
};
use cityevents_schemas::cloudevents;
use cityevents_schemas::message::{decode_link, encode_event, encode_registration};

use crate::registration::key_of;
use crate::unreadable_fact;

/// Names this topology in groups, logs and metrics.
pub const NAME: &str = "publisher";
/// Who says so.
const SOURCE: &str = "/cityevents/publisher";

/// The topics that the publisher works on, by full name, with their partition counts.
#[derive(Debug, Clone)]
pub struct Topics {
    /// The facts.
    pub facts: Arc<str>,
    /// One row an event.
    pub events: (Arc<str>, u32),
    /// One row a registration.
    pub registrations: (Arc<str>, u32),
}

/// The sink of one partition.
pub struct Publisher {
    log: Arc<dyn Log>,
    topics: Topics,
    group: String,
    partition: TopicPartition,
    writer: Option<Box<dyn FencedWriter>>,
}

impl Publisher {
    /// For one partition of the facts.
    pub fn new(log: Arc<dyn Log>, topics: Topics, group: String, partition: u32) -> Self {
        let partition = TopicPartition::new(topics.facts.clone(), partition);
        Self { log, topics, group, partition, writer: None }
    }

    /// The last row of each key wins, so a batch holds one for each.
    fn rows_of(&self, fact: &Fact, rows: &mut BTreeMap<TopicKey, Outgoing>) {
        for change in &fact.changes {
            let (topic, key, value) = match change {
                Change::Event { event, .. } => {
                    let mut value = Vec::with_capacity(512);
                    encode_event(event, &mut value);
                    (Flat::Events, key_of(&fact.event), value)
                }
                Change::Registration { registration, .. } => {
                    let mut value = Vec::with_capacity(128);
                    encode_registration(&fact.event, registration, &mut value);
                    let key = format!("{}:{}", fact.event, registration.user);
                    (Flat::Registrations, Bytes::from(key), value)
                }
                Change::Banned(_) | Change::Unbanned { .. } | Change::Message { .. } => continue,
            };
            let row = Outgoing {
                key: Some(key.clone()),
                value: Some(Bytes::from(value)),
                headers: headers_of(fact, topic),
                timestamp_ms: Some(fact.at.as_millis()),
            };
            rows.insert((topic, key), row);
        }
    }

    fn place(&self, topic: Flat, key: &[u8]) -> TopicPartition {
        let (name, count) = match topic {
            Flat::Events => &self.topics.events,
            Flat::Registrations => &self.topics.registrations,
        };
        TopicPartition::new(name.clone(), partition_of(key, *count))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Flat {
    Events,
    Registrations,
}

type TopicKey = (Flat, Bytes);

impl FactSink for Publisher {
    fn start(&mut self) -> Result<Option<Position>, TaskError> {
        let identity = format!("{}-{}", self.group, self.partition);
        self.writer = Some(self.log.fenced(&identity)?);
        let Some(committed) = self.log.committed(&self.group, &self.partition)? else {
            return Ok(None);
        };
        let cursor = Cursor::parse(&committed.metadata).ok_or_else(|| {
            TaskError::Stop(format!(
                "the progress of group {} in {} has no cursor: it was set by another tool. Remove \
                 the group's offsets and the rows are published again from the beginning",
                self.group, self.partition
            ))
        })?;
        Ok(Some(Position { offset: committed.offset, cursor }))
    }

    fn write(&mut self, links: &[LinkedRecord], after: Position) -> Result<(), TaskError> {
        let mut rows = BTreeMap::new();
        for link in links {
            let value = link.record.value.as_deref().unwrap_or_default();
            let decoded = decode_link(value).map_err(|error| {
                let place = format!("{} offset {}", self.partition, link.record.offset);
                unreadable_fact(&place, &error)
            })?;
            if let Some(fact) = &decoded.fact {
                self.rows_of(fact, &mut rows);
            }
        }
        let records =
            rows.into_iter().map(|((topic, key), row)| (self.place(topic, &key), row)).collect();
        let progress = Committed { offset: after.offset, metadata: after.cursor.to_text() };
        let batch = FencedBatch {
            records,
            group: self.group.clone(),
            progress: vec![(self.partition.clone(), progress)],
        };
        let Some(writer) = &mut self.writer else {
            return Err(TaskError::Restart("the publisher has not started".into()));
        };
        writer.write(batch).map_err(TaskError::from)
    }

    fn commits_progress(&self) -> bool {
        true
    }
}

fn headers_of(fact: &Fact, topic: Flat) -> Headers {
    let mut headers = HeadersBuilder::with_capacity(256);
    let id = fact.command.to_string();
    let kind = match topic {
        Flat::Events => "cityevents.row.event",
        Flat::Registrations => "cityevents.row.registration",
    };
    let event = cloudevents::Headers {
        id: &id,
        kind,
        source: SOURCE,
        time: fact.at,
        trace_parent: None,
        trace_state: None,
    };
    event.write(|name, value| {
        headers.push(name, value);
    });
    headers.build()
}
