//! Events: make, change, publish, take back, call off.

use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use cityevents_domain::command::CommandKind;
use cityevents_domain::ids::EventId;
use cityevents_kit::http::{NoBody, PathId};
use cityevents_kit::keys::Caller;
use cityevents_kit::problem::{ErrorCode, Problem};

use super::{IngestState, Write};
use crate::answer::Success;
use crate::body::{Fields, Optional, Required};
use crate::fields::Asked;
use crate::request::{Gate, WriteHeaders};

pub(super) async fn create(
    _: Gate,
    caller: Caller,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    Required(body): Required,
) -> Response {
    let write = Write { caller, headers, event: None, success: Success::Created };
    write.decide(&state, &Method::POST, "/api/events", Asked::create(body)).await
}

pub(super) async fn update(
    _: Gate,
    caller: Caller,
    PathId(event): PathId<EventId>,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    Required(body): Required,
) -> Response {
    let asked = Asked::update(body, headers.if_match);
    let write = Write { caller, headers, event: Some(event), success: Success::Ok };
    write.decide(&state, &Method::PATCH, &format!("/api/events/{event}"), asked).await
}

pub(super) async fn publish(
    _: Gate,
    caller: Caller,
    PathId(event): PathId<EventId>,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    _: NoBody,
) -> Response {
    let asked = Ok(Asked::plain(CommandKind::Publish));
    let write = Write { caller, headers, event: Some(event), success: Success::Ok };
    write.decide(&state, &Method::POST, &format!("/api/events/{event}/publish"), asked).await
}

pub(super) async fn unpublish(
    _: Gate,
    caller: Caller,
    PathId(event): PathId<EventId>,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    Optional(body): Optional,
) -> Response {
    let asked = unpublish_of(body, false);
    let write = Write { caller, headers, event: Some(event), success: Success::Ok };
    write.decide(&state, &Method::POST, &format!("/api/events/{event}/unpublish"), asked).await
}

pub(super) async fn cancel(
    _: Gate,
    caller: Caller,
    PathId(event): PathId<EventId>,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    Optional(body): Optional,
) -> Response {
    let asked = cancel_of(body, false);
    let write = Write { caller, headers, event: Some(event), success: Success::Ok };
    write.decide(&state, &Method::POST, &format!("/api/events/{event}/cancel-event"), asked).await
}

pub(super) async fn unpublish_by_staff(
    _: Gate,
    caller: Caller,
    PathId(event): PathId<EventId>,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    Optional(body): Optional,
) -> Response {
    if let Err(problem) = staff_only(&caller) {
        return problem.into_response();
    }
    let asked = unpublish_of(body, true);
    let path = format!("/api/admin/events/{event}/unpublish");
    let write = Write { caller, headers, event: Some(event), success: Success::Ok };
    write.decide(&state, &Method::POST, &path, asked).await
}

pub(super) async fn cancel_by_staff(
    _: Gate,
    caller: Caller,
    PathId(event): PathId<EventId>,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    Optional(body): Optional,
) -> Response {
    if let Err(problem) = staff_only(&caller) {
        return problem.into_response();
    }
    let asked = cancel_of(body, true);
    let path = format!("/api/admin/events/{event}/cancel");
    let write = Write { caller, headers, event: Some(event), success: Success::Ok };
    write.decide(&state, &Method::POST, &path, asked).await
}

fn unpublish_of(body: Fields, needs_reason: bool) -> Result<Asked, Problem> {
    Asked::withdraw(body, needs_reason, |reason| CommandKind::Unpublish { reason })
}

fn cancel_of(body: Fields, needs_reason: bool) -> Result<Asked, Problem> {
    Asked::withdraw(body, needs_reason, |reason| CommandKind::Cancel { reason })
}

/// An owner who is no staff has calls of their own for the same.
fn staff_only(caller: &Caller) -> Result<(), Problem> {
    if caller.role.is_staff() {
        return Ok(());
    }
    Err(Problem::because(ErrorCode::Forbidden, "this is for moderators and admins"))
}
