//! One's own places, and one's own events.

use axum::extract::State;
use axum::response::Response;
use cityevents_kit::Problem;
use minijinja::context;

use super::Pages;
use super::address::{listing, next};
use super::calls::Call;
use super::forms::{Asked, Form};
use super::render::data;
use super::visitor::Visitor;

/// Rows of a page.
const SHOWN: u32 = 24;

pub(super) async fn places(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    pages.own(&visitor, &asked, ("/api/me/joins", "/me")).await
}

pub(super) async fn events(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    pages.own(&visitor, &asked, ("/api/me/events", "/me/events")).await
}

impl Pages {
    async fn own(
        &self,
        visitor: &Visitor,
        asked: &Form,
        (call, page): (&str, &str),
    ) -> Result<Response, Problem> {
        let call = listing(call, SHOWN, asked, &["cursor"]);
        let list = self.shared.calls.ask(visitor, Call::get(call)).await?.body;
        let next = next(page, asked, &["cursor"], &list);
        let known = context! { list => data(&list), next => next, page => page };
        Ok(self.page(visitor, "mine.html", known))
    }
}
