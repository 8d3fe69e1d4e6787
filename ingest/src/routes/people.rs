//! Removing people, keeping them out, and letting them in again.

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use cityevents_domain::command::CommandKind;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_kit::http::{NoBody, PathIds};
use cityevents_kit::keys::Caller;

use super::on_event::OnEvent;
use super::{IngestState, Write};
use crate::answer::Success;
use crate::body::{Optional, Required};
use crate::fields::Asked;
use crate::request::{Gate, WriteHeaders};

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

pub(super) async fn ban(on: OnEvent, Required(body): Required) -> Response {
    on.decide(&Method::POST, "/bans", Asked::ban(body)).await
}

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
