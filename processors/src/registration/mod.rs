//! Commands → facts: decides with the pure rules of the domain, and speaks Avro.
//!
//! Everything that influences a decision is in the command and in the folded state. This file adds
//! nothing to a decision; it only translates.

mod headers;

use std::collections::VecDeque;

use bytes::Bytes;
use cityevents_domain::actor::Actor;
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::fact::{Fact, Verdict};
use cityevents_domain::ids::{CommandId, EventId};
use cityevents_domain::invariants::check_fact;
use cityevents_domain::state::{FOLD_VERSION, FORMAT, Partition};
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::{Headers, Record};
use cityevents_runtime::topology::{
    DecideError, Decision, Due, Input, LinkDraft, LinkPosition, Topology, Undecodable,
};
use cityevents_schemas::ErrorClass;
use cityevents_schemas::message::{
    Closed, ClosedVerdict, Genesis, Reply, ReplyVerdict, decode_command, decode_link,
    encode_command, encode_link, encode_reply,
};

/// Names this topology in snapshots, groups, logs and metrics.
pub const NAME: &str = "registration";

/// People of one step of a long effect. Ticks say so: what was decided with other steps stays as it is.
/// Few, so that what follows the facts of a step is through before a join can wait for it.
pub const STEP_PEOPLE: u16 = 25;
/// About how many bytes a closed command takes in a link, without an outcome kept whole.
const CLOSED_BYTES: usize = 80;
/// About how many more it takes with a whole event as outcome.
const OUTCOME_BYTES: usize = 18_000;

/// The state of one partition, and what was closed without a fact since the last link.
#[derive(Default)]
pub struct Registration {
    state: Partition,
    closed: Vec<Closed>,
    closed_bytes: usize,
    /// Log time of the last command closed without a fact.
    closed_at: Timestamp,
    /// Commands read ahead, with their offsets.
    ahead: VecDeque<(u64, Command)>,
}

/// What a caller is told.
#[derive(Debug)]
pub struct Answer {
    command: CommandId,
    event: Option<EventId>,
    verdict: ReplyVerdict,
    at: Timestamp,
    trace: Headers,
}

impl Registration {
    /// The folded state.
    pub const fn state(&self) -> &Partition {
        &self.state
    }

    fn close(&mut self, closed: Closed, at: Timestamp, bytes: usize) {
        self.closed.push(closed);
        self.closed_bytes += bytes;
        self.closed_at = self.closed_at.max(at);
    }

    /// Puts a link's value together and forgets what it closes.
    fn link_value(&mut self, fact: Option<&Fact>, at: Timestamp) -> Bytes {
        let mut value = Vec::with_capacity(256 + self.closed_bytes);
        encode_link(fact, &self.closed, None, at, &mut value);
        self.closed.clear();
        self.closed_bytes = 0;
        Bytes::from(value)
    }
}

impl Topology for Registration {
    type Answer = Answer;

    fn fold_version(&self) -> u32 {
        // Both go into one number, so that a change of either makes old snapshots unreadable.
        (FOLD_VERSION << 16) | FORMAT
    }

    fn fold(&mut self, value: &[u8]) -> Result<(), Undecodable> {
        let link = decode_link(value).map_err(undecodable)?;
        if let Some(fact) = &link.fact {
            self.state.apply(fact);
        }
        Ok(())
    }

    fn check(&self, value: &[u8]) -> Result<(), Undecodable> {
        decode_link(value).map(drop).map_err(undecodable)
    }

    fn look_ahead(&mut self, commands: &[Record]) {
        let mut offsets = Vec::with_capacity(commands.len());
        let mut decoded = Vec::with_capacity(commands.len());
        for record in commands {
            match decode_command(record.value.as_deref().unwrap_or_default()) {
                Ok(command) => {
                    offsets.push(record.offset);
                    decoded.push(command);
                }
                // Nothing behind it is decided before it.
                Err(error) if error.class() == ErrorClass::Retry => break,
                // One that cannot be read is found out when it is its turn.
                Err(_) => {}
            }
        }
        self.state.warm(&decoded);
        self.ahead.clear();
        self.ahead.extend(offsets.into_iter().zip(decoded));
    }

    fn decide(&mut self, input: &Input<'_>) -> Result<Decision<Answer>, DecideError> {
        let command = match self.ahead.pop_front_if(|(offset, _)| *offset == input.offset) {
            Some((_, command)) => command,
            None => decode_command(input.value).map_err(undecodable)?,
        };
        let stamped_at = Timestamp::from_millis(input.timestamp_ms);
        let at = stamped_at.max(self.state.log_time());
        let trace = headers::trace_of(input.headers);
        let answer = |verdict| Answer {
            command: command.id,
            event: Some(command.event),
            verdict,
            at,
            trace: trace.clone(),
        };
        let closed = |verdict| Closed {
            offset: input.offset,
            command: Some(command.id),
            event: Some(command.event),
            user: command.actor.user(),
            verdict,
        };
        match self.state.decide(&command, stamped_at) {
            Verdict::Fact(fact) => {
                check_fact(&self.state, &fact)
                    .map_err(|breach| DecideError::PromiseBroken(breach.to_string()))?;
                let link = LinkDraft {
                    key: Some(key_of(&fact.event)),
                    value: self.link_value(Some(&fact), fact.at),
                    headers: headers::of_fact(&fact, &command.kind, &trace),
                };
                self.state.apply(&fact);
                let verdict = ReplyVerdict::Accepted(fact.outcome);
                Ok(Decision { link: Some(link), answer: answer(verdict), label: "accepted" })
            }
            Verdict::Unchanged(outcome) => {
                let bytes = CLOSED_BYTES + OUTCOME_BYTES * usize::from(is_whole(&outcome));
                self.close(closed(ClosedVerdict::Unchanged(outcome.clone())), at, bytes);
                let answer = answer(ReplyVerdict::Unchanged(outcome));
                Ok(Decision { link: None, answer, label: "unchanged" })
            }
            Verdict::Refused(refusal) => {
                self.close(closed(ClosedVerdict::Refused(refusal)), at, CLOSED_BYTES);
                let answer = answer(ReplyVerdict::Refused(refusal));
                Ok(Decision { link: None, answer, label: refusal.code() })
            }
        }
    }

    fn close_undecodable(&mut self, input: &Input<'_>) -> Answer {
        let at = Timestamp::from_millis(input.timestamp_ms).max(self.state.log_time());
        let closed = Closed {
            offset: input.offset,
            command: None,
            event: None,
            user: None,
            verdict: ClosedVerdict::Undecodable,
        };
        self.close(closed, at, CLOSED_BYTES);
        Answer {
            command: CommandId::from_bytes([0; 16]),
            event: None,
            verdict: ReplyVerdict::Undecodable,
            at,
            trace: headers::trace_of(input.headers),
        }
    }

    fn unlinked_bytes(&self) -> usize {
        self.closed_bytes
    }

    fn closing_link(&mut self) -> LinkDraft {
        let at = self.closed_at;
        LinkDraft { key: None, value: self.link_value(None, at), headers: Headers::empty() }
    }

    fn genesis(&self, command_topic_id: &str, first_offset: u64) -> LinkDraft {
        let genesis = Genesis { topic_id: command_topic_id.to_owned(), first_offset };
        let mut value = Vec::with_capacity(64);
        // No clock: two owners that begin a chain at once must write the same bytes.
        encode_link(None, &[], Some(&genesis), Timestamp::from_millis(0), &mut value);
        LinkDraft { key: None, value: Bytes::from(value), headers: Headers::empty() }
    }

    fn encode_answer(&self, answer: &Answer, link: LinkPosition) -> (Bytes, Headers) {
        let reply = Reply {
            command: answer.command,
            event: answer.event,
            verdict: answer.verdict.clone(),
            at: answer.at,
            partition: link.partition,
            link_offset: Some(link.offset),
        };
        let mut value = Vec::with_capacity(128);
        encode_reply(&reply, &mut value);
        (Bytes::from(value), answer.trace.clone())
    }

    fn due(&self, now_ms: i64, limit: usize) -> Vec<Due> {
        let due = self.state.due(Timestamp::from_millis(now_ms)).take(limit);
        due.map(|(event, seq, deadline)| tick(event, seq, deadline)).collect()
    }

    fn encode_state(&self) -> Vec<u8> {
        let mut state = Vec::new();
        self.state.encode(&mut state);
        state
    }

    fn decode_state(&mut self, state: &[u8]) -> Result<(), Undecodable> {
        self.state = Partition::decode(state).map_err(|error| Undecodable {
            class: "snapshot",
            reason: error.to_string(),
            is_temporary: false,
        })?;
        Ok(())
    }
}

/// The key of everything about an event.
pub fn key_of(event: &EventId) -> Bytes {
    Bytes::from(event.to_string())
}

fn tick(event: EventId, seq: u64, deadline: Timestamp) -> Due {
    let command = Command {
        id: CommandId::of_tick(&event, seq, deadline.as_millis()),
        digest: 0,
        event,
        actor: Actor::System,
        kind: CommandKind::Tick { deadline, people_max: STEP_PEOPLE },
    };
    let mut value = Vec::with_capacity(96);
    encode_command(&command, &mut value);
    Due {
        key: key_of(&event),
        deadline_ms: deadline.as_millis(),
        headers: headers::of_tick(&command, deadline),
        command: Bytes::from(value),
    }
}

const fn is_whole(outcome: &cityevents_domain::fact::Outcome) -> bool {
    matches!(outcome, cityevents_domain::fact::Outcome::Event { .. })
}

fn undecodable(error: cityevents_schemas::DecodeError) -> Undecodable {
    let is_temporary = error.class() == ErrorClass::Retry;
    Undecodable { class: error.kind(), reason: error.to_string(), is_temporary }
}
