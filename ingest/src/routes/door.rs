//! At the door: letting people in, and writing to them.

use super::shapes::{CheckIn, NewMessage};
use axum::http::Method;
use axum::response::Response;
use cityevents_domain::command::{Audience, CommandKind};
use cityevents_domain::event::{SUBJECT_CHARACTERS_MAX, TEXT_CHARACTERS_MAX};
use cityevents_domain::ids::UserId;
use cityevents_kit::event_body::{DoneBody, OutcomeBody};
use cityevents_kit::openapi::{EventPath, Pending, Refusals, WriteParameters};
use cityevents_kit::problem::Problem;
use cityevents_kit::seal::NotAdmitted;

use super::on_event::OnEvent;
use crate::body::{Fields, Required};
use crate::fields::Asked;

/// Lets somebody through the door, once.
#[utoipa::path(
    post,
    path = "/api/events/{id}/check-in",
    tag = "organising",
    operation_id = "check_in",
    params(EventPath, WriteParameters),
    request_body = CheckIn,
    responses((status = 200, description = "as asked for", body = OutcomeBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn check_in(on: OnEvent, Required(body): Required) -> Response {
    let asked = check_in_of(body, |shown| on.state.codes().whose(&on.event, shown));
    on.decide(&Method::POST, "/check-in", asked).await
}

/// Writes to those who come, or wait.
#[utoipa::path(
    post,
    path = "/api/events/{id}/messages",
    tag = "organising",
    operation_id = "send_message",
    params(EventPath, WriteParameters),
    request_body = NewMessage,
    responses((status = 200, description = "as asked for", body = DoneBody), Pending, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn message(on: OnEvent, Required(body): Required) -> Response {
    on.decide(&Method::POST, "/messages", message_of(body)).await
}

/// Somebody, by id or by the code or ticket that they show. `whose` reads what is shown.
fn check_in_of(
    mut body: Fields,
    whose: impl FnOnce(&str) -> Result<UserId, NotAdmitted>,
) -> Result<Asked, Problem> {
    let digest = body.digest();
    let (user, code) = (body.id("user_id"), body.text("code"));
    let user = match (user, code) {
        (Some(_), Some(_)) => {
            body.invalid.add("code", "send either this or user_id");
            None
        }
        (None, Some(code)) => {
            let shown = whose(&code);
            shown.map_err(|error| body.invalid.add("code", error.to_string())).ok()
        }
        (Some(user), None) => Some(user),
        (None, None) => {
            if body.invalid.is_empty() {
                body.invalid.add("user_id", "is missing; send it, or the code that is shown");
            }
            None
        }
    };
    body.finish()?;
    let user = user.ok_or_else(Problem::internal)?;
    Ok(Asked::with_digest(CommandKind::CheckIn { user }, digest))
}

fn message_of(mut body: Fields) -> Result<Asked, Problem> {
    let digest = body.digest();
    let word = body.text("to");
    let to = word.as_deref().and_then(Audience::parse);
    if word.is_some() && to.is_none() {
        let words = Audience::ALL.map(Audience::as_str).join(", ");
        body.invalid.add("to", format!("must be one of {words}"));
    }
    let to = body.required("to", to);
    let subject = body.brief("subject", SUBJECT_CHARACTERS_MAX);
    let subject = body.required("subject", subject);
    let text = body.brief("text", TEXT_CHARACTERS_MAX);
    let text = body.required("text", text);
    body.finish()?;
    match (to, subject, text) {
        (Some(to), Some(subject), Some(text)) => {
            Ok(Asked::with_digest(CommandKind::Message { to, subject, text }, digest))
        }
        // What is missing was refused above.
        _ => Err(Problem::internal()),
    }
}
