//! Facts → mails to be sent.
//!
//! What happened to one person is told with the fact. What many are to be told who are in no fact
//! (time or place changed, the organiser writes) is a piece of work that is done step by step from
//! the tables, between other facts (`work`); the people of an event that was called off are in the
//! facts of its steps anyway.
//!
//! At least once: progress follows the acknowledged appends. Ids of mails are hashes of what they
//! tell, so a repeated one is the same mail, and whoever sends it looks whether it was sent. Facts
//! older than the first start of any notifier are passed: what happened before there were mails is
//! nobody's news.
//!
//! What many are told goes to a topic of its own ([`emails::is_bulk`]), always behind what they were
//! told before.

mod outbox;
mod steps;
mod tell;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use cityevents_domain::ids::EventId;
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_runtime::chain::Cursor;
use cityevents_runtime::consumer::FactSink;
use cityevents_runtime::follower::{LinkedRecord, Position};
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::clock::Clock;
use cityevents_runtime::log::{Headers, Log, TopicPartition};
use cityevents_runtime::spans::Spans;
use cityevents_schemas::message::{Email, EmailContent, decode_link};
use cityevents_trace::{Span, TRACE_PARENT, Tracer};
use cityevents_views::Views;
use futures::executor::block_on;
use serde::{Deserialize, Serialize};

use self::outbox::Outbox;
use self::steps::StepSpans;
use self::tell::{Canceled, Tell, tell};
use self::work::{Work, Works};
use crate::{emails, kept, unreadable_fact};

/// Names this topology in groups, logs and metrics.
pub const NAME: &str = "notifier";
/// Mails that are appended before their acknowledgement is waited for.
const FLUSH_AT: usize = 4_096;
/// Clocks differ: a fact that is older by so much may be newer than the first start.
const BEGAN_SLACK: Millis = Millis::minutes(5);
/// How long it is remembered why an event was called off: its steps take minutes.
const CANCELED_KEPT: Millis = Millis::hours(31 * 24);
/// Called-off events whose reasons are at hand.
const CANCELED_MAX: usize = 1_000;

/// What the notifier works on.
#[derive(Clone)]
pub struct NotifierParts {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The tables: who has a place is asked there, and what is left to do is kept there.
    pub views: Views,
    /// The facts.
    pub facts: Arc<str>,
    /// The mails to be sent.
    pub emails: Arc<str>,
    /// Those that many get, which let the others go first.
    pub bulk: Arc<str>,
    /// How many partitions each of the two has.
    pub partitions: u32,
    /// The group.
    pub group: String,
    /// Name of the projection that writes the tables.
    pub projection: String,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives spans of facts whose traces are kept.
    pub tracer: Tracer,
}

/// The sink of one partition.
pub struct Notifier {
    parts: NotifierParts,
    partition: TopicPartition,
    outbox: Outbox,
    began: Timestamp,
    canceled: BTreeMap<EventId, Canceled>,
    works: Works,
    spans: Spans,
}

/// Since when facts are told.
#[derive(Serialize, Deserialize)]
struct Began {
    at_ms: i64,
}

impl Notifier {
    /// For one partition of the facts.
    ///
    /// # Errors
    /// When the log gives no producer.
    pub fn new(parts: NotifierParts, partition: u32) -> Result<Self, TaskError> {
        let outbox = Outbox::new(&parts, partition)?;
        let partition = TopicPartition::new(parts.facts.clone(), partition);
        let began = Timestamp::from_millis(i64::MAX);
        let (canceled, works) = (BTreeMap::new(), Works::default());
        let spans = Spans::new(parts.tracer.clone(), "notifier tell", "notifier batch");
        Ok(Self { parts, partition, outbox, began, canceled, works, spans })
    }

    /// When a notifier was started first. Whoever is first says so, once and for ever.
    fn began(&self) -> Result<Timestamp, TaskError> {
        let (records, key) = (&*self.parts.views.records, kept::key(b"notifier began"));
        let at_ms = self.parts.clock.now_ms();
        block_on(async {
            if kept::write(records, key.clone(), None, &Began { at_ms }, None).await?.is_some() {
                return Ok(Timestamp::from_millis(at_ms));
            }
            let began = kept::read::<Began>(records, key).await?;
            let (_, Began { at_ms }) = began.ok_or_else(|| {
                TaskError::Restart("the tables do not say since when there are mails".into())
            })?;
            Ok(Timestamp::from_millis(at_ms))
        })
    }

    /// `trace`: headers with the trace that the fact belongs to. What is told to many has spans of its
    /// own, which end when the mails are in the log.
    fn take(
        &mut self,
        link: &LinkedRecord,
        trace: &Headers,
        spans: &mut Vec<Span>,
    ) -> Result<(), TaskError> {
        let value = link.record.value.as_deref().unwrap_or_default();
        let decoded = decode_link(value).map_err(|error| {
            let place = format!("{} offset {}", self.partition, link.record.offset);
            unreadable_fact(&place, &error)
        })?;
        let Some(fact) = decoded.fact else { return Ok(()) };
        // What was decided in other topics was told from there.
        if link.is_carried || fact.at + BEGAN_SLACK < self.began {
            return Ok(());
        }
        let about = (fact.event, fact.event_seq);
        let act = || trace.get_text(TRACE_PARENT).map(str::to_owned);
        let mut step: Option<StepSpans> = None;
        for told in tell(&fact) {
            match told {
                Tell::One(user, content) => {
                    self.put(&emails::about_fact(about, user, fact.at, content), Some(trace))?;
                }
                Tell::CalledOff(user, standing) => {
                    let Canceled { version, reason, trace } = self.canceled(&fact.event)?;
                    let begin =
                        || StepSpans::begin(&self.parts.tracer, trace.as_deref(), fact.event_seq);
                    let headers = step.get_or_insert_with(begin).next();
                    let event = fact.event;
                    let content = EmailContent::EventCanceled { event, version, reason, standing };
                    let email = emails::about_fact(about, user, fact.at, content);
                    self.put(&email, headers.as_ref())?;
                }
                Tell::Remember(canceled) => {
                    let canceled = Canceled { trace: act(), ..canceled };
                    self.remember(fact.event, canceled, fact.at)?;
                }
                Tell::Many(occasion) => {
                    let work = Work::new(&fact, link.record.offset, occasion, act());
                    self.works.add(&self.parts.views, self.partition.partition, work)?;
                }
            }
        }
        spans.extend(step.into_iter().flat_map(StepSpans::into_spans));
        Ok(())
    }

    fn put(&mut self, email: &Email, trace: Option<&Headers>) -> Result<(), TaskError> {
        self.outbox.put(email, trace);
        if self.outbox.count() >= FLUSH_AT { self.outbox.flush() } else { Ok(()) }
    }

    fn remember(
        &mut self,
        event: EventId,
        canceled: Canceled,
        at: Timestamp,
    ) -> Result<(), TaskError> {
        let key = kept::key(&canceled_name(&event));
        let records = &*self.parts.views.records;
        // One that is there is of the same fact: an event is called off once.
        block_on(kept::write(records, key, None, &canceled, Some(at + CANCELED_KEPT)))?;
        self.keep_at_hand(event, canceled);
        Ok(())
    }

    fn canceled(&mut self, event: &EventId) -> Result<Canceled, TaskError> {
        if let Some(canceled) = self.canceled.get(event) {
            return Ok(canceled.clone());
        }
        let key = kept::key(&canceled_name(event));
        let read = block_on(kept::read::<Canceled>(&*self.parts.views.records, key))?;
        // Called off before there were mails: that it was is all there is to say.
        let canceled = read.map(|(_, canceled)| canceled).unwrap_or_default();
        self.keep_at_hand(*event, canceled.clone());
        Ok(canceled)
    }

    fn keep_at_hand(&mut self, event: EventId, canceled: Canceled) {
        if self.canceled.len() >= CANCELED_MAX {
            self.canceled.clear();
        }
        self.canceled.insert(event, canceled);
    }
}

fn canceled_name(event: &EventId) -> Vec<u8> {
    [b"canceled ".as_slice(), event.as_bytes()].concat()
}

impl FactSink for Notifier {
    fn start(&mut self) -> Result<Option<Position>, TaskError> {
        self.began = self.began()?;
        self.works = Works::load(&self.parts.views, self.partition.partition)?;
        let Some(committed) = self.parts.log.committed(&self.parts.group, &self.partition)? else {
            return Ok(None);
        };
        let cursor = Cursor::parse(&committed.metadata).ok_or_else(|| {
            TaskError::Stop(format!(
                "the progress of group {} in {} has no cursor: it was set by another tool. Remove \
                 the group's offsets and every fact is looked at again; mails that were sent are \
                 not sent again for a month",
                self.parts.group, self.partition
            ))
        })?;
        Ok(Some(Position { offset: committed.offset, cursor }))
    }

    fn write(&mut self, links: &[LinkedRecord], _after: Position) -> Result<(), TaskError> {
        let partition = self.partition.partition;
        let spans = self.spans.begin(partition, links.iter().map(|link| &link.record));
        let mut each = Vec::new();
        for link in links {
            let Some(span) = spans.one(link.record.offset) else {
                self.take(link, &link.record.headers, &mut each)?;
                continue;
            };
            self.take(link, &emails::trace_headers(&span.context()), &mut each)?;
            each.push(span);
        }
        self.outbox.flush()?;
        spans.end(each);
        Ok(())
    }

    fn work(&mut self) -> Result<bool, TaskError> {
        let (partition, parts) = (self.partition.partition, &self.parts);
        let Some(step) = self.works.next(&parts.views, &parts.projection, partition)? else {
            return Ok(false);
        };
        let mut spans = step.spans(&parts.tracer);
        for email in &step.emails {
            self.outbox.put(email, spans.next().as_ref());
        }
        self.outbox.flush()?;
        spans.into_spans().into_iter().for_each(Span::end);
        self.works.done(&self.parts.views, partition, step)?;
        Ok(!self.works.is_empty())
    }
}
