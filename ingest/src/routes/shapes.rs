//! Bodies of writes, as they are described to others. They are read field by field
//! ([`crate::body::Fields`]), so that all that is wrong is told at once; `routes` tests send every
//! example here to the real thing.

#![expect(dead_code, reason = "these describe what crate::fields reads")]

use cityevents_kit::event_body::WireTime;
use cityevents_kit::openapi::IdText;
use utoipa::ToSchema;

/// An event to be made.
#[derive(ToSchema)]
#[schema(example = json!({
    "title": "Night of lights", "description": "Bring a lamp.", "city": "Porto",
    "category": "art", "start_time": "2099-06-01T20:00:00Z", "end_time": "2099-06-01T23:00:00Z",
    "capacity": 100,
}))]
#[serde(deny_unknown_fields)]
pub(super) struct NewEvent {
    #[schema(min_length = 1, max_length = 120)]
    title: String,
    #[schema(min_length = 1, max_length = 4000)]
    description: String,
    #[schema(min_length = 1, max_length = 80)]
    city: String,
    #[schema(min_length = 1, max_length = 80)]
    category: String,
    start_time: WireTime,
    /// After the start.
    end_time: WireTime,
    /// Places; 0 and nothing are unlimited.
    #[schema(maximum = 1_000_000)]
    capacity: Option<u32>,
    /// People who may wait.
    #[schema(maximum = 100_000)]
    waitlist_limit: Option<u32>,
    #[schema(max_length = 200)]
    location: Option<String>,
    /// Joining is refused before.
    opens_at: Option<WireTime>,
    #[schema(max_items = 2, value_type = Option<Vec<IdText>>)]
    cover_image_ids: Option<Vec<IdText>>,
}

/// What is to change of an event: at least one field.
#[derive(ToSchema)]
#[schema(example = json!({ "capacity": 150 }))]
#[serde(deny_unknown_fields)]
pub(super) struct EventChange {
    #[schema(min_length = 1, max_length = 120)]
    title: Option<String>,
    #[schema(min_length = 1, max_length = 4000)]
    description: Option<String>,
    #[schema(min_length = 1, max_length = 80)]
    city: Option<String>,
    #[schema(min_length = 1, max_length = 80)]
    category: Option<String>,
    start_time: Option<WireTime>,
    end_time: Option<WireTime>,
    /// Places; 0 is unlimited.
    #[schema(maximum = 1_000_000)]
    capacity: Option<u32>,
    /// People who may wait.
    #[schema(maximum = 100_000)]
    waitlist_limit: Option<u32>,
    #[schema(max_length = 200)]
    location: Option<String>,
    /// Joining is refused before.
    opens_at: Option<WireTime>,
    #[schema(max_items = 2, value_type = Option<Vec<IdText>>)]
    cover_image_ids: Option<Vec<IdText>>,
}

/// Why.
#[derive(ToSchema)]
#[schema(example = json!({ "reason": "The hall is flooded." }))]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Why, which has to be said.
#[derive(ToSchema)]
#[schema(example = json!({ "reason": "It breaks the rules." }))]
#[serde(deny_unknown_fields)]
pub(super) struct StatedReason {
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Whom to keep out.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBan {
    user_id: IdText,
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Until lifted, if nothing is said.
    expires_at: Option<WireTime>,
}

/// Who comes through the door: one of both.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckIn {
    user_id: Option<IdText>,
    /// What the person shows: a code, a ticket, or the address of a ticket's picture.
    code: Option<String>,
}

/// What to write, and to whom.
#[derive(ToSchema)]
#[schema(example = json!({ "to": "active", "subject": "Doors", "text": "They open at seven." }))]
#[serde(deny_unknown_fields)]
pub(super) struct NewMessage {
    /// `active`, `waitlisted` or `all`.
    to: String,
    #[schema(min_length = 1)]
    subject: String,
    #[schema(min_length = 1)]
    text: String,
}
