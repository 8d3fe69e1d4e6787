//! What an event is, and the limits of its fields.

use crate::ids::{EventId, ImageId, UserId};
use crate::time::Timestamp;

/// Longest title, in characters.
pub const TITLE_CHARACTERS_MAX: usize = 120;
/// Longest description, in characters.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 4_000;
/// Longest city, in characters.
pub const CITY_CHARACTERS_MAX: usize = 80;
/// Longest category, in characters.
pub const CATEGORY_CHARACTERS_MAX: usize = 80;
/// Longest location, in characters.
pub const LOCATION_CHARACTERS_MAX: usize = 200;
/// Longest reason, in characters.
pub const REASON_CHARACTERS_MAX: usize = 500;
/// Longest subject of a message, in characters.
pub const SUBJECT_CHARACTERS_MAX: usize = 120;
/// Longest text of a message, in characters.
pub const TEXT_CHARACTERS_MAX: usize = 4_000;
/// Most places of a limited event.
pub const CAPACITY_MAX: u32 = 1_000_000;
/// Most people waiting.
pub const WAITLIST_LIMIT_MAX: u32 = 100_000;
/// Most cover pictures.
pub const COVER_IMAGES_MAX: usize = 2;

/// Where an event stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventStatus {
    /// Seen by its owner and staff only.
    Draft,
    /// Open to the public.
    Published,
    /// Called off; final.
    Canceled,
    /// Over; final.
    Ended,
}

impl EventStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Published, Self::Canceled, Self::Ended];

    /// The word used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Canceled => "canceled",
            Self::Ended => "ended",
        }
    }

    /// The status of a word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// How many places an event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capacity {
    /// Everybody fits.
    Unlimited,
    /// So many, 1 to [`CAPACITY_MAX`].
    Limited(u32),
}

impl Capacity {
    /// From the wire, where 0 stands for unlimited.
    pub const fn from_wire(places: u32) -> Self {
        if places == 0 { Self::Unlimited } else { Self::Limited(places) }
    }

    /// For the wire, where 0 stands for unlimited.
    pub const fn to_wire(self) -> u32 {
        match self {
            Self::Unlimited => 0,
            Self::Limited(places) => places,
        }
    }

    /// Places free when `active` are taken.
    pub const fn free(self, active: u32) -> u32 {
        match self {
            Self::Unlimited => u32::MAX,
            Self::Limited(places) => places.saturating_sub(active),
        }
    }
}

/// What the organiser says of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFields {
    /// 1–120 characters.
    pub title: String,
    /// 1–4000 characters.
    pub description: String,
    /// 1–80 characters.
    pub city: String,
    /// 1–80 characters.
    pub category: String,
    /// 0–200 characters; empty when not said.
    pub location: String,
    /// Before the end.
    pub start_time: Timestamp,
    /// After the start.
    pub end_time: Timestamp,
    /// Places.
    pub capacity: Capacity,
    /// People who may wait; `None` follows the capacity (see [`EventFields::waitlist_limit`]).
    pub waitlist_limit: Option<u32>,
    /// Joining is refused before it.
    pub opens_at: Option<Timestamp>,
    /// At most two.
    pub cover_image_ids: Vec<ImageId>,
}

impl EventFields {
    /// How many people may wait: what was set, else as many as the capacity, at least 20 and at
    /// most 100.
    pub fn waitlist_limit(&self) -> u32 {
        match (self.waitlist_limit, self.capacity) {
            (Some(limit), _) => limit,
            (None, Capacity::Limited(places)) => places.clamp(20, 100),
            (None, Capacity::Unlimited) => 100,
        }
    }

    /// Every field that is out of its limits, by name and with what it should be.
    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut text = |field, value: &str, least: usize, most: usize| {
            let count = value.chars().count();
            if count < least || count > most {
                let rule = format!("must have {least} to {most} characters, has {count}");
                problems.push(FieldProblem { field, rule });
            } else if least > 0 && value.trim().is_empty() {
                problems.push(FieldProblem { field, rule: "must not be blank".into() });
            }
        };
        text("title", &self.title, 1, TITLE_CHARACTERS_MAX);
        text("description", &self.description, 1, DESCRIPTION_CHARACTERS_MAX);
        text("city", &self.city, 1, CITY_CHARACTERS_MAX);
        text("category", &self.category, 1, CATEGORY_CHARACTERS_MAX);
        text("location", &self.location, 0, LOCATION_CHARACTERS_MAX);
        let mut rule = |holds: bool, field, rule: &str| {
            if !holds {
                problems.push(FieldProblem { field, rule: rule.into() });
            }
        };
        rule(self.start_time < self.end_time, "end_time", "must be after start_time");
        if let Capacity::Limited(places) = self.capacity {
            rule(
                (1..=CAPACITY_MAX).contains(&places),
                "capacity",
                "must be 0 (unlimited) or 1 to 1000000",
            );
        }
        rule(
            self.waitlist_limit.is_none_or(|limit| limit <= WAITLIST_LIMIT_MAX),
            "waitlist_limit",
            "must be 0 to 100000",
        );
        rule(
            self.opens_at.is_none_or(|opens| opens < self.end_time),
            "opens_at",
            "must be before end_time",
        );
        rule(
            self.cover_image_ids.len() <= COVER_IMAGES_MAX,
            "cover_image_ids",
            "must have at most 2 items",
        );
        problems
    }
}

/// One field out of its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field's name on the wire.
    pub field: &'static str,
    /// What it should be.
    pub rule: String,
}

/// A change of some fields; `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPatch {
    /// See [`EventFields::title`].
    pub title: Option<String>,
    /// See [`EventFields::description`].
    pub description: Option<String>,
    /// See [`EventFields::city`].
    pub city: Option<String>,
    /// See [`EventFields::category`].
    pub category: Option<String>,
    /// See [`EventFields::location`].
    pub location: Option<String>,
    /// See [`EventFields::start_time`].
    pub start_time: Option<Timestamp>,
    /// See [`EventFields::end_time`].
    pub end_time: Option<Timestamp>,
    /// See [`EventFields::capacity`].
    pub capacity: Option<Capacity>,
    /// `Some(None)` goes back to following the capacity.
    pub waitlist_limit: Option<Option<u32>>,
    /// `Some(None)` takes the opening time away.
    pub opens_at: Option<Option<Timestamp>>,
    /// Replaces all.
    pub cover_image_ids: Option<Vec<ImageId>>,
}

impl EventPatch {
    /// The fields with this patch applied.
    pub fn applied_to(&self, fields: &EventFields) -> EventFields {
        let or = |new: &Option<String>, old: &String| new.as_ref().unwrap_or(old).clone();
        EventFields {
            title: or(&self.title, &fields.title),
            description: or(&self.description, &fields.description),
            city: or(&self.city, &fields.city),
            category: or(&self.category, &fields.category),
            location: or(&self.location, &fields.location),
            start_time: self.start_time.unwrap_or(fields.start_time),
            end_time: self.end_time.unwrap_or(fields.end_time),
            capacity: self.capacity.unwrap_or(fields.capacity),
            waitlist_limit: self.waitlist_limit.unwrap_or(fields.waitlist_limit),
            opens_at: self.opens_at.unwrap_or(fields.opens_at),
            cover_image_ids: self
                .cover_image_ids
                .as_ref()
                .unwrap_or(&fields.cover_image_ids)
                .clone(),
        }
    }
}

/// An event as the log tells it: the whole row, without counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The organiser.
    pub owner: UserId,
    /// What the organiser says of it.
    pub fields: EventFields,
    /// Where it stands.
    pub status: EventStatus,
    /// Rises by one with create (to 1), update, publish, unpublish and cancel.
    pub version: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its row changed last.
    pub updated_at: Timestamp,
    /// When it was first published; a draft without it is hidden from strangers.
    pub published_at: Option<Timestamp>,
    /// When it was canceled.
    pub canceled_at: Option<Timestamp>,
}

/// What the registrations of an event add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// People with a place.
    pub active: u32,
    /// People in the line.
    pub waiting: u32,
    /// People who were checked in.
    pub checked_in: u32,
}
