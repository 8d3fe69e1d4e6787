//! The form of an event: a new one, and one that is changed.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::http::PathId;
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;
use serde_json::{Value, json};

use super::Pages;
use super::calls::Call;
use super::forms::{Form, new_key};
use super::joining::after;
use super::messages::Language;
use super::problem::shown;
use super::times;
use super::visitor::{Visitor, see_other};

/// Fields that are times.
const TIMES: [&str; 3] = ["start_time", "end_time", "opens_at"];

pub(super) async fn new_form(
    State(pages): State<Pages>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    if visitor.caller().is_none() {
        return Ok(visitor.sign_in_first());
    }
    Ok(pages.page(&visitor, "event_form.html", context! { key => new_key()? }))
}

pub(super) async fn create(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Problem> {
    let call = Call::post("/api/events").keyed(form.text("key")).with(body(&form));
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(answer) => Ok(match answer.body["id"].as_str() {
            Some(event) if answer.pending().is_none() => {
                see_other(&format!("/events/{event}/manage?done=created"))
            }
            _ => after(&answer, "/me/events", "created"),
        }),
        Err(problem) if is_about_signing_in(&problem) => Err(problem),
        Err(problem) => {
            let known = context! {
                form => typed(&form),
                key => new_key()?,
                problem => shown(&problem),
            };
            Ok(pages.page_with(problem.code().status(), &visitor, "event_form.html", known))
        }
    }
}

pub(super) async fn edit_form(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
) -> Result<Response, Problem> {
    let view = pages.view(&visitor, event).await?;
    if view["actions"]["can_edit"] != true {
        return Err(match visitor.caller() {
            Some(_) => Problem::new(ErrorCode::Forbidden),
            None => Problem::new(ErrorCode::Unauthenticated),
        });
    }
    let known = context! {
        form => filled(&view["event"]),
        event_id => event.to_string(),
        key => new_key()?,
    };
    Ok(pages.page(&visitor, "event_form.html", known))
}

pub(super) async fn edit(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: Form,
) -> Result<Response, Problem> {
    let call = Call::new(Method::PATCH, format!("/api/events/{event}"));
    let call = call.keyed(form.text("key")).if_version(form.text("version")).with(body(&form));
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(answer) => Ok(after(&answer, &format!("/events/{event}/manage"), "saved")),
        Err(problem) if is_about_signing_in(&problem) => Err(problem),
        Err(problem) => {
            let known = context! {
                form => typed(&form),
                event_id => event.to_string(),
                key => new_key()?,
                problem => shown(&problem),
            };
            Ok(pages.page_with(problem.code().status(), &visitor, "event_form.html", known))
        }
    }
}

fn is_about_signing_in(problem: &Problem) -> bool {
    matches!(problem.code(), ErrorCode::Unauthenticated | ErrorCode::TokenExpired)
}

/// What the calls take. What is no number is passed on, and refused by its name.
fn body(form: &Form) -> Value {
    let number = |name: &str| match form.given(name) {
        None => Value::Null,
        Some(text) => text.parse::<u32>().map_or_else(|_| text.into(), Value::from),
    };
    let capacity = match number("capacity") {
        Value::Null => json!(0),
        capacity => capacity,
    };
    json!({
        "title": form.text("title").trim(),
        "description": form.text("description").trim(),
        "city": form.text("city").trim(),
        "category": form.text("category").trim(),
        "location": form.text("location").trim(),
        "start_time": instant(form, "start_time"),
        "end_time": instant(form, "end_time"),
        "opens_at": instant(form, "opens_at"),
        "capacity": capacity,
        "waitlist_limit": number("waitlist_limit"),
    })
}

/// A time as the calls take it: the one that a script has written, which knows the reader's zone;
/// else the field itself, which is in UTC then.
fn instant(form: &Form, name: &str) -> Option<String> {
    if let Some(written) = form.given(&format!("{name}_at")) {
        return Some(written.to_owned());
    }
    let text = form.given(name)?;
    let seconds = if text.matches(':').count() == 1 { ":00" } else { "" };
    Some(format!("{text}{seconds}Z"))
}

/// What was typed, times in UTC: a script writes them in the reader's zone again.
fn typed(form: &Form) -> BTreeMap<String, String> {
    let mut typed = form.shown();
    for name in TIMES {
        let at = instant(form, name);
        let text = at.and_then(|at| times::text(Language::English, &at, "input"));
        if let Some(text) = text {
            typed.insert(name.to_owned(), text);
        }
    }
    typed
}

/// The form of an event as it is.
fn filled(event: &Value) -> BTreeMap<String, String> {
    let names = [
        "title",
        "description",
        "city",
        "category",
        "location",
        "capacity",
        "waitlist_limit",
        "version",
    ];
    let text = |name: &str| match &event[name] {
        Value::String(text) => text.clone(),
        // Without a limit the field is empty.
        Value::Number(number) if name == "capacity" && number.as_u64() == Some(0) => String::new(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let mut filled: BTreeMap<_, _> =
        names.into_iter().map(|name| (name.to_owned(), text(name))).collect();
    for name in TIMES {
        let at = event[name].as_str();
        let at = at.and_then(|at| times::text(Language::English, at, "input"));
        filled.insert(name.to_owned(), at.unwrap_or_default());
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_script_or_utc() {
        let form = Form::parse(
            b"start_time=2026-07-14T20%3A00&start_time_at=2026-07-14T18%3A00%3A00.000Z\
              &end_time=2026-07-14T22%3A00&capacity=12&waitlist_limit=many&title=+a+",
        );
        let body = body(&form);
        assert_eq!(body["start_time"], "2026-07-14T18:00:00.000Z");
        assert_eq!(body["end_time"], "2026-07-14T22:00:00Z");
        assert_eq!(body["opens_at"], Value::Null);
        assert_eq!(body["capacity"], 12);
        assert_eq!(body["waitlist_limit"], "many");
        assert_eq!(body["title"], "a");
        assert_eq!(typed(&form)["start_time"], "2026-07-14T18:00");
    }

    #[test]
    fn an_event_without_a_limit_has_an_empty_field() {
        let event =
            json!({ "title": "t", "capacity": 0, "start_time": "2026-07-14T18:00:00.000Z" });
        let filled = filled(&event);
        assert_eq!((&*filled["capacity"], &*filled["start_time"]), ("", "2026-07-14T18:00"));
    }
}
