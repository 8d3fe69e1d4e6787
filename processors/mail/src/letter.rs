//! What somebody is to be told: one variant a mail, with what it needs.

use cityevents_domain::event::Event;
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::config::Secret;

/// Which mail. Its name is the same in the folder of its template, in a person's preferences and in
/// records, and does not change.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// To show that an address is one's own.
    VerifyAddress,
    /// To set another password.
    ResetPassword,
    /// Joined, with a place.
    PlaceConfirmed,
    /// Joined, and waiting.
    Waitlisted,
    /// A place came free.
    PlaceCameFree,
    /// The organiser removed the person.
    Removed,
    /// An event was called off.
    EventCanceled,
    /// Time or place of an event changed.
    EventChanged,
    /// The organiser wrote.
    OrganizerMessage,
    /// Staff took an own event back.
    EventUnpublished,
}

impl Template {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::VerifyAddress,
        Self::ResetPassword,
        Self::PlaceConfirmed,
        Self::Waitlisted,
        Self::PlaceCameFree,
        Self::Removed,
        Self::EventCanceled,
        Self::EventChanged,
        Self::OrganizerMessage,
        Self::EventUnpublished,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyAddress => "verify_address",
            Self::ResetPassword => "reset_password",
            Self::PlaceConfirmed => "place_confirmed",
            Self::Waitlisted => "waitlisted",
            Self::PlaceCameFree => "place_came_free",
            Self::Removed => "removed",
            Self::EventCanceled => "event_canceled",
            Self::EventChanged => "event_changed",
            Self::OrganizerMessage => "organizer_message",
            Self::EventUnpublished => "event_unpublished",
        }
    }

    /// The template of a name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.as_str() == name)
    }

    /// Those that a person may do without.
    pub fn optional() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|template| template.is_optional())
    }

    /// Whether a person may do without it. What concerns the account itself always comes.
    pub const fn is_optional(self) -> bool {
        !matches!(self, Self::VerifyAddress | Self::ResetPassword)
    }
}

/// Where the reader of a mail stands with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Has a place, or had one.
    Active,
    /// Is in the line, or was.
    Waiting,
    /// It is the reader's own.
    Owner,
}

/// What a mail says of an event: its row, after what the mail tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCard {
    /// Which.
    pub id: EventId,
    /// Counts changes; calendars follow it.
    pub version: u32,
    /// What it is called.
    pub title: String,
    /// Where: the city.
    pub city: String,
    /// Where in it; empty when not said.
    pub location: String,
    /// What kind of event.
    pub category: String,
    /// From.
    pub start_time: Timestamp,
    /// Until.
    pub end_time: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
}

impl From<&Event> for EventCard {
    fn from(event: &Event) -> Self {
        let fields = &event.fields;
        Self {
            id: event.id,
            version: event.version,
            title: fields.title.clone(),
            city: fields.city.clone(),
            location: fields.location.clone(),
            category: fields.category.clone(),
            start_time: fields.start_time,
            end_time: fields.end_time,
            updated_at: event.updated_at,
        }
    }
}

/// What somebody is to be told. What people wrote (titles, reasons, messages) is given as they
/// wrote it; the writer sees to it that it stays text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letter {
    /// See [`Template::VerifyAddress`]. The link is good for 24 hours.
    VerifyAddress {
        /// What the link carries.
        token: Secret,
    },
    /// See [`Template::ResetPassword`]. The link is good for 30 minutes, once.
    ResetPassword {
        /// What the link carries.
        token: Secret,
    },
    /// See [`Template::PlaceConfirmed`]. Carries an entry for the calendar.
    PlaceConfirmed {
        /// For which event.
        event: EventCard,
    },
    /// See [`Template::Waitlisted`].
    Waitlisted {
        /// For which event.
        event: EventCard,
        /// Counted from 1, when the person joined.
        position: u32,
    },
    /// See [`Template::PlaceCameFree`]. Carries an entry for the calendar.
    PlaceCameFree {
        /// For which event.
        event: EventCard,
    },
    /// See [`Template::Removed`]. Takes the entry out of the calendar.
    Removed {
        /// From which event.
        event: EventCard,
        /// Why, if the organiser said.
        reason: Option<String>,
        /// When the person may join again, if that was said; else when the organiser allows it.
        until: Option<Timestamp>,
    },
    /// See [`Template::EventCanceled`]. Takes the entry out of the calendar of who has a place.
    EventCanceled {
        /// Which event.
        event: EventCard,
        /// Why, if somebody said.
        reason: Option<String>,
        /// To whom it is told.
        standing: Standing,
    },
    /// See [`Template::EventChanged`]. Changes the entry in the calendar of who has a place.
    EventChanged {
        /// The event as it is now.
        event: EventCard,
        /// To whom it is told.
        standing: Standing,
    },
    /// See [`Template::OrganizerMessage`].
    OrganizerMessage {
        /// About which event.
        event: EventCard,
        /// What about.
        subject: String,
        /// What the organiser says.
        text: String,
    },
    /// See [`Template::EventUnpublished`].
    EventUnpublished {
        /// Which event.
        event: EventCard,
        /// Why, if somebody said.
        reason: Option<String>,
    },
}

impl Letter {
    /// Which mail it is.
    pub const fn template(&self) -> Template {
        match self {
            Self::VerifyAddress { .. } => Template::VerifyAddress,
            Self::ResetPassword { .. } => Template::ResetPassword,
            Self::PlaceConfirmed { .. } => Template::PlaceConfirmed,
            Self::Waitlisted { .. } => Template::Waitlisted,
            Self::PlaceCameFree { .. } => Template::PlaceCameFree,
            Self::Removed { .. } => Template::Removed,
            Self::EventCanceled { .. } => Template::EventCanceled,
            Self::EventChanged { .. } => Template::EventChanged,
            Self::OrganizerMessage { .. } => Template::OrganizerMessage,
            Self::EventUnpublished { .. } => Template::EventUnpublished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_found_by_its_name() {
        for template in Template::ALL {
            assert_eq!(Template::parse(template.as_str()), Some(template));
        }
        assert_eq!(Template::parse("Removed"), None);
    }
}
