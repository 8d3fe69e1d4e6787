//! The routes, a file for each group.

mod calendar;
mod cities;
mod commands;
mod events;
mod live;
mod mine;
mod people;
mod view;

use axum::Router;
use axum::routing::get;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::state::Reads;

/// All reads. The parts that every listener has (who asks, limits, request ids, security headers)
/// come from around it.
pub fn router(reads: Reads) -> Router {
    Router::new()
        .route("/api/events", get(events::list))
        .route("/api/feed", get(events::feed))
        .route("/api/events/{id}", get(events::one))
        .route("/api/events/{id}/view", get(view::view))
        .route("/api/events/{id}/calendar.ics", get(calendar::event))
        .route("/api/events/{id}/live", get(live::event))
        .route("/api/events/{id}/participants", get(people::participants))
        .route("/api/events/{id}/waitlist", get(people::waitlist))
        .route("/api/events/{id}/bans", get(people::bans))
        .route("/api/events/{id}/stats", get(people::stats))
        .route("/api/me/joins", get(mine::joins))
        .route("/api/me/live", get(live::own))
        .route("/api/me/events", get(mine::events))
        .route("/api/commands/{id}", get(commands::one))
        .route("/api/meta/cities", get(cities::cities))
        .with_state(reads)
}

/// The query of a call that takes none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

/// The query of a list without filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageOnly {
    #[serde(rename = "limit")]
    _limit: Option<IgnoredAny>,
    #[serde(rename = "cursor")]
    _cursor: Option<IgnoredAny>,
}

/// A parameter that is given and not empty: forms send empty ones for what nobody filled in.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}
