//! Facts made by the real decisions, in a log in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields};
use cityevents_domain::fact::{Fact, Verdict};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::state::Partition;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::chain::{ChainReader, ChainWriter};
use cityevents_runtime::log::clock::{Clock, ManualClock};
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Cleanup, Isolation, Log, Outgoing, PollLimit, Producer, TimestampKind, TopicPartition,
    TopicSpec,
};
use cityevents_schemas::message::{Genesis, encode_link};

pub const TOPIC: &str = "event-facts";
pub const NOW_MS: i64 = 1_800_000_000_000;
pub const HOUR_MS: i64 = 3_600_000;

/// A person by number.
pub fn user(number: u32) -> UserId {
    let mut bytes = [0x40; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    UserId::from_bytes(bytes)
}

pub fn person(number: u32) -> Actor {
    let user = user(number);
    Actor::Person { user, role: Role::User }
}

pub fn fields(title: &str, places: u32) -> EventFields {
    EventFields {
        title: title.into(),
        description: format!("About {title}"),
        city: "Porto".into(),
        category: "music".into(),
        location: "At the river".into(),
        start_time: Timestamp::from_millis(NOW_MS + 24 * HOUR_MS),
        end_time: Timestamp::from_millis(NOW_MS + 27 * HOUR_MS),
        capacity: Capacity::from_wire(places),
        waitlist_limit: None,
        opens_at: None,
        cover_image_ids: Vec::new(),
    }
}

/// A link as it stands in the log.
pub struct Linked {
    pub fact: Option<Fact>,
    pub partition: u32,
    pub offset: u64,
}

/// Decides commands and writes the facts.
pub struct Facts {
    pub log: Arc<dyn Log>,
    pub clock: ManualClock,
    producer: Box<dyn Producer>,
    partitions: Vec<Writing>,
    commands: u64,
}

struct Writing {
    state: Partition,
    chain: ChainWriter,
    next_command: u64,
    next_offset: u64,
}

impl Facts {
    pub fn new(partitions: u32) -> Self {
        let clock = ManualClock::new(NOW_MS);
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new(clock.clone()));
        let spec = TopicSpec {
            name: TOPIC.into(),
            partitions,
            cleanup: Cleanup::Delete { retention: None },
            timestamps: TimestampKind::Create,
            durable: true,
        };
        log.create_topic(&spec).unwrap();
        let mut producer = log.producer("facts").unwrap();
        let partitions =
            (0..partitions).map(|partition| begin(&*log, &mut *producer, partition)).collect();
        Self { log, clock, producer, partitions, commands: 0 }
    }

    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    pub fn partition_of(&self, event: &EventId) -> u32 {
        partition_of(event.as_bytes(), self.partitions.len() as u32)
    }

    pub fn state(&self, event: &EventId) -> &Partition {
        &self.partitions[self.partition_of(event) as usize].state
    }

    pub fn next_id(&mut self) -> CommandId {
        self.commands += 1;
        let key = self.commands.to_string();
        CommandId::derive(&user(0), "POST", "/", &key)
    }

    /// Decides a command; a fact is applied and written.
    pub fn ask(
        &mut self,
        actor: Actor,
        event: EventId,
        kind: CommandKind,
    ) -> Result<Linked, Refusal> {
        let id = self.next_id();
        self.ask_as(id, actor, event, kind)
    }

    pub fn ask_as(
        &mut self,
        id: CommandId,
        actor: Actor,
        event: EventId,
        kind: CommandKind,
    ) -> Result<Linked, Refusal> {
        let partition = self.partition_of(&event);
        let at = Timestamp::from_millis(self.clock.now_ms());
        let command = Command { id, digest: 0, event, actor, kind };
        let writing = &mut self.partitions[partition as usize];
        let fact = match writing.state.decide(&command, at) {
            Verdict::Fact(fact) => Some(*fact),
            Verdict::Unchanged(_) => None,
            Verdict::Refused(refusal) => return Err(refusal),
        };
        if let Some(fact) = &fact {
            writing.state.apply(fact);
        }
        let mut value = Vec::new();
        encode_link(fact.as_ref(), &[], None, at, &mut value);
        let mut headers = HeadersBuilder::default();
        writing.chain.link(writing.next_command, &value, &mut headers);
        writing.next_command += 1;
        let offset = writing.next_offset;
        writing.next_offset += 1;
        let record = Outgoing {
            key: Some(Bytes::copy_from_slice(event.as_bytes())),
            value: Some(value.into()),
            headers: headers.build(),
            timestamp_ms: Some(at.as_millis()),
        };
        let topic = TopicPartition::new(TOPIC, partition);
        self.producer.append(&topic, vec![record]).unwrap();
        self.producer.poll(Duration::ZERO, &mut Vec::new()).unwrap();
        Ok(Linked { fact, partition, offset })
    }

    pub fn create(&mut self, owner: u32, fields: EventFields) -> (EventId, Linked) {
        let id = self.next_id();
        let event = EventId::of_create(&id);
        let kind = CommandKind::Create(Box::new(fields));
        (event, self.ask_as(id, person(owner), event, kind).unwrap())
    }
}

/// Appends a record as it is: not every record of a partition is a link.
pub fn append(facts: &mut Facts, partition: u32, value: &'static [u8], is_linked: bool) {
    let writing = &mut facts.partitions[partition as usize];
    let mut headers = HeadersBuilder::default();
    if is_linked {
        writing.chain.link(writing.next_command, value, &mut headers);
        writing.next_command += 1;
    }
    writing.next_offset += 1;
    let record = Outgoing {
        value: Some(Bytes::from_static(value)),
        headers: headers.build(),
        ..Outgoing::default()
    };
    let topic = TopicPartition::new(TOPIC, partition);
    facts.producer.append(&topic, vec![record]).unwrap();
}

fn begin(log: &dyn Log, producer: &mut dyn Producer, partition: u32) -> Writing {
    let genesis = Genesis { topic_id: "commands".into(), first_offset: 0 };
    let mut value = Vec::new();
    let at = Timestamp::from_millis(NOW_MS);
    encode_link(None, &[], Some(&genesis), at, &mut value);
    let mut headers = HeadersBuilder::default();
    ChainWriter::genesis("commands", 0, &value, &mut headers);
    let record = Outgoing { value: Some(value.into()), headers: headers.build(), ..<_>::default() };
    let topic = TopicPartition::new(TOPIC, partition);
    producer.append(&topic, vec![record]).unwrap();
    let mut reader = log.reader(&topic, 0, Isolation::Uncommitted).unwrap();
    let mut records = Vec::new();
    let limit = PollLimit { records: 1, bytes: 1 << 20 };
    reader.poll(limit, Duration::from_secs(5), &mut records).unwrap();
    let mut chain = ChainReader::default();
    chain.accept(&records[0]);
    Writing {
        state: Partition::default(),
        chain: ChainWriter::new(chain.cursor().unwrap(), 1),
        next_command: 0,
        next_offset: 1,
    }
}
