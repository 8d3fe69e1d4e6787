//! One event for a calendar.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::Problem;
use cityevents_kit::http::{PathId, Query};
use cityevents_kit::keys::OptionalCaller;

use super::NoParameters;
use crate::calendar::{Attendance, answer, calendar};
use crate::state::Reads;

/// `GET /api/events/{id}/calendar.ics`
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
