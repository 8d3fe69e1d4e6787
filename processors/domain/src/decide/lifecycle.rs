//! Create, update, publish, unpublish, cancel.

use super::{Asked, Draft, is_brief, is_created_by, unchanged_event};
use crate::event::{Event, EventFields, EventPatch, EventStatus};
use crate::fact::{Change, EventCause, Verdict};
use crate::refusal::Refusal;
use crate::state::{EventState, Partition};
use crate::time::Millis;

/// How far in the past the start may lie when an event is published.
const START_LATE_MAX: Millis = Millis::minutes(5);

pub(super) fn create(
    partition: &Partition,
    asked: Asked<'_>,
    fields: &EventFields,
) -> Result<Verdict, Refusal> {
    let owner = asked.person()?;
    let id = asked.command.event;
    let is_new = partition.find(&id).is_none() && is_created_by(&id, asked.command);
    if !is_new || !fields.problems().is_empty() {
        return Err(Refusal::InvalidState);
    }
    let event = Event {
        id,
        owner,
        fields: fields.clone(),
        status: EventStatus::Draft,
        version: 1,
        created_at: asked.at,
        updated_at: asked.at,
        published_at: None,
        canceled_at: None,
    };
    let mut draft = Draft::first(asked);
    draft.changes.push(changed(EventCause::Created, &event, None));
    Ok(draft.finish_event(event))
}

pub(super) fn update(
    state: &EventState,
    asked: Asked<'_>,
    patch: &EventPatch,
    expected_version: Option<u32>,
) -> Result<Verdict, Refusal> {
    let before = state.event();
    if expected_version.is_some_and(|expected| expected != before.version) {
        return Err(Refusal::VersionConflict { current: before.version });
    }
    let fields = patch.applied_to(&before.fields);
    if fields == before.fields {
        return Ok(unchanged_event(state));
    }
    let ends_at_once = before.status == EventStatus::Published && fields.end_time <= asked.at;
    if !fields.problems().is_empty() || ends_at_once {
        return Err(Refusal::InvalidState);
    }
    let notable = before.published_at.is_some() && concerns_visitors(&before.fields, &fields);
    let event =
        Event { fields, version: before.version + 1, updated_at: asked.at, ..before.clone() };
    let mut draft = Draft::new(asked, state);
    draft.changes.push(changed(EventCause::Updated { notable }, &event, None));
    draft.promote(state, &event, None);
    Ok(draft.finish_event(event))
}

pub(super) fn publish(state: &EventState, asked: Asked<'_>) -> Result<Verdict, Refusal> {
    let before = state.event();
    let is_late =
        before.fields.start_time < asked.at - START_LATE_MAX || before.fields.end_time <= asked.at;
    if before.status != EventStatus::Draft || is_late {
        return Err(Refusal::InvalidState);
    }
    let event = Event {
        status: EventStatus::Published,
        version: before.version + 1,
        updated_at: asked.at,
        published_at: before.published_at.or(Some(asked.at)),
        ..before.clone()
    };
    let mut draft = Draft::new(asked, state);
    draft.changes.push(changed(EventCause::Published, &event, None));
    draft.promote(state, &event, None);
    Ok(draft.finish_event(event))
}

pub(super) fn unpublish(
    state: &EventState,
    asked: Asked<'_>,
    reason: &Option<String>,
) -> Result<Verdict, Refusal> {
    let before = state.event();
    if before.status != EventStatus::Published || !is_brief(reason.as_ref()) {
        return Err(Refusal::InvalidState);
    }
    let event = Event {
        status: EventStatus::Draft,
        version: before.version + 1,
        updated_at: asked.at,
        ..before.clone()
    };
    let mut draft = Draft::new(asked, state);
    draft.changes.push(changed(EventCause::Unpublished, &event, reason.clone()));
    Ok(draft.finish_event(event))
}

/// Nobody can join any more from this fact on; the registrations expire by ticks, a step each.
pub(super) fn cancel(
    state: &EventState,
    asked: Asked<'_>,
    reason: &Option<String>,
) -> Result<Verdict, Refusal> {
    let before = state.event();
    if before.fields.end_time <= asked.at {
        return Err(Refusal::EventEnded);
    }
    if !is_brief(reason.as_ref()) {
        return Err(Refusal::InvalidState);
    }
    let event = Event {
        status: EventStatus::Canceled,
        version: before.version + 1,
        updated_at: asked.at,
        canceled_at: Some(asked.at),
        ..before.clone()
    };
    let mut draft = Draft::new(asked, state);
    draft.changes.push(changed(EventCause::Canceled, &event, reason.clone()));
    Ok(draft.finish_event(event))
}

pub(super) fn changed(cause: EventCause, event: &Event, reason: Option<String>) -> Change {
    Change::Event { cause, event: Box::new(event.clone()), reason }
}

/// Whether people with a registration must hear of the change.
fn concerns_visitors(before: &EventFields, after: &EventFields) -> bool {
    before.start_time != after.start_time
        || before.end_time != after.end_time
        || before.city != after.city
        || before.location != after.location
}
