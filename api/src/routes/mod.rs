//! The routes, a file for each group.

mod calendar;
mod cities;
mod commands;
mod door;
mod events;
mod live;
mod mine;
mod people;
mod person;
mod stats;
mod view;

use serde::Deserialize;
use serde::de::IgnoredAny;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Reads;

/// All reads. The parts that every listener has (who asks, limits, request ids, security headers)
/// come from around it.
pub fn router(reads: Reads) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(events::list))
        .routes(routes!(events::feed))
        .routes(routes!(events::one))
        .routes(routes!(view::view))
        .routes(routes!(calendar::event))
        .routes(routes!(live::event))
        .routes(routes!(people::participants))
        .routes(routes!(people::waitlist))
        .routes(routes!(people::bans))
        .routes(routes!(stats::stats))
        .routes(routes!(door::ticket))
        .routes(routes!(door::look))
        .routes(routes!(mine::joins))
        .routes(routes!(live::own))
        .routes(routes!(mine::events))
        .routes(routes!(commands::one))
        .routes(routes!(cities::cities))
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
