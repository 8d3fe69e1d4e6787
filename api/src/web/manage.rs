//! The organiser's room: how the event stands, who comes and who waits.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::http::PathId;
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;
use minijinja::value::Value;

use super::Pages;
use super::address::{encoded, listing};
use super::calls::Call;
use super::forms::{Asked, Form, new_key};
use super::render::data;
use super::visitor::Visitor;

/// People of a page.
const SHOWN: u32 = 50;
/// What the room says first, after something was done.
const DONE: [&str; 10] = [
    "created",
    "saved",
    "published",
    "unpublished",
    "canceled",
    "removed",
    "banned",
    "lifted",
    "sent",
    "checked-in",
];
/// The lists of people.
const LISTS: [&str; 3] = ["participants", "waitlist", "bans"];

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let told = context! { done => asked.done(&DONE) };
    pages.room(&visitor, event, &asked, StatusCode::OK, told).await
}

/// A list of people as a file.
pub(super) async fn file(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let list = if asked.text("list") == "waitlist" { "waitlist" } else { "participants" };
    let call = Call::get(format!("/api/events/{event}/{list}?format=csv"));
    pages.shared.calls.send(&visitor, call).await
}

impl Pages {
    /// The room, with something to tell.
    pub(super) async fn room(
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
        let room = format!("/events/{event}/manage");
        let stats = Call::get(format!("/api/events/{event}/stats?series=minute"));
        let stats = calls.ask(visitor, stats).await?.body;
        let view = self.view(visitor, event).await?;
        let list = LISTS.into_iter().find(|list| *list == asked.text("list"));
        let list = list.unwrap_or("participants");
        let q = asked.given("q").filter(|_| list != "bans");
        let names: &[&str] = if q.is_some() { &["cursor", "q"] } else { &["cursor"] };
        let people = listing(&format!("/api/events/{event}/{list}"), SHOWN, asked, names);
        let people = calls.ask(visitor, Call::get(people)).await?.body;
        let next = people["next_cursor"].as_str();
        let next = next.map(|cursor| {
            let q = q.map_or_else(String::new, |q| format!("&q={}", encoded(q)));
            format!("{room}?list={list}{q}&cursor={}", encoded(cursor))
        });
        // "This lets 12 people in", before it is done.
        let count = |name: &str| stats[name].as_u64().unwrap_or_default();
        let wanted = asked.given("capacity").and_then(|text| text.parse::<u64>().ok());
        let lets_in = wanted.map(|wanted| {
            let free = wanted.saturating_sub(count("active_participants"));
            let everybody = wanted == 0;
            if everybody { count("waitlist_count") } else { free.min(count("waitlist_count")) }
        });
        let user = visitor.caller().map(|caller| caller.user.to_string());
        let is_owner = view["event"]["owner_id"].as_str() == user.as_deref();
        let known = context! {
            event => data(&view["event"]),
            actions => data(&view["actions"]),
            stats => data(&stats),
            chart => super::chart::joins(&stats, self.now()),
            is_owner => is_owner,
            list => list,
            people => data(&people),
            next => next,
            wanted => wanted,
            lets_in => lets_in,
            key => new_key()?,
            form => asked.shown(),
            ..told
        };
        Ok(self.page_with(status, visitor, "manage.html", known))
    }
}
