//! People: they give commands, wait for answers, lose patience and try again.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use cityevents_domain::command::Command;
use cityevents_processors::registration::key_of;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Headers, Isolation, Log, LogError, Outgoing, PollLimit, Producer, Reader,
};
use cityevents_runtime::replies::{Attempt, REPLY_TO_HEADER, ReplyTo, attempt_of};
use cityevents_schemas::message::encode_command;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::draw::Draw;
use crate::topics::Topics;
use crate::world::Tally;

/// How long somebody waits for an answer.
const PATIENCE_MS: i64 = 8_000;
/// How often somebody tries.
const TRIES_MAX: u32 = 5;
/// Ways in at once.
const ENTRANCES: usize = 2;
const HEARD_AT_ONCE: PollLimit = PollLimit { records: 256, bytes: 1 << 20 };

struct Waiting {
    command: Command,
    tries: u32,
}

/// All of them.
pub(crate) struct Clients {
    pub(crate) draw: Draw,
    topics: Topics,
    entrances: Vec<Box<dyn Producer>>,
    answers: Box<dyn Reader>,
    waiting: BTreeMap<Attempt, Waiting>,
    /// Attempts in the order in which patience ends.
    impatient: VecDeque<(i64, Attempt)>,
    attempts: u128,
}

impl Clients {
    pub(crate) fn new(log: &MemoryLog, topics: &Topics, draw: Draw) -> Result<Self, LogError> {
        let mut entrances = Vec::new();
        for number in 0..ENTRANCES {
            entrances.push(log.producer(&format!("ingest-{number}"))?);
        }
        Ok(Self {
            draw,
            topics: topics.clone(),
            entrances,
            answers: log.reader(&topics.reply_partition(), 0, Isolation::Uncommitted)?,
            waiting: BTreeMap::new(),
            impatient: VecDeque::new(),
            attempts: 0,
        })
    }

    /// Somebody gives a command or several; now and then something that is none arrives.
    pub(crate) fn give(
        &mut self,
        log: &MemoryLog,
        rng: &mut SmallRng,
        now_ms: i64,
    ) -> Result<usize, LogError> {
        let commands = self.draw.next(rng, now_ms);
        let count = commands.len();
        let entrance = rng.random_range(0..ENTRANCES);
        for command in commands {
            self.append(log, entrance, command, 1, now_ms)?;
        }
        if rng.random_bool(0.004) {
            let garbage = Outgoing {
                key: None,
                value: Some(Bytes::from_static(b"\x00no command")),
                headers: self.reply_to(),
                timestamp_ms: None,
            };
            let partition = rng.random_range(0..self.topics.partitions);
            self.send(log, entrance, partition, garbage)?;
        }
        Ok(count)
    }

    /// Everybody reads what has come, and who has waited too long tries again.
    pub(crate) fn hear(
        &mut self,
        log: &MemoryLog,
        rng: &mut SmallRng,
        now_ms: i64,
        tally: &mut Tally,
    ) -> Result<(), LogError> {
        let mut answers = Vec::new();
        self.answers.poll(HEARD_AT_ONCE, std::time::Duration::ZERO, &mut answers)?;
        for answer in answers {
            if let Some(attempt) = attempt_of(&answer.headers) {
                tally.heard += u64::from(self.waiting.remove(&attempt).is_some());
            }
        }
        self.renew_broken(log)?;
        while let Some((until_ms, attempt)) = self.impatient.pop_front() {
            if until_ms > now_ms {
                self.impatient.push_front((until_ms, attempt));
                break;
            }
            let Some(waiting) = self.waiting.remove(&attempt) else {
                continue;
            };
            if waiting.tries < TRIES_MAX {
                tally.retries += 1;
                let entrance = rng.random_range(0..ENTRANCES);
                self.append(log, entrance, waiting.command, waiting.tries + 1, now_ms)?;
            }
        }
        Ok(())
    }

    /// One command to each partition that has a fact in any state.
    pub(crate) fn close(&mut self, log: &MemoryLog, now_ms: i64) -> Result<(), LogError> {
        for partition in 0..self.topics.partitions {
            let command = self.draw.closer(partition, self.topics.partitions, now_ms);
            self.append(log, 0, command, TRIES_MAX, now_ms)?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        log: &MemoryLog,
        entrance: usize,
        command: Command,
        tries: u32,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let mut value = Vec::with_capacity(256);
        encode_command(&command, &mut value);
        let key = key_of(&command.event);
        let partition = partition_of(&key, self.topics.partitions);
        let headers = self.reply_to();
        let record = Outgoing {
            key: Some(key),
            value: Some(Bytes::from(value)),
            headers,
            timestamp_ms: None,
        };
        let attempt = self.attempts.to_be_bytes();
        let until_ms = now_ms + PATIENCE_MS;
        self.waiting.insert(attempt, Waiting { command, tries });
        self.impatient.push_back((until_ms, attempt));
        self.send(log, entrance, partition, record)
    }

    /// The header of a new attempt.
    fn reply_to(&mut self) -> Headers {
        self.attempts += 1;
        let attempt = self.attempts.to_be_bytes();
        let mut headers = HeadersBuilder::default();
        headers.push(REPLY_TO_HEADER, &ReplyTo { partition: 0, attempt }.to_bytes());
        headers.build()
    }

    /// What cannot be sent is lost: whoever waits for it tries again.
    fn send(
        &mut self,
        log: &MemoryLog,
        entrance: usize,
        partition: u32,
        record: Outgoing,
    ) -> Result<(), LogError> {
        let place = self.topics.command_partition(partition);
        if self.entrances[entrance].append(&place, vec![record]).is_err() {
            self.entrances[entrance] = log.producer(&format!("ingest-{entrance}"))?;
        }
        Ok(())
    }

    fn renew_broken(&mut self, log: &MemoryLog) -> Result<(), LogError> {
        for (number, entrance) in self.entrances.iter_mut().enumerate() {
            let mut deliveries = Vec::new();
            entrance.poll(std::time::Duration::ZERO, &mut deliveries)?;
            if deliveries.iter().any(|delivery| delivery.result.is_err()) {
                *entrance = log.producer(&format!("ingest-{number}"))?;
            }
        }
        Ok(())
    }
}
