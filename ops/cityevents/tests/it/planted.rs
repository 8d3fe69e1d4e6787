//! A log as a stopped instance would have left it, written link by link by hand.

use std::path::Path;
use std::time::Duration;

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, Counters, Event, EventFields, EventStatus};
use cityevents_domain::fact::{Change, EventCause, Fact, Outcome};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::{Ban, Registration, RegistrationCause, RegistrationStatus};
use cityevents_domain::time::Timestamp;
use cityevents_runtime::chain::{Acknowledged, ChainReader, ChainWriter, Cursor, Linked};
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Isolation, Log, Outgoing, PollLimit, Producer, TopicPartition};
use cityevents_schemas::message::{Closed, Genesis, encode_command, encode_link};

use super::instance::Instance;

/// Partitions of the commands of an instance with default settings.
const PARTITIONS: u32 = 4;
const WAIT: Duration = Duration::from_secs(30);
/// When the planted history begins, in milliseconds since 1970.
const BEGIN_MS: i64 = 1_800_000_000_000;

/// Opens the log of a stopped instance.
pub fn open_log(data: &Path) -> std::sync::Arc<dyn Log> {
    LocalLog::open(data.join("log"), LocalOptions::default()).unwrap()
}

/// Appends a record and waits until it is there.
pub fn append(producer: &mut dyn Producer, partition: &TopicPartition, record: Outgoing) -> u64 {
    producer.append(partition, vec![record]).unwrap();
    let mut deliveries = Vec::new();
    while deliveries.is_empty() {
        producer.poll(WAIT, &mut deliveries).unwrap();
    }
    deliveries.remove(0).result.unwrap().unwrap()
}

/// Somebody, by number.
pub fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

/// A history of one event, which begins with its creation and publication.
pub struct Planted {
    log: std::sync::Arc<dyn Log>,
    producer: Box<dyn Producer>,
    commands: TopicPartition,
    facts: TopicPartition,
    writer: ChainWriter,
    /// The event.
    pub event: EventId,
    /// Number of its last fact.
    pub seq: u64,
    row: Event,
    minute: i64,
}

impl Planted {
    /// Makes a folder by starting and stopping an instance, and begins.
    pub fn new(data: &Path, capacity: u32) -> Self {
        Instance::start(data).stop();
        let log = open_log(data);
        let event = EventId::from_bytes([0xe1; 16]);
        let number = partition_of(event.to_string().as_bytes(), PARTITIONS);
        let facts = TopicPartition::new("event-facts", number);
        let commands = TopicPartition::new("event-commands", number);
        let (cursor, high) = read_chain(&*log, &facts);
        let at = Timestamp::from_millis(BEGIN_MS);
        let fields = EventFields {
            title: "Lantern walk".into(),
            description: "Along the river.".into(),
            city: "Bern".into(),
            category: "walks".into(),
            location: String::new(),
            start_time: Timestamp::from_millis(BEGIN_MS + 900_000_000),
            end_time: Timestamp::from_millis(BEGIN_MS + 910_000_000),
            capacity: Capacity::Limited(capacity),
            waitlist_limit: None,
            opens_at: None,
            cover_image_ids: Vec::new(),
        };
        let row = Event {
            id: event,
            owner: user(0xaa),
            fields,
            status: EventStatus::Draft,
            version: 1,
            created_at: at,
            updated_at: at,
            published_at: None,
            canceled_at: None,
        };
        let producer = log.producer("planted").unwrap();
        let writer = ChainWriter::new(cursor, high);
        Self { log, producer, commands, facts, writer, event, seq: 0, row, minute: 0 }
    }

    /// The event is made and opened.
    pub fn open(&mut self) -> &mut Self {
        self.change_event(EventCause::Created, |_| {});
        self.change_event(EventCause::Published, |row| row.status = EventStatus::Published);
        self
    }

    /// The row of the event changes.
    pub fn change_event(&mut self, cause: EventCause, change: impl FnOnce(&mut Event)) -> u64 {
        change(&mut self.row);
        let counters = Counters::default();
        let change = Change::Event { cause, event: Box::new(self.row.clone()), reason: None };
        let mut fact = self.fact(user(0xaa), vec![change]);
        fact.counters = counters;
        self.write(&fact)
    }

    /// One person moves, and the event then counts so many.
    pub fn step(&mut self, changes: Vec<Change>, active: u32, waiting: u32) -> u64 {
        let actor = changes
            .iter()
            .find_map(|change| match change {
                Change::Registration { registration, .. } => Some(registration.user),
                _ => None,
            })
            .unwrap_or(user(0xaa));
        let mut fact = self.fact(actor, changes);
        fact.counters = Counters { active, waiting, checked_in: 0 };
        self.write(&fact)
    }

    /// The next fact, not written yet.
    pub fn fact(&self, actor: UserId, changes: Vec<Change>) -> Fact {
        let at = self.now();
        Fact {
            event: self.event,
            event_seq: self.seq + 1,
            command: CommandId::derive(&actor, "POST", "/planted", &self.minute.to_string()),
            command_digest: 0,
            at,
            actor: Actor::Person { user: actor, role: Role::User },
            changes,
            counters: Counters::default(),
            outcome: Outcome::Done { at },
        }
    }

    /// Writes a fact with the command that it answers, and returns its offset.
    pub fn write(&mut self, fact: &Fact) -> u64 {
        let command = self.command(fact.command, fact.actor);
        self.seq = fact.event_seq;
        self.minute += 1;
        self.link(command, Some(fact), &[])
    }

    /// Writes a command without an answer.
    pub fn command(&mut self, id: CommandId, actor: Actor) -> u64 {
        let command = Command { id, digest: 0, event: self.event, actor, kind: CommandKind::Join };
        let mut value = Vec::new();
        encode_command(&command, &mut value);
        let record = Outgoing {
            key: Some(self.event.to_string().into_bytes().into()),
            value: Some(value.into()),
            ..Outgoing::default()
        };
        append(&mut *self.producer, &self.commands, record)
    }

    /// Writes a link that closes everything up to a command.
    pub fn link(&mut self, command: u64, fact: Option<&Fact>, closed: &[Closed]) -> u64 {
        let mut value = Vec::new();
        encode_link(fact, closed, None::<&Genesis>, self.now(), &mut value);
        let mut headers = HeadersBuilder::default();
        self.writer.link(command, &value, &mut headers);
        let record = Outgoing {
            key: Some(self.event.to_string().into_bytes().into()),
            value: Some(value.into()),
            headers: headers.build(),
            timestamp_ms: None,
        };
        let offset = append(&mut *self.producer, &self.facts, record);
        let acknowledged = self.writer.acknowledge(Some(offset));
        assert!(matches!(acknowledged, Acknowledged::Contiguous { .. }));
        offset
    }

    /// Log time.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN_MS + self.minute * 60_000)
    }

    /// Where its facts are.
    pub fn facts(&self) -> &TopicPartition {
        &self.facts
    }

    /// Lets go of the log.
    pub fn close(self) {
        let Self { log, producer, .. } = self;
        drop(producer);
        drop(log);
    }

    /// A registration that changes.
    pub fn moved(
        &self,
        cause: RegistrationCause,
        person: u8,
        status: RegistrationStatus,
        ticket: Option<u32>,
        position: Option<u32>,
    ) -> Change {
        let registration = Registration {
            user: user(person),
            status,
            joined_at: self.now(),
            updated_at: self.now(),
            ticket,
            checked_in_at: None,
        };
        Change::Registration { cause, registration, position, reason: None }
    }

    /// Somebody gets a place on joining.
    pub fn joined(&self, person: u8) -> Change {
        self.moved(RegistrationCause::Joined, person, RegistrationStatus::Active, None, None)
    }

    /// Somebody enters the line.
    pub fn waits(&self, person: u8, ticket: u32, position: u32) -> Change {
        let status = RegistrationStatus::Waitlisted;
        self.moved(RegistrationCause::Joined, person, status, Some(ticket), Some(position))
    }

    /// Somebody leaves.
    pub fn left(&self, person: u8) -> Change {
        self.moved(RegistrationCause::Left, person, RegistrationStatus::Canceled, None, None)
    }

    /// Somebody from the line gets a place.
    pub fn promoted(&self, person: u8) -> Change {
        self.moved(RegistrationCause::Promoted, person, RegistrationStatus::Active, None, None)
    }

    /// Somebody is kept out.
    pub fn banned(&self, person: u8) -> Change {
        Change::Banned(Ban {
            user: user(person),
            banned_by: user(0xaa),
            banned_at: self.now(),
            expires_at: None,
            reason: None,
        })
    }
}

fn read_chain(log: &dyn Log, facts: &TopicPartition) -> (Cursor, u64) {
    let high = log.watermarks(facts).unwrap().high;
    let mut reader = log.reader(facts, 0, Isolation::Uncommitted).unwrap();
    let (mut chain, mut records) = (ChainReader::default(), Vec::new());
    while reader.position() < high {
        let limit = PollLimit { records: 100, bytes: 1 << 20 };
        reader.poll(limit, WAIT, &mut records).unwrap();
    }
    for record in &records {
        assert!(!matches!(chain.accept(record), Linked::Dropped(_)));
    }
    (chain.cursor().unwrap(), high)
}
