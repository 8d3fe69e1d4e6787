//! One partition of the old facts: what is to be carried, in order.

use std::collections::VecDeque;

use bytes::Bytes;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::chain::{ChainWriter, Cursor, LINK_HEADER};
use cityevents_runtime::follower::{Follower, LinkedRecord};
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::{Producer, TopicPartition};
use cityevents_runtime::standby::Source;
use cityevents_schemas::message::{decode_link, encode_link};

use super::new::outgoing;
use super::{CARRIED_FROM_HEADER, READ, READ_WAIT, append};
use crate::replay::{Come, NAME};
use crate::unreadable_fact;

/// A fact on its way.
pub(super) struct Carried {
    /// The partition that it comes from.
    pub(super) partition: u32,
    /// Its offset there.
    pub(super) offset: u64,
    /// When it was decided.
    pub(super) at: Timestamp,
    /// Its event.
    pub(super) key: Bytes,
    /// What it says, without commands that were closed beside it.
    pub(super) value: Bytes,
    /// Names and values beside it, without the link's own.
    pub(super) headers: HeadersBuilder,
    /// When its record was written.
    pub(super) timestamp_ms: i64,
}

/// Reads one partition.
pub(super) struct Old {
    place: TopicPartition,
    follower: Follower,
    goal: u64,
    queue: VecDeque<Carried>,
    links: Vec<LinkedRecord>,
    /// Where the chain stood before its end.
    before_end: Option<Cursor>,
    last_at: Timestamp,
}

impl Old {
    pub(super) fn open(source: &Source, partition: u32) -> Result<Self, TaskError> {
        let place = TopicPartition::new(source.facts.clone(), partition);
        let marks = source.log.watermarks(&place)?;
        if marks.low > 0 {
            return Err(TaskError::Stop(format!(
                "the facts of {place} before offset {} are gone, and the chain cannot be followed from \
                 its middle",
                marks.low
            )));
        }
        let metrics = source.metrics.follower(NAME);
        let follower = Follower::open(&*source.log, &place, None, source.clock.clone(), metrics)?;
        let last_at = Timestamp::from_millis(0);
        let (queue, links) = (VecDeque::new(), Vec::new());
        Ok(Self { place, follower, goal: marks.high, queue, links, before_end: None, last_at })
    }

    /// Everything that is there now is to be carried.
    pub(super) const fn set_goal(&mut self, goal: u64) {
        self.goal = goal;
    }

    pub(super) const fn place(&self) -> &TopicPartition {
        &self.place
    }

    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.follower.offset() >= self.goal
    }

    pub(super) fn come(&self) -> Come {
        Come {
            topic: self.place.topic.to_string(),
            partition: self.place.partition,
            began: 0,
            offset: self.queue.front().map_or(self.follower.offset(), |fact| fact.offset),
            goal: self.goal,
            is_done: self.is_done(),
        }
    }

    /// Where the chain stands with what was read, before its end if it has ended.
    pub(super) fn cursor(&self) -> Result<Cursor, TaskError> {
        self.before_end.or_else(|| self.follower.position().map(|at| at.cursor)).ok_or_else(|| {
            let place = &self.place;
            TaskError::Stop(format!(
                "the chain of {place} has not begun: start a process with `registration` once"
            ))
        })
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.before_end.is_some()
    }

    /// Reads on until a fact is there that is to be carried, or the goal is reached. `has` says whether
    /// the new topics have a fact: key, partition and offset.
    pub(super) fn fill(&mut self, has: impl Fn(&[u8], u32, u64) -> bool) -> Result<(), TaskError> {
        while self.queue.is_empty() && self.follower.offset() < self.goal {
            let mut before = self.follower.position().map(|at| at.cursor);
            let mut links = std::mem::take(&mut self.links);
            self.follower.poll_below(self.goal, READ, READ_WAIT, &mut links)?;
            for link in &links {
                if link.cursor.is_ended() {
                    self.before_end = before;
                } else if !link.is_genesis {
                    self.queue.extend(self.carried(link, &has)?);
                }
                before = Some(link.cursor);
            }
            self.links = links;
        }
        Ok(())
    }

    /// When the next fact was decided.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.queue.front().map(|fact| fact.at)
    }

    pub(super) fn take(&mut self) -> Option<Carried> {
        let fact = self.queue.pop_front()?;
        self.last_at = fact.at;
        Some(fact)
    }

    fn carried(
        &self,
        link: &LinkedRecord,
        has: &impl Fn(&[u8], u32, u64) -> bool,
    ) -> Result<Option<Carried>, TaskError> {
        let (record, partition) = (&link.record, self.place.partition);
        // What only closes commands is about no event.
        let Some(key) = record.key.clone() else { return Ok(None) };
        if has(&key, partition, record.offset) {
            return Ok(None);
        }
        let value = record.value.clone().unwrap_or_default();
        let place = format!("{} offset {}", self.place, record.offset);
        let said = decode_link(&value).map_err(|error| unreadable_fact(&place, &error))?;
        let Some(fact) = said.fact else { return Ok(None) };
        let value = if said.closed.is_empty() {
            value
        } else {
            let mut alone = Vec::with_capacity(value.len());
            encode_link(Some(&fact), &[], None, fact.at, &mut alone);
            alone.into()
        };
        let mut headers = HeadersBuilder::default();
        for (name, value) in record.headers.iter() {
            if name != LINK_HEADER && name != CARRIED_FROM_HEADER {
                headers.push(name, value);
            }
        }
        let (offset, timestamp_ms) = (record.offset, record.timestamp_ms);
        Ok(Some(Carried { partition, offset, at: fact.at, key, value, headers, timestamp_ms }))
    }

    /// Ends the chain: whoever decides here finds that its links do not count.
    pub(super) fn end(
        &mut self,
        into: &str,
        at: Timestamp,
        producer: &mut dyn Producer,
    ) -> Result<(), TaskError> {
        let cursor = self.cursor()?;
        let mut writer = ChainWriter::new(cursor, self.follower.offset());
        let (mut value, mut headers) = (Vec::new(), HeadersBuilder::default());
        encode_link(None, &[], None, at, &mut value);
        headers.push("carried-into", into.as_bytes());
        writer.end(&value, &mut headers);
        let expected = self.follower.offset();
        let last = append(producer, &self.place, vec![outgoing(None, value, headers)])?;
        if last == Some(expected) {
            return Ok(());
        }
        Err(TaskError::Restart(format!(
            "somebody decides in {} at this moment: stop the processes with `registration`, then ask \
             again",
            self.place
        )))
    }
}
