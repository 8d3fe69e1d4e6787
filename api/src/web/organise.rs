//! What organisers and staff do to an event and to its people, from their room.

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::http::PathId;
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;
use serde_json::{Value, json};

use super::Pages;
use super::address::encoded;
use super::calls::Call;
use super::forms::Form;
use super::joining::after;
use super::problem::shown;
use super::visitor::Visitor;

/// Publishes, takes back or calls off.
pub(super) async fn state(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: Form,
) -> Result<Response, Problem> {
    let reason = form.given("reason");
    let body = reason.map_or(json!({}), |reason| json!({ "reason": reason }));
    // Staff says why, and the owner is told; owners need not.
    let (base, is_staff) = match form.given("as_staff") {
        Some(_) => (format!("/api/admin/events/{event}"), true),
        None => (format!("/api/events/{event}"), false),
    };
    let (call, done) = match (form.text("to"), is_staff) {
        ("published", false) => (Call::post(format!("{base}/publish")), "published"),
        ("draft", _) => (Call::post(format!("{base}/unpublish")).with(body), "unpublished"),
        ("canceled", false) => (Call::post(format!("{base}/cancel-event")).with(body), "canceled"),
        ("canceled", true) => (Call::post(format!("{base}/cancel")).with(body), "canceled"),
        _ => return Err(Problem::invalid("to", "write published, draft or canceled")),
    };
    pages.organise(&visitor, event, &form, call, done).await
}

/// Sets the number of places.
pub(super) async fn capacity(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: Form,
) -> Result<Response, Problem> {
    let capacity = form.text("capacity").trim();
    let capacity = capacity.parse::<u32>().map_or_else(|_| capacity.into(), Value::from);
    let call = Call::new(Method::PATCH, format!("/api/events/{event}"));
    let call = call.with(json!({ "capacity": capacity }));
    pages.organise(&visitor, event, &form, call, "saved").await
}

/// Removes somebody, keeps somebody out, or lets somebody in again.
pub(super) async fn people(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: Form,
) -> Result<Response, Problem> {
    let user = form.text("user_id").trim();
    let reason = form.given("reason");
    let (call, done) = match form.text("do") {
        "remove" => {
            let path = format!("/api/events/{event}/participants/{}", encoded(user));
            let body = reason.map_or(json!({}), |reason| json!({ "reason": reason }));
            (Call::new(Method::DELETE, path).with(body), "removed")
        }
        "ban" => {
            let body = json!({ "user_id": user, "reason": reason });
            (Call::post(format!("/api/events/{event}/bans")).with(body), "banned")
        }
        "lift" => {
            let path = format!("/api/events/{event}/bans/{}", encoded(user));
            (Call::new(Method::DELETE, path), "lifted")
        }
        _ => return Err(Problem::invalid("do", "write remove, ban or lift")),
    };
    pages.organise(&visitor, event, &form, call, done).await
}

/// Writes to those who come, or wait.
pub(super) async fn message(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: Form,
) -> Result<Response, Problem> {
    let body = json!({
        "to": form.text("to"),
        "subject": form.text("subject").trim(),
        "text": form.text("text").trim(),
    });
    let call = Call::post(format!("/api/events/{event}/messages")).with(body);
    pages.organise(&visitor, event, &form, call, "sent").await
}

/// Lets somebody through the door.
pub(super) async fn check_in(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: Form,
) -> Result<Response, Problem> {
    let code = form.text("code").trim();
    // Who stands at the door without a code is found in the list.
    let body = match form.given("user_id") {
        Some(user) => json!({ "user_id": user }),
        None => json!({ "code": code }),
    };
    let call = Call::post(format!("/api/events/{event}/check-in")).with(body);
    pages.organise(&visitor, event, &form, call, "checked-in").await
}

impl Pages {
    async fn organise(
        &self,
        visitor: &Visitor,
        event: EventId,
        form: &Form,
        call: Call,
        done: &str,
    ) -> Result<Response, Problem> {
        // A page of an older session has no key to send: it acts all the same, only not once.
        let call = match form.given("key") {
            Some(key) => call.keyed(key),
            None => call,
        };
        match self.shared.calls.ask(visitor, call).await {
            Ok(answer) => Ok(after(&answer, &format!("/events/{event}/manage"), done)),
            Err(problem) => match problem.code() {
                ErrorCode::Unauthenticated | ErrorCode::TokenExpired | ErrorCode::EventNotFound => {
                    Err(problem)
                }
                _ => {
                    let told = context! { problem => shown(&problem) };
                    self.room(visitor, event, form, problem.code().status(), told).await
                }
            },
        }
    }
}
