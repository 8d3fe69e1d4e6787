//! Streams of server-sent events.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::Problem;
use cityevents_kit::http::{PathId, Query};
use cityevents_kit::keys::{Caller, OptionalCaller};

use super::NoParameters;
use crate::freshness::Presented;
use crate::live::Watched;
use crate::state::Reads;

/// `GET /api/events/{id}/live`: counts, and the own status and position of who is signed in.
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

/// `GET /api/me/live`: the own registrations, wherever they are.
pub(super) async fn own(
    State(reads): State<Reads>,
    Query(NoParameters {}): Query<NoParameters>,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    reads.settle(presented).await?;
    reads.live(Watched::Own, Some(&caller)).await
}
