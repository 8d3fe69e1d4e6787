//! Names of cities, while somebody types.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::event::CITY_CHARACTERS_MAX;
use cityevents_kit::Problem;
use cityevents_kit::http::Query;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::freshness::Presented;
use crate::state::Reads;

/// Fewest characters typed.
const CHARACTERS_MIN: usize = 2;
/// Most names of an answer.
const NAMES_MAX: usize = 10;

/// The query.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// The beginning of a name.
    #[param(required = true, min_length = 2, max_length = 80)]
    q: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CityNames)]
struct Body {
    data: Vec<String>,
}

/// Names of cities that begin like this, those with most events first; case and accents do not
/// count.
#[utoipa::path(
    get,
    path = "/api/meta/cities",
    tag = "events",
    operation_id = "find_cities",
    params(Parameters),
    responses((status = 200, description = "as asked for", body = Body)),
)]
pub(super) async fn cities(
    State(reads): State<Reads>,
    Query(parameters): Query<Parameters>,
    _presented: Presented,
) -> Result<Response, Problem> {
    let prefix = parameters.q.unwrap_or_default().trim().to_owned();
    if !(CHARACTERS_MIN..=CITY_CHARACTERS_MAX).contains(&prefix.chars().count()) {
        let rule = format!("{CHARACTERS_MIN} to {CITY_CHARACTERS_MAX} characters");
        return Err(Problem::invalid("q", rule));
    }
    let as_of = reads.as_of_index();
    let data = reads.index.cities(&prefix, NAMES_MAX);
    Ok(Answer::new(Body { data }, as_of).into_response())
}
