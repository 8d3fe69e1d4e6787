//! Joining and leaving. Both need a key, since a browser that repeats one must not act twice.

use axum::http::Method;
use axum::response::{IntoResponse, Response};
use cityevents_domain::command::CommandKind;
use cityevents_kit::http::NoBody;

use super::on_event::OnEvent;
use crate::fields::Asked;

pub(super) async fn join(on: OnEvent, _: NoBody) -> Response {
    if let Err(problem) = on.headers.needed_key() {
        return problem.into_response();
    }
    on.decide(&Method::POST, "/join", Ok(Asked::plain(CommandKind::Join))).await
}

pub(super) async fn leave(on: OnEvent, _: NoBody) -> Response {
    if let Err(problem) = on.headers.needed_key() {
        return problem.into_response();
    }
    on.decide(&Method::POST, "/cancel", Ok(Asked::plain(CommandKind::Leave))).await
}
