//! Joining and leaving. Both need a key, since a browser that repeats one must not act twice.

use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use cityevents_domain::command::CommandKind;
use cityevents_domain::ids::EventId;
use cityevents_kit::http::{NoBody, PathId};
use cityevents_kit::keys::Caller;

use super::{IngestState, Write};
use crate::answer::Success;
use crate::fields::Asked;
use crate::request::{Gate, WriteHeaders};

pub(super) async fn join(
    _: Gate,
    caller: Caller,
    PathId(event): PathId<EventId>,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    _: NoBody,
) -> Response {
    if let Err(problem) = headers.needed_key() {
        return problem.into_response();
    }
    let asked = Ok(Asked::plain(CommandKind::Join));
    let write = Write { caller, headers, event: Some(event), success: Success::Ok };
    write.decide(&state, &Method::POST, &format!("/api/events/{event}/join"), asked).await
}

pub(super) async fn leave(
    _: Gate,
    caller: Caller,
    PathId(event): PathId<EventId>,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    _: NoBody,
) -> Response {
    if let Err(problem) = headers.needed_key() {
        return problem.into_response();
    }
    let asked = Ok(Asked::plain(CommandKind::Leave));
    let write = Write { caller, headers, event: Some(event), success: Success::Ok };
    write.decide(&state, &Method::POST, &format!("/api/events/{event}/cancel"), asked).await
}
