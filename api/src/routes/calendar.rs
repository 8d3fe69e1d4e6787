//! One event for a calendar.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::Problem;
use cityevents_kit::http::{PathId, Query};
use cityevents_kit::keys::OptionalCaller;
use cityevents_kit::openapi::{EventPath, NotThere};

use super::NoParameters;
use crate::calendar::{Attendance, answer, calendar};
use crate::state::Reads;

/// One event, as iCalendar.
#[utoipa::path(
    get,
    path = "/api/events/{id}/calendar.ics",
    tag = "events",
    operation_id = "event_calendar",
    params(EventPath),
    responses((status = 200, description = "as asked for", body = String, content_type = "text/calendar"), NotThere),
    security((), ("bearer" = [])),
)]
pub(super) async fn event(
    State(reads): State<Reads>,
    PathId(id): PathId<EventId>,
    Query(NoParameters {}): Query<NoParameters>,
    OptionalCaller(caller): OptionalCaller,
) -> Result<Response, Problem> {
    let event = reads.visible_event(id, caller.as_ref()).await?;
    let name = event.fields.title.clone();
    Ok(answer(&calendar(&name, &[(event, Attendance::Certain)])))
}
