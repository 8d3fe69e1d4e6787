//! What the registrations of an event add up to, for its owner and staff.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::event::Capacity;
use cityevents_domain::ids::EventId;
use cityevents_kit::Problem;
use cityevents_kit::event_body::{WireTime, is_ended, wire_status};
use cityevents_kit::http::{PathId, Query};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{EventPath, IdText, NotThere, NotYours};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::given;
use crate::answer::Answer;
use crate::card::as_text;
use crate::freshness::Presented;
use crate::lines::Minute;
use crate::state::Reads;

#[derive(Debug, Serialize, ToSchema)]
struct Stats {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    event_id: EventId,
    status: &'static str,
    ended: bool,
    capacity: u32,
    active_participants: u32,
    /// `null` where everybody fits.
    free_places: Option<u32>,
    waitlist_count: u32,
    waitlist_limit: u32,
    checked_in: u32,
    /// With `series=minute`: the minutes of the last day in which somebody came or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Vec<MinuteBody>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MinuteBody {
    at: WireTime,
    /// With a place, or waiting.
    joined: u32,
    /// By themselves, or removed.
    left: u32,
}

/// The query of the sums.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StatsParameters {
    /// `minute`: how many came and went, by minute.
    #[param(pattern = "^minute$")]
    series: Option<String>,
}

/// What the registrations add up to.
#[utoipa::path(
    get,
    path = "/api/events/{id}/stats",
    tag = "organising",
    operation_id = "event_stats",
    params(EventPath, StatsParameters),
    responses((status = 200, description = "as asked for", body = Stats), NotYours, NotThere),
    security(("bearer" = [])),
)]
pub(super) async fn stats(
    State(reads): State<Reads>,
    PathId(id): PathId<EventId>,
    Query(parameters): Query<StatsParameters>,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    let series = match given(parameters.series).as_deref() {
        None => false,
        Some("minute") => true,
        Some(_) => return Err(Problem::invalid("series", "write minute")),
    };
    let as_of = reads.settle(presented).await?;
    let event = reads.managed_event(id, &caller).await?;
    let counters = reads.counters(id).await?;
    let capacity = event.fields.capacity;
    let is_limited = capacity != Capacity::Unlimited;
    let body = Stats {
        event_id: id,
        status: wire_status(event.status),
        ended: is_ended(&event, reads.now()),
        capacity: capacity.to_wire(),
        active_participants: counters.active,
        free_places: is_limited.then(|| capacity.free(counters.active)),
        waitlist_count: counters.waiting,
        waitlist_limit: event.fields.waitlist_limit(),
        checked_in: counters.checked_in,
        series: series.then(|| minutes(&reads, &id)),
    };
    Ok(Answer::new(body, as_of).into_response())
}

/// None of an event that is over: nobody comes or goes any more.
fn minutes(reads: &Reads, event: &EventId) -> Vec<MinuteBody> {
    let minutes = reads.lines.minutes(event).unwrap_or_default().into_iter();
    let body = |Minute { at, joined, left }| MinuteBody { at: WireTime(at), joined, left };
    minutes.map(body).collect()
}
