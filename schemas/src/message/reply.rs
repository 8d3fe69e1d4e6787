//! Replies: values of `command-replies`.

use cityevents_domain::fact::Outcome;
use cityevents_domain::ids::{CommandId, EventId};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::time::Timestamp;

use super::outcome::{from_outcome, to_outcome};
use super::parts::{body, from_u64, to_refusal, to_u32, to_u64};
use crate::codecs::{Codecs, parse_whole};
use crate::error::DecodeError;
use crate::record::Record;
use crate::wire;

const ACCEPTED: &str = "accepted";
const UNCHANGED: &str = "unchanged";
const REFUSED: &str = "refused";
const UNDECODABLE: &str = "undecodable";

/// The verdict on one command, for whoever waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Which command.
    pub command: CommandId,
    /// Which event; `None` when the command could not be read.
    pub event: Option<EventId>,
    /// The verdict.
    pub verdict: ReplyVerdict,
    /// Log time.
    pub at: Timestamp,
    /// Partition of the facts.
    pub partition: u32,
    /// Offset of the link that closes the command: a reader that has seen it sees the effect.
    pub link_offset: Option<u64>,
}

/// The verdicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyVerdict {
    /// Carried out.
    Accepted(Outcome),
    /// Success, and there was nothing to change.
    Unchanged(Outcome),
    /// Refused.
    Refused(Refusal),
    /// The command could not be read.
    Undecodable,
}

/// Appends a reply as a framed record.
pub fn encode_reply(reply: &Reply, out: &mut Vec<u8>) {
    Codecs::installed().encode_reply(reply, out);
}

/// Reads a reply from a framed record.
pub fn decode_reply(bytes: &[u8]) -> Result<Reply, DecodeError> {
    Codecs::installed().decode_reply(bytes)
}

impl Codecs {
    /// See [`encode_reply`].
    pub fn encode_reply(&self, reply: &Reply, out: &mut Vec<u8>) {
        self.write(Record::CommandReply, &from_reply(reply), out);
    }

    /// See [`decode_reply`].
    pub fn decode_reply(&self, bytes: &[u8]) -> Result<Reply, DecodeError> {
        self.read(Record::CommandReply, bytes, |body| parse_whole(body, to_reply))
    }
}

fn from_reply(reply: &Reply) -> wire::CommandReply<'_> {
    let (verdict, outcome, refusal) = match &reply.verdict {
        ReplyVerdict::Accepted(outcome) => (ACCEPTED, Some(outcome), None),
        ReplyVerdict::Unchanged(outcome) => (UNCHANGED, Some(outcome), None),
        ReplyVerdict::Refused(refusal) => (REFUSED, None, Some(refusal)),
        ReplyVerdict::Undecodable => (UNDECODABLE, None, None),
    };
    wire::CommandReply {
        command_id: *reply.command.as_bytes(),
        event_id: reply.event.map(|id| *id.as_bytes()),
        verdict,
        code: refusal.map(Refusal::code),
        detail: refusal.and_then(Refusal::detail),
        outcome: outcome.map(from_outcome),
        at: reply.at.as_millis(),
        fact_partition: reply.partition.into(),
        fact_offset: reply.link_offset.map(from_u64),
    }
}

fn to_reply(record: &wire::CommandReply<'_>) -> Result<Reply, DecodeError> {
    let verdict = match record.verdict {
        ACCEPTED => ReplyVerdict::Accepted(to_outcome(body(ACCEPTED, record.outcome.as_ref())?)?),
        UNCHANGED => {
            ReplyVerdict::Unchanged(to_outcome(body(UNCHANGED, record.outcome.as_ref())?)?)
        }
        REFUSED => ReplyVerdict::Refused(to_refusal(body(REFUSED, record.code)?, record.detail)?),
        UNDECODABLE => ReplyVerdict::Undecodable,
        other => return Err(DecodeError::unknown_tag("verdict", other)),
    };
    let link_offset = record.fact_offset.map(|offset| to_u64("fact_offset", offset));
    Ok(Reply {
        command: CommandId::from_bytes(record.command_id),
        event: record.event_id.map(EventId::from_bytes),
        verdict,
        at: Timestamp::from_millis(record.at),
        partition: to_u32("fact_partition", record.fact_partition)?,
        link_offset: link_offset.transpose()?,
    })
}
