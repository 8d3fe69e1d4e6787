//! The second listener: metrics, probes, debugging. Not for the public.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{StatusCode, header::HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::lifecycle::Lifecycle;
use crate::problem::Problem;
use crate::telemetry::{METRICS_CONTENT_TYPE, MetricsRegistry};

/// Tells which partitions this process works on, and how far it is.
pub type Assignment = Arc<dyn Fn() -> Value + Send + Sync>;

#[derive(Clone)]
struct Operations {
    lifecycle: Lifecycle,
    metrics: MetricsRegistry,
    assignment: Assignment,
}

/// The routes of the operations listener; others can be merged.
pub fn ops_router(
    lifecycle: Lifecycle,
    metrics: MetricsRegistry,
    assignment: Assignment,
) -> Router {
    Router::new()
        .route("/metrics", get(encode_metrics))
        .route("/livez", get(|State(own): State<Operations>| async move { live(&own.lifecycle) }))
        .route("/readyz", get(|State(own): State<Operations>| async move { ready(&own.lifecycle) }))
        .route("/startupz", get(|State(own): State<Operations>| async move { up(&own.lifecycle) }))
        .route("/debug/assignment", get(assigned))
        .with_state(Operations { lifecycle, metrics, assignment })
}

/// `/healthz` and `/readyz` of the public listener, to be merged into its router. They say whether,
/// and not why: names of parts and reasons are for operators.
pub fn public_health_router(lifecycle: Lifecycle) -> Router {
    let health = |State(lifecycle): State<Lifecycle>| async move {
        brief(lifecycle.health().is_alive(), "alive")
    };
    let readiness = |State(lifecycle): State<Lifecycle>| async move {
        brief(lifecycle.health().is_ready(), "ready")
    };
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .with_state(lifecycle)
}

fn brief(fine: bool, word: &str) -> Response {
    let word = if fine { word.to_owned() } else { format!("not {word}") };
    answer(fine, json!({ "status": word }))
}

fn live(lifecycle: &Lifecycle) -> Response {
    let health = lifecycle.health();
    detailed(health.is_alive(), "alive", &health, lifecycle)
}

fn ready(lifecycle: &Lifecycle) -> Response {
    let health = lifecycle.health();
    detailed(health.is_ready(), "ready", &health, lifecycle)
}

fn up(lifecycle: &Lifecycle) -> Response {
    let health = lifecycle.health();
    detailed(health.started, "started", &health, lifecycle)
}

fn detailed(
    fine: bool,
    word: &str,
    health: &crate::lifecycle::Health,
    lifecycle: &Lifecycle,
) -> Response {
    let status = if fine { word.to_owned() } else { format!("not {word}") };
    let uptime_seconds = lifecycle.uptime().as_secs();
    let health = json!({
        "status": status,
        "started": health.started,
        "draining": health.draining,
        "uptime_seconds": uptime_seconds,
        "components": health.components,
    });
    answer(fine, health)
}

fn answer(fine: bool, body: Value) -> Response {
    let status = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn encode_metrics(State(own): State<Operations>) -> Response {
    match own.metrics.encode() {
        Ok(text) => {
            let mut response = text.into_response();
            let kind = HeaderValue::from_static(METRICS_CONTENT_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Err(error) => {
            tracing::error!("metrics cannot be encoded: {error}");
            Problem::internal().into_response()
        }
    }
}

async fn assigned(State(own): State<Operations>) -> Json<Value> {
    Json((own.assignment)())
}
