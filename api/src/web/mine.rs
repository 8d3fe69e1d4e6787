//! One's own places, and one's own events.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use cityevents_kit::Problem;
use minijinja::context;

use super::Pages;
use super::address::encoded;
use super::calls::Call;
use super::forms::Form;
use super::render::data;
use super::visitor::Visitor;

/// Rows of a page.
const SHOWN: u32 = 24;

pub(super) async fn places(
    State(pages): State<Pages>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    pages.own(&visitor, query, ("/api/me/joins", "/me")).await
}

pub(super) async fn events(
    State(pages): State<Pages>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    pages.own(&visitor, query, ("/api/me/events", "/me/events")).await
}

impl Pages {
    async fn own(
        &self,
        visitor: &Visitor,
        query: Option<String>,
        (call, page): (&str, &str),
    ) -> Result<Response, Problem> {
        let asked = Form::parse(query.unwrap_or_default().as_bytes());
        let mut call = format!("{call}?limit={SHOWN}");
        if let Some(cursor) = asked.given("cursor") {
            call.push_str(&format!("&cursor={}", encoded(cursor)));
        }
        let list = self.shared.calls.ask(visitor, Call::get(call)).await?.body;
        let next = list["next_cursor"].as_str();
        let next = next.map(|cursor| format!("{page}?cursor={}", encoded(cursor)));
        let known = context! { list => data(&list), next => next, page => page };
        Ok(self.page(visitor, "mine.html", known))
    }
}
