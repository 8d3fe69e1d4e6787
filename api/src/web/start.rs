//! The first page: what is on, and a box to search in.

use axum::extract::State;
use axum::response::Response;
use cityevents_kit::Problem;
use minijinja::context;

use super::Pages;
use super::calls::Call;
use super::render::data;
use super::visitor::Visitor;

/// Events that are shown.
const SHOWN: u32 = 9;

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let coming = Call::get(format!("/api/feed?limit={SHOWN}"));
    let coming = pages.shared.calls.ask(&visitor, coming).await?;
    Ok(pages.page(&visitor, "start.html", context! { list => data(&coming.body) }))
}
