//! The common part of HTTP: what happens to every request before and after its handler, the
//! extractors that handlers use, and the server itself.
//!
//! An application is put together in three steps: a [`axum::Router`] of handlers that take the
//! extractors of this module and answer with [`crate::problem::Problem`]s; [`Edge::around`], which
//! puts everything else around it as one layer; and [`serve()`].
//!
//! ```no_run
//! use axum::{Router, http::Method, routing::post};
//! use cityevents_domain::ids::EventId;
//! use cityevents_kit::http::*;
//! use cityevents_kit::keys::{Caller, KeyRing, TokenVerifier};
//! use cityevents_kit::ops_listener::public_health_router;
//! use cityevents_kit::telemetry::{HttpMetrics, MetricsRegistry};
//! use cityevents_kit::{Config, Lifecycle, Problem, Stage};
//! use cityevents_trace::Tracer;
//!
//! async fn join(caller: Caller, PathId(event): PathId<EventId>, _: NoBody) -> Result<(), Problem> {
//!     tracing::debug!("{} asks for a place at {event}", caller.user);
//!     Ok(())
//! }
//!
//! fn policy(method: &Method, route: Option<&str>) -> RoutePolicy {
//!     match (method, route) {
//!         (_, Some("/healthz" | "/readyz")) => RoutePolicy::of(CallClass::Unlimited),
//!         (&Method::POST, Some("/api/events/{id}/join")) => RoutePolicy::of(CallClass::Join),
//!         _ => RoutePolicy::GENERAL,
//!     }
//! }
//!
//! async fn run(config: Config, lifecycle: Lifecycle) -> Result<(), Box<dyn std::error::Error>> {
//!     let metrics = MetricsRegistry::new(env!("CARGO_PKG_VERSION"), "unknown");
//!     let http_metrics = HttpMetrics::new(&metrics);
//!     let ring = KeyRing::open(&config.keys_dir())?;
//!     let verifier = TokenVerifier::new(ring, &config);
//!     let (metrics, tracer) = (http_metrics.clone(), Tracer::off());
//!     let parts = EdgeParts { policy, verifier, metrics, tracer };
//!     let routes = Router::new()
//!         .route("/api/events/{id}/join", post(join))
//!         .merge(public_health_router(lifecycle.clone()));
//!     let router = Edge::new(&config, parts).around(routes);
//!     let listener = listen(config.http.listen)?;
//!     let component = lifecycle.register("http", Stage::Http, config.ops.shutdown_budget);
//!     let options = ServeOptions::of(&config, http_metrics);
//!     tokio::spawn(serve(listener, router, options, component));
//!     lifecycle.all_registered();
//!     lifecycle.wait_for_stop().await?;
//!     lifecycle.drain(config.ops.shutdown_budget).await;
//!     Ok(())
//! }
//! ```

mod access_log;
mod body;
mod client_address;
mod context;
mod edge;
mod fallback;
mod json;
mod no_body;
mod objects_only;
mod path;
mod policy;
mod problem_page;
mod query;
mod rate_limit;
mod request_id;
mod request_spans;
mod security_headers;
mod server;
mod trace_context;

pub use self::body::{BodyError, body_problem, collect_body, too_large};
pub use self::context::RequestContext;
pub use self::edge::{Edge, EdgeParts};
pub use self::json::{Json, JsonWithBytes, collect_json};
pub use self::no_body::NoBody;
pub use self::path::{PathId, PathIds};
pub use self::policy::{BodyKind, CallClass, RoutePolicy};
pub use self::problem_page::{AskedPage, ProblemPages};
pub use self::query::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, Page, Query};
pub use self::rate_limit::{AccountLimit, CallerKey, KeyLimit, RateDecision, RateLimits};
pub use self::request_id::RequestId;
pub use self::server::{ServeOptions, listen, serve};
pub use self::trace_context::TraceContext;
