//! Removing people, keeping them out, and letting them in again.

use super::shapes::{NewBan, Reason};
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use cityevents_domain::command::CommandKind;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_kit::event_body::{DoneBody, RegistrationBody};
use cityevents_kit::http::{NoBody, PathIds};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{EventPath, Pending, PersonPath, Refusals, WriteParameters};

use super::on_event::OnEvent;
use super::{IngestState, Write};
use crate::answer::Success;
use crate::body::{Optional, Required};
use crate::fields::Asked;
use crate::request::{Gate, WriteHeaders};

/// Removes somebody, and keeps them out until that is lifted.
#[utoipa::path(
    delete,
    path = "/api/events/{id}/participants/{user}",
    tag = "organising",
    operation_id = "remove_participant",
    params(PersonPath, WriteParameters),
    request_body = Option<Reason>,
    responses((status = 200, description = "as asked for", body = RegistrationBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn kick(
    _: Gate,
    caller: Caller,
    PathIds(event, user): PathIds<EventId, UserId>,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    Optional(body): Optional,
) -> Response {
    let path = format!("/api/events/{event}/participants/{user}");
    let write = Write { caller, headers, event: Some(event), success: Success::Ok };
    write.decide(&state, &Method::DELETE, &path, Asked::kick(body, user)).await
}

/// Keeps somebody out, whether they joined or not.
#[utoipa::path(
    post,
    path = "/api/events/{id}/bans",
    tag = "organising",
    operation_id = "ban_from_event",
    params(EventPath, WriteParameters),
    request_body = NewBan,
    responses((status = 200, description = "as asked for", body = DoneBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn ban(on: OnEvent, Required(body): Required) -> Response {
    on.decide(&Method::POST, "/bans", Asked::ban(body)).await
}

/// Lets somebody in again.
#[utoipa::path(
    delete,
    path = "/api/events/{id}/bans/{user}",
    tag = "organising",
    operation_id = "lift_ban",
    params(PersonPath, WriteParameters),
    responses((status = 200, description = "as asked for", body = DoneBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn unban(
    _: Gate,
    caller: Caller,
    PathIds(event, user): PathIds<EventId, UserId>,
    headers: WriteHeaders,
    State(state): State<IngestState>,
    _: NoBody,
) -> Response {
    let path = format!("/api/events/{event}/bans/{user}");
    let asked = Ok(Asked::plain(CommandKind::Unban { user }));
    let write = Write { caller, headers, event: Some(event), success: Success::Ok };
    write.decide(&state, &Method::DELETE, &path, asked).await
}
