//! Events: make, change, publish, take back, call off.

use super::shapes::{EventChange, NewEvent, Reason, StatedReason};
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use cityevents_domain::command::CommandKind;
use cityevents_kit::event_body::EventBody;
use cityevents_kit::http::NoBody;
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{EventPath, Pending, Refusals, VersionParameters, WriteParameters};
use cityevents_kit::problem::{ErrorCode, Problem};

use super::on_event::OnEvent;
use super::{IngestState, Write};
use crate::answer::Success;
use crate::body::{Fields, Optional, Required};
use crate::fields::Asked;
use crate::request::{Gate, WriteHeaders};

/// Makes a draft.
#[utoipa::path(
    post,
    path = "/api/events",
    tag = "organising",
    operation_id = "create_event",
    params(WriteParameters),
    request_body = NewEvent,
    responses((status = 201, description = "made, as a draft", body = EventBody), Pending, Refusals),
    security(("bearer" = [])),
)]
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

/// Changes the fields that are sent.
#[utoipa::path(
    patch,
    path = "/api/events/{id}",
    tag = "organising",
    operation_id = "update_event",
    params(EventPath, WriteParameters, VersionParameters),
    request_body = EventChange,
    responses((status = 200, description = "as asked for", body = EventBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn update(on: OnEvent, Required(body): Required) -> Response {
    let asked = Asked::update(body, on.headers.if_match);
    on.decide(&Method::PATCH, "", asked).await
}

/// Opens a draft to everybody.
#[utoipa::path(
    post,
    path = "/api/events/{id}/publish",
    tag = "organising",
    operation_id = "publish_event",
    params(EventPath, WriteParameters),
    responses((status = 200, description = "as asked for", body = EventBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn publish(on: OnEvent, _: NoBody) -> Response {
    on.decide(&Method::POST, "/publish", Ok(Asked::plain(CommandKind::Publish))).await
}

/// Takes a published event back; registrations are kept.
#[utoipa::path(
    post,
    path = "/api/events/{id}/unpublish",
    tag = "organising",
    operation_id = "unpublish_event",
    params(EventPath, WriteParameters),
    request_body = Option<Reason>,
    responses((status = 200, description = "as asked for", body = EventBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn unpublish(on: OnEvent, Optional(body): Optional) -> Response {
    on.decide(&Method::POST, "/unpublish", unpublish_of(body, false)).await
}

/// Calls an event off, for ever.
#[utoipa::path(
    post,
    path = "/api/events/{id}/cancel-event",
    tag = "organising",
    operation_id = "cancel_event",
    params(EventPath, WriteParameters),
    request_body = Option<Reason>,
    responses((status = 200, description = "as asked for", body = EventBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn cancel(on: OnEvent, Optional(body): Optional) -> Response {
    on.decide(&Method::POST, "/cancel-event", cancel_of(body, false)).await
}

/// Takes an event of somebody back.
#[utoipa::path(
    post,
    path = "/api/admin/events/{id}/unpublish",
    tag = "staff",
    operation_id = "unpublish_event_by_staff",
    params(EventPath, WriteParameters),
    request_body = StatedReason,
    responses((status = 200, description = "as asked for", body = EventBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn unpublish_by_staff(on: OnEvent, Optional(body): Optional) -> Response {
    if let Err(problem) = staff_only(&on.caller) {
        return problem.into_response();
    }
    on.decide_for_staff(&Method::POST, "/unpublish", unpublish_of(body, true)).await
}

/// Calls an event of somebody off.
#[utoipa::path(
    post,
    path = "/api/admin/events/{id}/cancel",
    tag = "staff",
    operation_id = "cancel_event_by_staff",
    params(EventPath, WriteParameters),
    request_body = StatedReason,
    responses((status = 200, description = "as asked for", body = EventBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn cancel_by_staff(on: OnEvent, Optional(body): Optional) -> Response {
    if let Err(problem) = staff_only(&on.caller) {
        return problem.into_response();
    }
    on.decide_for_staff(&Method::POST, "/cancel", cancel_of(body, true)).await
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
