//! Joining and leaving. Both need a key, since a browser that repeats one must not act twice.

use axum::http::Method;
use axum::response::{IntoResponse, Response};
use cityevents_domain::command::CommandKind;
use cityevents_kit::event_body::RegistrationBody;
use cityevents_kit::http::NoBody;
use cityevents_kit::openapi::{EventPath, KeyedParameters, Pending, Refusals};

use super::on_event::OnEvent;
use crate::fields::Asked;

/// Takes a place, or waits for one.
#[utoipa::path(
    post,
    path = "/api/events/{id}/join",
    tag = "joining",
    operation_id = "join_event",
    params(EventPath, KeyedParameters),
    responses((status = 200, description = "as asked for", body = RegistrationBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn join(on: OnEvent, _: NoBody) -> Response {
    if let Err(problem) = on.headers.needed_key() {
        return problem.into_response();
    }
    on.decide(&Method::POST, "/join", Ok(Asked::plain(CommandKind::Join))).await
}

/// Gives the place back, or leaves the line.
#[utoipa::path(
    post,
    path = "/api/events/{id}/cancel",
    tag = "joining",
    operation_id = "leave_event",
    params(EventPath, KeyedParameters),
    responses((status = 200, description = "as asked for", body = RegistrationBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn leave(on: OnEvent, _: NoBody) -> Response {
    if let Err(problem) = on.headers.needed_key() {
        return problem.into_response();
    }
    on.decide(&Method::POST, "/cancel", Ok(Asked::plain(CommandKind::Leave))).await
}
