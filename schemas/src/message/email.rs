//! Mails to be sent: values of `emails` and of the topics where they wait for another attempt.
//!
//! No address, no name and no token is in them: the recipient is an account, and a token is named by
//! its id. What the organiser writes to many is in them as it is; what is said about one person is
//! sealed with that person's key.

use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::SealedText;
use cityevents_domain::time::Timestamp;

use super::parts::{body, from_sealed, from_time, tag, to_sealed, to_time, to_u32};
use crate::codecs::{Codecs, parse_whole};
use crate::error::DecodeError;
use crate::record::Record;
use crate::wire;

/// A mail to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The same for the same mail, however often it is asked for.
    pub id: [u8; 16],
    /// Whose account.
    pub recipient: UserId,
    /// When what it tells happened.
    pub occurred_at: Timestamp,
    /// What it tells.
    pub content: EmailContent,
}

/// Where the recipient stands, or stood, with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EmailStanding {
    /// With a place.
    Active,
    /// In the line.
    Waiting,
    /// It is their own.
    Owner,
}

impl EmailStanding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Waiting, Self::Owner];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Owner => "owner",
        }
    }

    /// The standing of a word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == word)
    }
}

/// What a mail tells. Where a version of the event stands, what happened came with it: an older row
/// of the event is not yet the one to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmailContent {
    /// A link shows that the address is one's own.
    VerifyAddress {
        /// Id of the one-time token.
        token: [u8; 16],
    },
    /// A link sets another password.
    ResetPassword {
        /// Id of the one-time token.
        token: [u8; 16],
    },
    /// Joined, with a place.
    PlaceConfirmed {
        /// Which event.
        event: EventId,
    },
    /// Joined, and waiting.
    Waitlisted {
        /// Which event.
        event: EventId,
        /// Counted from 1, when the person joined.
        position: u32,
    },
    /// A place came free.
    PlaceCameFree {
        /// Which event.
        event: EventId,
    },
    /// The organiser removed the person.
    Removed {
        /// Which event.
        event: EventId,
        /// Why, sealed with the person's key.
        reason: Option<SealedText>,
        /// When it ends, if that was said.
        until: Option<Timestamp>,
    },
    /// The event was called off.
    EventCanceled {
        /// Which event.
        event: EventId,
        /// Of the event.
        version: u32,
        /// Why, if somebody said.
        reason: Option<String>,
        /// Where the person stood.
        standing: EmailStanding,
    },
    /// Time or place changed.
    EventChanged {
        /// Which event.
        event: EventId,
        /// Of the event.
        version: u32,
        /// Where the person stands.
        standing: EmailStanding,
    },
    /// The organiser writes.
    OrganizerMessage {
        /// Which event.
        event: EventId,
        /// What about.
        subject: String,
        /// What it says.
        text: String,
    },
    /// Staff took the person's own event back.
    EventUnpublished {
        /// Which event.
        event: EventId,
        /// Of the event.
        version: u32,
        /// Why, if somebody said.
        reason: Option<String>,
    },
}

impl EmailContent {
    /// Name of the template.
    pub const fn template(&self) -> &'static str {
        match self {
            Self::VerifyAddress { .. } => VERIFY_ADDRESS,
            Self::ResetPassword { .. } => RESET_PASSWORD,
            Self::PlaceConfirmed { .. } => PLACE_CONFIRMED,
            Self::Waitlisted { .. } => WAITLISTED,
            Self::PlaceCameFree { .. } => PLACE_CAME_FREE,
            Self::Removed { .. } => REMOVED,
            Self::EventCanceled { .. } => EVENT_CANCELED,
            Self::EventChanged { .. } => EVENT_CHANGED,
            Self::OrganizerMessage { .. } => ORGANIZER_MESSAGE,
            Self::EventUnpublished { .. } => EVENT_UNPUBLISHED,
        }
    }

    /// Which event it is about, if it is about one.
    pub const fn event(&self) -> Option<EventId> {
        match self {
            Self::VerifyAddress { .. } | Self::ResetPassword { .. } => None,
            Self::PlaceConfirmed { event }
            | Self::Waitlisted { event, .. }
            | Self::PlaceCameFree { event }
            | Self::Removed { event, .. }
            | Self::EventCanceled { event, .. }
            | Self::EventChanged { event, .. }
            | Self::OrganizerMessage { event, .. }
            | Self::EventUnpublished { event, .. } => Some(*event),
        }
    }

    /// The version of the event that it came with, where that matters.
    pub const fn event_version(&self) -> Option<u32> {
        match self {
            Self::EventCanceled { version, .. }
            | Self::EventChanged { version, .. }
            | Self::EventUnpublished { version, .. } => Some(*version),
            _ => None,
        }
    }
}

const VERIFY_ADDRESS: &str = "verify_address";
const RESET_PASSWORD: &str = "reset_password";
const PLACE_CONFIRMED: &str = "place_confirmed";
const WAITLISTED: &str = "waitlisted";
const PLACE_CAME_FREE: &str = "place_came_free";
const REMOVED: &str = "removed";
const EVENT_CANCELED: &str = "event_canceled";
const EVENT_CHANGED: &str = "event_changed";
const ORGANIZER_MESSAGE: &str = "organizer_message";
const EVENT_UNPUBLISHED: &str = "event_unpublished";

/// Appends a mail as a framed record.
pub fn encode_email(email: &Email, out: &mut Vec<u8>) {
    Codecs::installed().encode_email(email, out);
}

/// Reads a mail from a framed record.
pub fn decode_email(bytes: &[u8]) -> Result<Email, DecodeError> {
    Codecs::installed().decode_email(bytes)
}

impl Codecs {
    /// See [`encode_email`].
    pub fn encode_email(&self, email: &Email, out: &mut Vec<u8>) {
        self.write(Record::Email, &from_email(email), out);
    }

    /// See [`decode_email`].
    pub fn decode_email(&self, bytes: &[u8]) -> Result<Email, DecodeError> {
        self.read(Record::Email, bytes, |body| parse_whole(body, to_email))
    }
}

fn from_email(email: &Email) -> wire::Email<'_> {
    let content = &email.content;
    let mut record = wire::Email {
        mail_id: email.id,
        template: content.template(),
        recipient_id: *email.recipient.as_bytes(),
        occurred_at: email.occurred_at.as_millis(),
        event_id: content.event().map(|event| *event.as_bytes()),
        event_version: content.event_version().map(i64::from),
        standing: None,
        position: None,
        reason: None,
        sealed_reason: None,
        until: None,
        subject: None,
        text: None,
        token_id: None,
    };
    match content {
        EmailContent::VerifyAddress { token } | EmailContent::ResetPassword { token } => {
            record.token_id = Some(*token);
        }
        EmailContent::PlaceConfirmed { .. } | EmailContent::PlaceCameFree { .. } => {}
        EmailContent::Waitlisted { position, .. } => record.position = Some((*position).into()),
        EmailContent::Removed { reason, until, .. } => {
            record.sealed_reason = from_sealed(reason.as_ref());
            record.until = from_time(*until);
        }
        EmailContent::EventCanceled { reason, standing, .. } => {
            record.reason = reason.as_deref();
            record.standing = Some(standing.as_str());
        }
        EmailContent::EventChanged { standing, .. } => record.standing = Some(standing.as_str()),
        EmailContent::OrganizerMessage { subject, text, .. } => {
            record.subject = Some(subject);
            record.text = Some(text);
        }
        EmailContent::EventUnpublished { reason, .. } => record.reason = reason.as_deref(),
    }
    record
}

fn to_email(record: &wire::Email<'_>) -> Result<Email, DecodeError> {
    Ok(Email {
        id: record.mail_id,
        recipient: UserId::from_bytes(record.recipient_id),
        occurred_at: Timestamp::from_millis(record.occurred_at),
        content: to_content(record)?,
    })
}

fn to_content(record: &wire::Email<'_>) -> Result<EmailContent, DecodeError> {
    let token = || body("token_id", record.token_id);
    let event = || body("event_id", record.event_id).map(EventId::from_bytes);
    let version = || to_u32("event_version", body("event_version", record.event_version)?);
    let standing = || tag("standing", body("standing", record.standing)?, EmailStanding::parse);
    let reason = || record.reason.map(String::from);
    Ok(match record.template {
        VERIFY_ADDRESS => EmailContent::VerifyAddress { token: token()? },
        RESET_PASSWORD => EmailContent::ResetPassword { token: token()? },
        PLACE_CONFIRMED => EmailContent::PlaceConfirmed { event: event()? },
        WAITLISTED => EmailContent::Waitlisted {
            event: event()?,
            position: to_u32("position", body("position", record.position)?)?,
        },
        PLACE_CAME_FREE => EmailContent::PlaceCameFree { event: event()? },
        REMOVED => EmailContent::Removed {
            event: event()?,
            reason: to_sealed(record.sealed_reason),
            until: to_time(record.until),
        },
        EVENT_CANCELED => EmailContent::EventCanceled {
            event: event()?,
            version: version()?,
            reason: reason(),
            standing: standing()?,
        },
        EVENT_CHANGED => EmailContent::EventChanged {
            event: event()?,
            version: version()?,
            standing: standing()?,
        },
        ORGANIZER_MESSAGE => EmailContent::OrganizerMessage {
            event: event()?,
            subject: body("subject", record.subject)?.into(),
            text: body("text", record.text)?.into(),
        },
        EVENT_UNPUBLISHED => EmailContent::EventUnpublished {
            event: event()?,
            version: version()?,
            reason: reason(),
        },
        other => return Err(DecodeError::unknown_tag("template", other)),
    })
}
