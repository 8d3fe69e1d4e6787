//! Streams of server-sent events.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::Problem;
use cityevents_kit::http::{PathId, Query};
use cityevents_kit::keys::{Caller, OptionalCaller};
use cityevents_kit::openapi::{EventPath, NotThere};

use super::NoParameters;
use crate::freshness::Presented;
use crate::live::Watched;
use crate::state::Reads;

/// Follows an event: counts, and the own status and position of who is signed in.
#[utoipa::path(
    get,
    path = "/api/events/{id}/live",
    tag = "live",
    operation_id = "follow_event",
    params(EventPath),
    responses((status = 200, description = "events named `counts` and `participation`", body = String, content_type = "text/event-stream"), NotThere),
    security((), ("bearer" = [])),
)]
pub(super) async fn event(
    State(reads): State<Reads>,
    PathId(id): PathId<EventId>,
    Query(NoParameters {}): Query<NoParameters>,
    OptionalCaller(caller): OptionalCaller,
    presented: Presented,
) -> Result<Response, Problem> {
    reads.settle(presented).await?;
    reads.visible_event(id, caller.as_ref()).await?;
    reads.live(Watched::Event(id), caller.as_ref()).await
}

/// Follows the own registrations, wherever they are.
#[utoipa::path(
    get,
    path = "/api/me/live",
    tag = "live",
    operation_id = "follow_own",
    responses((status = 200, description = "events named `participation`", body = String, content_type = "text/event-stream")),
    security(("bearer" = [])),
)]
pub(super) async fn own(
    State(reads): State<Reads>,
    Query(NoParameters {}): Query<NoParameters>,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    reads.settle(presented).await?;
    reads.live(Watched::Own, Some(&caller)).await
}
