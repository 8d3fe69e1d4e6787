//! Who was shown or looked at which event: values of `engagement`.

use std::fmt;

use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;

use super::parts::{tag, to_u32_option};
use crate::codecs::{Codecs, parse_whole};
use crate::error::DecodeError;
use crate::record::Record;
use crate::text::UuidText;
use crate::wire;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value of a word, if there is one.
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

pub(super) use words;

words! {
    /// What a person is known by.
    PersonKind {
        /// An account.
        Account = "account",
        /// A cookie that the service signed.
        Visitor = "visitor",
    }
}

words! {
    /// What somebody did with an event.
    EngagementKind {
        /// It was shown to them.
        Impression = "impression",
        /// They looked at it.
        View = "view",
    }
}

words! {
    /// The feeds there are.
    FeedType {
        /// What is talked about.
        Trending = "trending",
        /// The same, by what the person likes.
        Personalized = "personalized",
        /// What was published last.
        Latest = "latest",
    }
}

/// Somebody, with or without an account. Ids of both kinds are drawn by the service, at random from
/// one space, so an id alone tells people apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Person {
    /// Their id.
    pub id: [u8; 16],
    /// What they are known by.
    pub kind: PersonKind,
}

impl fmt::Display for Person {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(UuidText::new(&self.id).as_str())
    }
}

/// Somebody was shown an event, or looked at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engagement {
    /// Which event.
    pub event: EventId,
    /// Who.
    pub person: Person,
    /// What they did.
    pub kind: EngagementKind,
    /// In which feed.
    pub feed: Option<FeedType>,
    /// At which place of it, counted from 0.
    pub position: Option<u32>,
    /// The request that the feed was the answer to.
    pub request_id: Option<String>,
    /// When it was taken in, by the clock of who took it in.
    pub at: Timestamp,
}

/// Appends an engagement as a framed record.
pub fn encode_engagement(engagement: &Engagement, out: &mut Vec<u8>) {
    Codecs::installed().encode_engagement(engagement, out);
}

/// Reads an engagement from a framed record.
pub fn decode_engagement(bytes: &[u8]) -> Result<Engagement, DecodeError> {
    Codecs::installed().decode_engagement(bytes)
}

impl Codecs {
    /// See [`encode_engagement`].
    pub fn encode_engagement(&self, engagement: &Engagement, out: &mut Vec<u8>) {
        let record = wire::Engagement {
            event_id: *engagement.event.as_bytes(),
            person_id: engagement.person.id,
            person_kind: engagement.person.kind.as_str(),
            kind: engagement.kind.as_str(),
            feed_type: engagement.feed.map(FeedType::as_str),
            position: engagement.position.map(i64::from),
            request_id: engagement.request_id.as_deref(),
            at: engagement.at.as_millis(),
        };
        self.write(Record::Engagement, &record, out);
    }

    /// See [`decode_engagement`].
    pub fn decode_engagement(&self, bytes: &[u8]) -> Result<Engagement, DecodeError> {
        self.read(Record::Engagement, bytes, |body| parse_whole(body, to_engagement))
    }
}

pub(super) fn to_person(id: [u8; 16], kind: &str) -> Result<Person, DecodeError> {
    Ok(Person { id, kind: tag("person kind", kind, PersonKind::parse)? })
}

fn to_engagement(record: &wire::Engagement<'_>) -> Result<Engagement, DecodeError> {
    let feed = record.feed_type.map(|word| tag("feed type", word, FeedType::parse));
    Ok(Engagement {
        event: EventId::from_bytes(record.event_id),
        person: to_person(record.person_id, record.person_kind)?,
        kind: tag("engagement kind", record.kind, EngagementKind::parse)?,
        feed: feed.transpose()?,
        position: to_u32_option("position", record.position)?,
        request_id: record.request_id.map(str::to_owned),
        at: Timestamp::from_millis(record.at),
    })
}
