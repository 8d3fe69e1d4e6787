//! Links: values of `event-facts`. A link closes one stretch of commands: those without effect are
//! listed, and the last one may have made a fact.

use cityevents_domain::fact::{Fact, Outcome};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::time::Timestamp;

use super::fact::{from_fact, to_fact};
use super::outcome::{from_outcome, to_outcome};
use super::parts::{body, from_u64, to_refusal, to_u64};
use crate::codecs::{Codecs, parse_whole};
use crate::error::DecodeError;
use crate::record::Record;
use crate::wire;

const UNCHANGED: &str = "unchanged";
const UNDECODABLE: &str = "undecodable";

/// One link of the chain of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What the last command of the stretch changed, if it did.
    pub fact: Option<Fact>,
    /// The commands without effect.
    pub closed: Vec<Closed>,
    /// On the first link of a chain only.
    pub genesis: Option<Genesis>,
    /// Log time.
    pub at: Timestamp,
}

/// A command that had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Its offset.
    pub offset: u64,
    /// Its id; `None` when it could not be read.
    pub command: Option<CommandId>,
    /// Its event; `None` when it could not be read.
    pub event: Option<EventId>,
    /// Who asked, if a person did: the outcome is shown to nobody else.
    pub user: Option<UserId>,
    /// Why it had no effect.
    pub verdict: ClosedVerdict,
}

/// Why a command had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClosedVerdict {
    /// It was refused.
    Refused(Refusal),
    /// It succeeded and there was nothing to change.
    Unchanged(Outcome),
    /// It could not be read.
    Undecodable,
}

/// Where a chain begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Id of the command topic.
    pub topic_id: String,
    /// First offset of its partition.
    pub first_offset: u64,
}

/// Appends a link as a framed record.
pub fn encode_link(
    fact: Option<&Fact>,
    closed: &[Closed],
    genesis: Option<&Genesis>,
    at: Timestamp,
    out: &mut Vec<u8>,
) {
    Codecs::installed().encode_link(fact, closed, genesis, at, out);
}

/// Reads a link from a framed record. Whatever is not known here is an error: a reader that passed
/// over it would have another state than the others.
pub fn decode_link(bytes: &[u8]) -> Result<Link, DecodeError> {
    Codecs::installed().decode_link(bytes)
}

impl Codecs {
    /// See [`encode_link`].
    pub fn encode_link(
        &self,
        fact: Option<&Fact>,
        closed: &[Closed],
        genesis: Option<&Genesis>,
        at: Timestamp,
        out: &mut Vec<u8>,
    ) {
        let record = wire::EventFact {
            at: at.as_millis(),
            fact: fact.map(from_fact),
            closed: closed.iter().map(from_closed).collect(),
            genesis: genesis.map(|genesis| wire::Genesis {
                topic_id: &genesis.topic_id,
                first_offset: from_u64(genesis.first_offset),
            }),
        };
        self.write(Record::EventFact, &record, out);
    }

    /// See [`decode_link`].
    pub fn decode_link(&self, bytes: &[u8]) -> Result<Link, DecodeError> {
        self.read(Record::EventFact, bytes, |body| parse_whole(body, to_link))
    }
}

fn to_link(record: &wire::EventFact<'_>) -> Result<Link, DecodeError> {
    let mut closed = Vec::with_capacity(record.closed.len());
    for record in &record.closed {
        closed.push(to_closed(record)?);
    }
    let genesis = match &record.genesis {
        None => None,
        Some(genesis) => Some(Genesis {
            topic_id: genesis.topic_id.into(),
            first_offset: to_u64("first_offset", genesis.first_offset)?,
        }),
    };
    Ok(Link {
        fact: record.fact.as_ref().map(to_fact).transpose()?,
        closed,
        genesis,
        at: Timestamp::from_millis(record.at),
    })
}

fn from_closed(closed: &Closed) -> wire::Closed<'_> {
    let (code, detail, outcome) = match &closed.verdict {
        ClosedVerdict::Refused(refusal) => (refusal.code(), refusal.detail(), None),
        ClosedVerdict::Unchanged(outcome) => (UNCHANGED, None, Some(from_outcome(outcome))),
        ClosedVerdict::Undecodable => (UNDECODABLE, None, None),
    };
    wire::Closed {
        offset: from_u64(closed.offset),
        command_id: closed.command.map(|id| *id.as_bytes()),
        event_id: closed.event.map(|id| *id.as_bytes()),
        user_id: closed.user.map(|id| *id.as_bytes()),
        code,
        detail,
        outcome,
    }
}

fn to_closed(record: &wire::Closed<'_>) -> Result<Closed, DecodeError> {
    let verdict = match record.code {
        UNCHANGED => {
            ClosedVerdict::Unchanged(to_outcome(body(UNCHANGED, record.outcome.as_ref())?)?)
        }
        UNDECODABLE => ClosedVerdict::Undecodable,
        code => ClosedVerdict::Refused(to_refusal(code, record.detail)?),
    };
    Ok(Closed {
        offset: to_u64("offset", record.offset)?,
        command: record.command_id.map(CommandId::from_bytes),
        event: record.event_id.map(EventId::from_bytes),
        user: record.user_id.map(UserId::from_bytes),
        verdict,
    })
}
