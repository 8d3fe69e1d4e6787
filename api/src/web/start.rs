//! The first page: what is on, and a box to search in.

use axum::extract::State;
use axum::response::Response;
use cityevents_kit::Problem;
use minijinja::context;

use super::Pages;
use super::calls::Call;
use super::render::data;
use super::visitor::Visitor;

/// Events that are shown, and before them those that are talked about.
const SHOWN: u32 = 9;
const TRENDING: u32 = 3;

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let coming = Call::get(format!("/api/feed?limit={SHOWN}"));
    let calls = &pages.shared.calls;
    let mut coming = calls.ask(&visitor, coming).await?;
    let trending = format!("/api/feed/recommended?type=trending&limit={TRENDING}");
    let trending = calls.ask(&visitor, Call::get(trending)).await?;
    // What is shown above is not shown again.
    let above = trending.body["items"].as_array().cloned().unwrap_or_default();
    if let Some(items) = coming.body["items"].as_array_mut() {
        items.retain(|item| !above.iter().any(|shown| shown["id"] == item["id"]));
    }
    let known = context! { list => data(&coming.body), trending => data(&trending.body) };
    Ok(pages.page(&visitor, "start.html", known))
}
