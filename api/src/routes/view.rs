//! The page of an event: the event, the own registration, and what could be done.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::event::{Event, EventStatus};
use cityevents_domain::ids::EventId;
use cityevents_domain::registration::{Ban, RegistrationStatus};
use cityevents_kit::Problem;
use cityevents_kit::event_body::{EventBody, WireTime, is_ended};
use cityevents_kit::http::{PathId, Query};
use cityevents_kit::keys::{Caller, OptionalCaller};
use cityevents_kit::openapi::{EventPath, NotThere};
use cityevents_kit::seal::CheckInCodes;
use cityevents_views::RegistrationRow;
use serde::Serialize;
use utoipa::ToSchema;

use super::NoParameters;
use crate::actions::{Actions, Situation};
use crate::answer::Answer;
use crate::freshness::Presented;
use crate::state::Reads;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventView)]
struct Body<'a> {
    event: EventBody<'a>,
    participation: Option<Participation>,
    actions: Actions,
    /// The position is not known now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct Participation {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined_at: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_in_at: Option<WireTime>,
    /// What to show at the door, while there is a place and a door to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    check_in_code: Option<String>,
    /// Why the organiser removed the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The page of an event: the event, the own registration, and what one could do.
#[utoipa::path(
    get,
    path = "/api/events/{id}/view",
    tag = "events",
    operation_id = "view_event",
    params(EventPath),
    responses((status = 200, description = "as asked for", body = Body), NotThere),
    security((), ("bearer" = [])),
)]
pub(super) async fn view(
    State(reads): State<Reads>,
    PathId(id): PathId<EventId>,
    Query(NoParameters {}): Query<NoParameters>,
    OptionalCaller(caller): OptionalCaller,
    presented: Presented,
) -> Result<Response, Problem> {
    let as_of = reads.settle(presented).await?;
    let event = reads.shown_event(id, caller.as_ref(), presented).await?;
    let (registration, ban) = match &caller {
        Some(caller) => standing(&reads, id, caller).await?,
        None => (None, None),
    };
    let now = reads.now();
    let counters = reads.event_counters(&event).await?;
    let situation = Situation {
        event: &event,
        counters,
        caller: caller.as_ref(),
        registration: registration.as_ref(),
        ban: ban.as_ref(),
        now,
    };
    let actions = situation.actions();
    let participation = match &caller {
        Some(_) => Some(participation(&reads, &event, registration.as_ref(), ban.as_ref()).await?),
        None => None,
    };
    let waits = |participation: &Participation| {
        participation.status == RegistrationStatus::Waitlisted.as_str()
    };
    let degraded = participation
        .as_ref()
        .is_some_and(|participation| waits(participation) && participation.position.is_none());
    let organizer = reads.names.name(&event.owner).await;
    let event_body = EventBody::new(&event, &counters, now, &reads.pictures)
        .with_organizer(organizer.as_deref());
    let body = Body { event: event_body, participation, actions, degraded };
    Ok(Answer::new(body, as_of).with_version(event.version).into_response())
}

async fn standing(
    reads: &Reads,
    event: EventId,
    caller: &Caller,
) -> Result<(Option<RegistrationRow>, Option<Ban>), Problem> {
    let registration = reads.views.registrations.registration(event, caller.user).await;
    let registration = registration.map_err(|error| reads.failed(&error))?;
    let ban = reads.views.bans.ban(event, caller.user).await;
    let ban = ban.map_err(|error| reads.failed(&error))?;
    Ok((registration, ban.and_then(|row| row.ban)))
}

async fn participation(
    reads: &Reads,
    event: &Event,
    row: Option<&RegistrationRow>,
    ban: Option<&Ban>,
) -> Result<Participation, Problem> {
    let Some(row) = row else {
        return Ok(Participation {
            status: "none",
            joined_at: None,
            position: None,
            checked_in_at: None,
            check_in_code: None,
            reason: None,
        });
    };
    let registration = &row.registration;
    let is_removed = registration.status == RegistrationStatus::Rejected;
    let sealed = row.reason.as_ref().or_else(|| ban.and_then(|ban| ban.reason.as_ref()));
    let sealed = sealed.filter(|_| is_removed);
    let waits = registration.status == RegistrationStatus::Waitlisted;
    let position = waits.then(|| reads.lines.position(&event.id, &registration.user)).flatten();
    let is_expected = registration.status == RegistrationStatus::Active
        && event.status == EventStatus::Published
        && !is_ended(event, reads.now());
    let codes = CheckInCodes::new(reads.cursors.clone());
    Ok(Participation {
        status: registration.status.as_str(),
        joined_at: Some(WireTime(registration.joined_at)),
        position,
        checked_in_at: registration.checked_in_at.map(WireTime),
        check_in_code: is_expected.then(|| codes.give(&event.id, &registration.user)),
        reason: reads.open_reason(event.id, registration.user, sealed).await?,
    })
}
