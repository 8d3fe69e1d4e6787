//! The body of an update: fields to change.

use cityevents_domain::command::CommandKind;
use cityevents_domain::event::{Capacity, EventPatch};
use cityevents_domain::time::Timestamp;

use super::parts::{from_time, to_time, to_u32, to_u32_option};
use super::row::{from_images, to_images};
use crate::error::DecodeError;
use crate::wire;

pub(super) fn from_update(
    patch: &EventPatch,
    expected_version: Option<u32>,
) -> wire::UpdateBody<'_> {
    wire::UpdateBody {
        expected_version: expected_version.map(i64::from),
        title: patch.title.as_deref(),
        description: patch.description.as_deref(),
        city: patch.city.as_deref(),
        category: patch.category.as_deref(),
        location: patch.location.as_deref(),
        start_time: from_time(patch.start_time),
        end_time: from_time(patch.end_time),
        capacity: patch.capacity.map(|capacity| capacity.to_wire().into()),
        waitlist_limit: patch
            .waitlist_limit
            .map(|limit| wire::NumberSetting { value: limit.map(i64::from) }),
        opens_at: patch.opens_at.map(|at| wire::TimeSetting { value: from_time(at) }),
        cover_image_ids: patch.cover_image_ids.as_deref().map(from_images),
    }
}

pub(super) fn to_update(body: &wire::UpdateBody<'_>) -> Result<CommandKind, DecodeError> {
    let capacity = to_u32_option("capacity", body.capacity)?;
    let waitlist_limit = match &body.waitlist_limit {
        None => None,
        Some(wire::NumberSetting { value: None }) => Some(None),
        Some(wire::NumberSetting { value: Some(limit) }) => {
            Some(Some(to_u32("waitlist_limit", *limit)?))
        }
    };
    let patch = EventPatch {
        title: body.title.map(String::from),
        description: body.description.map(String::from),
        city: body.city.map(String::from),
        category: body.category.map(String::from),
        location: body.location.map(String::from),
        start_time: body.start_time.map(Timestamp::from_millis),
        end_time: body.end_time.map(Timestamp::from_millis),
        capacity: capacity.map(Capacity::from_wire),
        waitlist_limit,
        opens_at: body.opens_at.as_ref().map(|setting| to_time(setting.value)),
        cover_image_ids: body.cover_image_ids.as_deref().map(to_images),
    };
    let expected_version = to_u32_option("expected_version", body.expected_version)?;
    Ok(CommandKind::Update { patch: Box::new(patch), expected_version })
}
