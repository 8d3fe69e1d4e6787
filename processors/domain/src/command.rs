//! What can be asked of an event.

use crate::actor::Actor;
use crate::event::{EventFields, EventPatch};
use crate::ids::{CommandId, EventId, UserId};
use crate::registration::SealedText;
use crate::time::Timestamp;

/// One request to change one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The same for a repeated request.
    pub id: CommandId,
    /// Hash of the request's body: a repeated id with another one is a mistake of the caller.
    pub digest: u64,
    /// Which event.
    pub event: EventId,
    /// Who asks.
    pub actor: Actor,
    /// What is asked.
    pub kind: CommandKind,
}

/// The kinds of request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandKind {
    /// Make a draft.
    Create(Box<EventFields>),
    /// Change some fields.
    Update {
        /// The changes.
        patch: Box<EventPatch>,
        /// Refuse when the event has another version by now.
        expected_version: Option<u32>,
    },
    /// Open a draft to the public.
    Publish,
    /// Take it back.
    Unpublish {
        /// Why (about the event, not about a person).
        reason: Option<String>,
    },
    /// Call it off.
    Cancel {
        /// Why (about the event, not about a person).
        reason: Option<String>,
    },
    /// Take a place, or wait for one. The person is the actor.
    Join,
    /// Give the place back, or leave the line. The person is the actor.
    Leave,
    /// Remove somebody and keep them out until lifted.
    Kick {
        /// Whom.
        user: UserId,
        /// Why, sealed with the person's key.
        reason: Option<SealedText>,
    },
    /// Keep somebody out, whether they joined or not.
    Ban {
        /// Whom.
        user: UserId,
        /// Why, sealed with the person's key.
        reason: Option<SealedText>,
        /// Until when; `None`: until lifted.
        expires_at: Option<Timestamp>,
    },
    /// Lift a ban or a kick.
    Unban {
        /// Whose.
        user: UserId,
    },
    /// Time has passed a deadline of the event.
    Tick {
        /// The deadline that was seen due.
        deadline: Timestamp,
        /// Most people that a step of a long effect is about; never more than
        /// [`STEP_PEOPLE_MAX`](crate::fact::STEP_PEOPLE_MAX).
        /// A decision reads it here, so that another pace leaves what was decided as it is.
        people_max: u16,
    },
    /// Let somebody in.
    CheckIn {
        /// Whom.
        user: UserId,
    },
    /// Write to participants.
    Message {
        /// To which of them.
        to: Audience,
        /// 1–120 characters.
        subject: String,
        /// 1–4000 characters.
        text: String,
    },
}

impl CommandKind {
    /// The word used on the wire, in logs and as a metric label.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Update { .. } => "update",
            Self::Publish => "publish",
            Self::Unpublish { .. } => "unpublish",
            Self::Cancel { .. } => "cancel",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Kick { .. } => "kick",
            Self::Ban { .. } => "ban",
            Self::Unban { .. } => "unban",
            Self::Tick { .. } => "tick",
            Self::CheckIn { .. } => "check_in",
            Self::Message { .. } => "message",
        }
    }
}

/// Which participants a message goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Those with a place.
    Active,
    /// Those in the line.
    Waitlisted,
    /// Both.
    All,
}

impl Audience {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Waitlisted, Self::All];

    /// The word used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waitlisted => "waitlisted",
            Self::All => "all",
        }
    }

    /// The audience of a word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|audience| audience.as_str() == word)
    }
}
