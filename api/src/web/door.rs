//! At the door: who shows a ticket or a code is let in, once, and who has none is found by name.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::http::PathId;
use cityevents_kit::seal::Ticket;
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;
use minijinja::value::Value;
use serde_json::json;

use super::Pages;
use super::address::encoded;
use super::calls::Call;
use super::forms::{Asked, Form, new_key};
use super::joining::after;
use super::letters::discreet;
use super::problem::shown;
use super::render::data;
use super::visitor::{Visitor, see_other};

/// People who are found by name.
const FOUND: u32 = 10;
/// People of a page of the list on paper, and how many of them a call gives.
const LISTED_MAX: usize = 1_000;
const LISTED_AT_ONCE: usize = 100;

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let looked = match (asked.given("code"), asked.given("in")) {
        (Some(code), _) => Some(pages.look(&visitor, event, "code", code).await),
        (None, Some(user)) => Some(pages.look(&visitor, event, "user_id", user).await),
        (None, None) => None,
    };
    let (status, told) = match looked {
        None => (StatusCode::OK, context! { done => asked.done(&["checked-in"]) }),
        Some(Ok(person)) => {
            (StatusCode::OK, context! { person, is_in => asked.given("in").is_some() })
        }
        Some(Err(problem)) => (problem.code().status(), context! { problem => shown(&problem) }),
    };
    pages.door(&visitor, event, &asked, status, told).await
}

/// Where the picture of a ticket leads: its owner to the ticket, anybody else to the door.
pub(super) async fn scanned(
    visitor: Visitor,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let ticket = Ticket::claimed(&text).ok_or_else(|| Problem::new(ErrorCode::NotFound))?;
    let caller = visitor.caller().ok_or_else(|| Problem::new(ErrorCode::Unauthenticated))?;
    let event = ticket.event;
    Ok(discreet(match caller.user == ticket.user {
        true => see_other(&format!("/events/{event}/ticket")),
        false => see_other(&format!("/events/{event}/door?code={}", encoded(&text))),
    }))
}

/// Lets somebody in.
pub(super) async fn let_in(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: Form,
) -> Result<Response, Problem> {
    let (name, value) = match form.given("user_id") {
        Some(user) => ("user_id", user),
        None => ("code", form.text("code")),
    };
    let call = Call::post(format!("/api/events/{event}/check-in")).with(json!({ name: value }));
    let call = match form.given("key") {
        Some(key) => call.keyed(key),
        None => call,
    };
    let door = format!("/events/{event}/door");
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(answer) => Ok(match answer.body["user_id"].as_str() {
            Some(user) if answer.pending().is_none() => see_other(&format!("{door}?in={user}")),
            _ => after(&answer, &door, "checked-in"),
        }),
        Err(problem) if is_not_about_the_person(&problem) => Err(problem),
        Err(problem) => {
            let person = pages.look(&visitor, event, name, value).await.ok();
            let told = context! { problem => shown(&problem), person };
            pages.door(&visitor, event, &form, problem.code().status(), told).await
        }
    }
}

/// The people who are expected, to be printed.
pub(super) async fn list(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let calls = &pages.shared.calls;
    let mut cursor = asked.given("cursor").map(str::to_owned);
    let mut people = Vec::new();
    loop {
        let mut call = format!("/api/events/{event}/participants?limit={LISTED_AT_ONCE}");
        if let Some(cursor) = &cursor {
            call.push_str(&format!("&cursor={}", encoded(cursor)));
        }
        let mut body = calls.ask(&visitor, Call::get(call)).await?.body;
        if let Some(items) = body["items"].as_array_mut() {
            people.append(items);
        }
        cursor = body["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || people.len() >= LISTED_MAX {
            break;
        }
    }
    // As people are looked up on paper: by name, and after them those who have given none.
    people.sort_by_cached_key(|person| {
        let name = person["name"].as_str().unwrap_or_default().to_lowercase();
        (name.is_empty(), name)
    });
    let view = pages.view(&visitor, event).await?;
    let next =
        cursor.map(|cursor| format!("/events/{event}/door/list?cursor={}", encoded(&cursor)));
    let known = context! { event => data(&view["event"]), people => data(&people.into()), next };
    Ok(pages.page(&visitor, "door_list.html", known))
}

/// What leads to another page than the door.
fn is_not_about_the_person(problem: &Problem) -> bool {
    matches!(
        problem.code(),
        ErrorCode::Unauthenticated
            | ErrorCode::TokenExpired
            | ErrorCode::Forbidden
            | ErrorCode::EventNotFound
    )
}

impl Pages {
    /// Whom something that is shown belongs to.
    async fn look(
        &self,
        visitor: &Visitor,
        event: EventId,
        name: &str,
        value: &str,
    ) -> Result<Value, Problem> {
        let call = format!("/api/events/{event}/check-in?{name}={}", encoded(value));
        match self.shared.calls.ask(visitor, Call::get(call)).await {
            Ok(answer) => Ok(data(&answer.body)),
            Err(problem) => Err(problem),
        }
    }

    async fn door(
        &self,
        visitor: &Visitor,
        event: EventId,
        asked: &Form,
        status: StatusCode,
        told: Value,
    ) -> Result<Response, Problem> {
        if visitor.caller().is_none() {
            return Err(Problem::new(ErrorCode::Unauthenticated));
        }
        let calls = &self.shared.calls;
        let stats = calls.ask(visitor, Call::get(format!("/api/events/{event}/stats"))).await?.body;
        let view = self.view(visitor, event).await?;
        let found = match asked.given("q") {
            None => None,
            Some(q) => {
                let call =
                    format!("/api/events/{event}/participants?limit={FOUND}&q={}", encoded(q));
                Some(calls.ask(visitor, Call::get(call)).await?.body)
            }
        };
        let known = context! {
            event => data(&view["event"]),
            stats => data(&stats),
            found => found.as_ref().map(data),
            key => new_key()?,
            form => asked.shown(),
            ..told
        };
        Ok(discreet(self.page_with(status, visitor, "door.html", known)))
    }
}
