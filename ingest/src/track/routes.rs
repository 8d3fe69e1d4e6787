//! The call.

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cityevents_kit::http::{RequestContext, collect_json};
use cityevents_kit::keys::OptionalCaller;
use cityevents_kit::problem::Problem;
use cityevents_kit::seal::Visitor;
use cityevents_schemas::message::{Person, PersonKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Track, parse};

pub(super) fn router(track: Track) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(track_signals)).with_state(track)
}

/// Somebody was shown an event, or looked at it.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = TrackSignal)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "describes what is read field by field")]
struct SignalBody {
    /// `impression` or `view`.
    #[schema(pattern = "^(impression|view)$")]
    event_type: String,
    #[schema(value_type = cityevents_kit::openapi::IdText)]
    event_id: String,
    /// `trending`, `personalized` or `latest`.
    #[schema(pattern = "^(trending|personalized|latest)$")]
    feed_type: Option<String>,
    /// Place in the feed, counted from 0.
    position: Option<u32>,
    /// The `X-Request-Id` of the answer that the feed was.
    #[schema(max_length = 100)]
    request_id: Option<String>,
}

/// One, or up to 500.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = TrackSignals)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes what is read field by field")]
enum SignalsBody {
    One(SignalBody),
    Many(Vec<SignalBody>),
}

/// How many were taken.
#[derive(Debug, Serialize, ToSchema)]
struct Taken {
    /// Signals that the log has.
    accepted: usize,
    /// Signals that came under a cookie which this service did not make: they count for nobody. A
    /// good one comes with this answer.
    dropped: usize,
}

/// Tells what somebody was shown, or looked at.
///
/// For who is signed in, and for everybody else by a cookie that comes with the first answer.
#[utoipa::path(
    post,
    path = "/api/feed/track",
    tag = "events",
    operation_id = "track_engagement",
    request_body = SignalsBody,
    responses((status = 202, description = "taken", body = Taken)),
    security((), ("bearer" = [])),
)]
async fn track_signals(
    State(track): State<Track>,
    context: RequestContext,
    OptionalCaller(caller): OptionalCaller,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let inner = &track.inner;
    let known = match (caller, inner.visitors.read(&headers)) {
        (Some(caller), _) => Visitor::Known(*caller.user.as_bytes()),
        (None, visitor) => visitor,
    };
    let kind = if caller.is_some() { PersonKind::Account } else { PersonKind::Visitor };
    let (id, cookie) = match known {
        Visitor::Known(id) => (id, None),
        Visitor::Unknown | Visitor::Forged => {
            inner.limits.check_new_visitor(context.client_address())?;
            let (id, cookie) = inner.visitors.give().map_err(|error| {
                tracing::error!(%error, "the operating system gives no random numbers: {error}");
                Problem::internal()
            })?;
            inner.metrics.visitors.inc();
            (id, Some(cookie))
        }
    };
    inner.limits.check_person(&id)?;
    let body = collect_json(request).await?;
    let signals = parse(&body, Person { id, kind }, inner.log.now())?;
    let taken = if known == Visitor::Forged {
        inner.metrics.forged.inc_by(signals.len() as u64);
        Taken { accepted: 0, dropped: signals.len() }
    } else {
        let appended = inner.log.append(&signals).await;
        appended.map_err(|error| Problem::unavailable(error.to_string(), error.retry_after()))?;
        Taken { accepted: signals.len(), dropped: 0 }
    };
    let mut response = (StatusCode::ACCEPTED, axum::Json(taken)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some((name, value)) = cookie {
        headers.append(name, value);
    }
    Ok(response)
}
