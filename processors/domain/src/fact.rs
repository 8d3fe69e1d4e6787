//! What a decision says.

use crate::actor::Actor;
use crate::command::Audience;
use crate::event::{Counters, Event};
use crate::ids::{CommandId, EventId, UserId};
use crate::refusal::Refusal;
use crate::registration::{Ban, Registration, RegistrationCause, RegistrationStatus, SealedText};
use crate::time::Timestamp;

/// Most people whose registrations one fact changes beyond the one that the command names: a long
/// effect goes on by ticks, so that other events of the partition wait for one step at most. A tick
/// may ask for a smaller step.
pub const STEP_PEOPLE_MAX: usize = 500;

/// The three verdicts on a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Something changes.
    Fact(Box<Fact>),
    /// Success, and nothing changes: leaving twice, joining twice, or a repeated command that gets
    /// its first outcome again.
    Unchanged(Outcome),
    /// Nothing changes, and why.
    Refused(Refusal),
}

/// What one command changed, all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Which event.
    pub event: EventId,
    /// 1 for the first fact of an event, one more for each.
    pub event_seq: u64,
    /// By which command.
    pub command: CommandId,
    /// Hash of that command's body.
    pub command_digest: u64,
    /// Log time.
    pub at: Timestamp,
    /// Who asked.
    pub actor: Actor,
    /// The rows that changed, each whole.
    pub changes: Vec<Change>,
    /// What the event's registrations add up to afterwards.
    pub counters: Counters,
    /// What the caller is told.
    pub outcome: Outcome,
}

/// One row that changed, as it is afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The event itself.
    Event {
        /// What happened to it.
        cause: EventCause,
        /// Its row.
        event: Box<Event>,
        /// Why, if somebody said (about the event, not about a person).
        reason: Option<String>,
    },
    /// A registration.
    Registration {
        /// What happened.
        cause: RegistrationCause,
        /// Its row.
        registration: Registration,
        /// While waiting: the 1-based position at the time of this fact. On a registration that
        /// expires: the one that the person had in the line, if they waited.
        position: Option<u32>,
        /// Why, sealed with the person's key.
        reason: Option<SealedText>,
    },
    /// Somebody is kept out.
    Banned(Ban),
    /// A ban is no more.
    Unbanned {
        /// Whose.
        user: UserId,
    },
    /// The organiser writes.
    Message {
        /// To whom.
        to: Audience,
        /// Subject.
        subject: String,
        /// Text.
        text: String,
    },
}

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventCause {
    /// It was made.
    Created,
    /// Fields changed. Whether time or place changed is told apart, since people get mail then.
    Updated {
        /// Start, end, city or location changed.
        notable: bool,
    },
    /// It was opened to the public.
    Published,
    /// It was taken back.
    Unpublished,
    /// It was called off.
    Canceled,
    /// Its end passed.
    Ended,
}

impl EventCause {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Updated { notable: false },
        Self::Updated { notable: true },
        Self::Published,
        Self::Unpublished,
        Self::Canceled,
        Self::Ended,
    ];

    /// The word used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated { notable: false } => "updated",
            Self::Updated { notable: true } => "rescheduled",
            Self::Published => "published",
            Self::Unpublished => "unpublished",
            Self::Canceled => "canceled",
            Self::Ended => "ended",
        }
    }

    /// The cause of a word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

/// What the caller is told of a command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Where somebody stands now: join, leave, kick, check-in.
    Registration {
        /// Who.
        user: UserId,
        /// Where.
        status: RegistrationStatus,
        /// While waiting, 1-based.
        position: Option<u32>,
        /// Since when.
        updated_at: Timestamp,
    },
    /// The event as it is now: create, update, publish, unpublish, cancel.
    Event {
        /// Its row.
        event: Box<Event>,
        /// What its registrations add up to.
        counters: Counters,
    },
    /// Done, and there is nothing more to tell: ban, unban, message, tick.
    Done {
        /// When.
        at: Timestamp,
    },
}
