//! What a person did that tells of what they like: values of `user-signals`.

use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;

use super::engagement::{Person, to_person, words};
use super::parts::tag;
use crate::codecs::{Codecs, parse_whole};
use crate::error::DecodeError;
use crate::record::Record;
use crate::wire;

words! {
    /// What somebody did.
    SignalKind {
        /// They joined an event.
        Join = "join",
        /// They looked at one.
        View = "view",
    }
}

/// Something that a person did. One that comes twice is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSignal {
    /// Who.
    pub person: Person,
    /// What they did.
    pub kind: SignalKind,
    /// With which event.
    pub event: EventId,
    /// The category that the event had then.
    pub category: String,
    /// When.
    pub at: Timestamp,
}

/// Appends a signal as a framed record.
pub fn encode_user_signal(signal: &UserSignal, out: &mut Vec<u8>) {
    Codecs::installed().encode_user_signal(signal, out);
}

/// Reads a signal from a framed record.
pub fn decode_user_signal(bytes: &[u8]) -> Result<UserSignal, DecodeError> {
    Codecs::installed().decode_user_signal(bytes)
}

impl Codecs {
    /// See [`encode_user_signal`].
    pub fn encode_user_signal(&self, signal: &UserSignal, out: &mut Vec<u8>) {
        let record = wire::UserSignal {
            person_id: signal.person.id,
            person_kind: signal.person.kind.as_str(),
            kind: signal.kind.as_str(),
            event_id: *signal.event.as_bytes(),
            category: &signal.category,
            at: signal.at.as_millis(),
        };
        self.write(Record::UserSignal, &record, out);
    }

    /// See [`decode_user_signal`].
    pub fn decode_user_signal(&self, bytes: &[u8]) -> Result<UserSignal, DecodeError> {
        self.read(Record::UserSignal, bytes, |body| parse_whole(body, to_user_signal))
    }
}

fn to_user_signal(record: &wire::UserSignal<'_>) -> Result<UserSignal, DecodeError> {
    Ok(UserSignal {
        person: to_person(record.person_id, record.person_kind)?,
        kind: tag("signal kind", record.kind, SignalKind::parse)?,
        event: EventId::from_bytes(record.event_id),
        category: record.category.to_owned(),
        at: Timestamp::from_millis(record.at),
    })
}
