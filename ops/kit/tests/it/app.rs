//! A small application behind the edge, and ways to ask it.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::{get, post};
use bytes::Bytes;
use cityevents_domain::actor::Role;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_kit::config::{Config, Sources};
use cityevents_kit::http::{
    CallClass, Edge, EdgeParts, Json, NoBody, Page, PathIds, Query, RoutePolicy,
};
use cityevents_kit::keys::{Caller, KeyRing, OptionalCaller, TokenSigner, TokenVerifier};
use cityevents_kit::problem::Problem;
use cityevents_kit::telemetry::{HttpMetrics, MetricsRegistry};
use cityevents_trace::Tracer;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

pub const USER: UserId = UserId::from_bytes([7; 16]);

pub struct App {
    pub router: Router,
    pub config: Config,
    pub ring: KeyRing,
    pub signer: TokenSigner,
    pub registry: MetricsRegistry,
    _folder: TempDir,
}

#[derive(Deserialize)]
struct Echo {
    title: String,
    #[serde(default)]
    size: u8,
}

#[derive(Deserialize)]
struct Filters {
    city: Option<String>,
    above: Option<u32>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of the problem that this answer must be.
    pub fn code(&self) -> String {
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(body["error"]["request_id"], self.headers["x-request-id"].to_str().unwrap());
        body["error"]["code"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl App {
    pub fn new(overrides: &[(&str, &str)]) -> Self {
        Self::with(overrides, |verifier| verifier)
    }

    /// With another way to check tokens.
    pub fn with(
        overrides: &[(&str, &str)],
        verifier: impl FnOnce(TokenVerifier) -> TokenVerifier,
    ) -> Self {
        Self::of(overrides, verifier, Tracer::off())
    }

    /// With spans of requests.
    pub fn traced(overrides: &[(&str, &str)], tracer: Tracer) -> Self {
        Self::of(overrides, |verifier| verifier, tracer)
    }

    fn of(
        overrides: &[(&str, &str)],
        verifier: impl FnOnce(TokenVerifier) -> TokenVerifier,
        tracer: Tracer,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let overrides = overrides
            .iter()
            .chain(&[("data.dir", folder.path().to_str().unwrap())])
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let sources = Sources { overrides, ..Sources::default() };
        let config = Config::load(sources).unwrap().config;
        let ring = KeyRing::open(&config.keys_dir()).unwrap();
        let registry = MetricsRegistry::new("0", "0");
        let parts = EdgeParts {
            policy,
            verifier: verifier(TokenVerifier::new(ring.clone(), &config)),
            metrics: HttpMetrics::new(&registry),
            tracer,
        };
        let router = Edge::new(&config, parts).around(routes());
        let signer = TokenSigner::new(ring.clone(), &config);
        Self { router, config, ring, signer, registry, _folder: folder }
    }

    pub fn token(&self) -> String {
        self.signer.sign(&USER, Role::User, &Uuid::from_bytes([1; 16])).unwrap()
    }

    pub async fn send(&self, request: Request) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request(Method::GET, path, headers, Body::empty())).await
    }

    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        self.send(request(Method::POST, path, headers, body.into())).await
    }
}

pub fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Request {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

fn policy(_: &Method, route: Option<&str>) -> RoutePolicy {
    match route {
        Some("/login") => RoutePolicy::of(CallClass::Login),
        Some("/join") => RoutePolicy::of(CallClass::Join),
        Some("/stream") => RoutePolicy::of(CallClass::Unlimited).streamed(),
        Some("/limited") => RoutePolicy::GENERAL,
        _ => RoutePolicy::of(CallClass::Unlimited),
    }
}

fn routes() -> Router {
    Router::new()
        .route("/echo", post(async |Json(echo): Json<Echo>| format!("{}{}", echo.title, echo.size)))
        .route("/nothing", post(async |NoBody: NoBody| "done"))
        .route(
            "/page",
            get(async |page: Page| format!("{} {}", page.limit, page.cursor.unwrap_or_default())),
        )
        .route(
            "/filters",
            get(async |Query(filters): Query<Filters>| {
                format!("{} {}", filters.city.unwrap_or_default(), filters.above.unwrap_or(0))
            }),
        )
        .route(
            "/events/{id}/people/{user}",
            get(async |PathIds(event, user): PathIds<EventId, UserId>| format!("{event} {user}")),
        )
        .route("/role", get(async |caller: Caller| caller.role.as_str()))
        .route("/me", get(async |caller: Caller| caller.user.to_string()))
        .route(
            "/maybe",
            get(async |OptionalCaller(caller): OptionalCaller| {
                caller.map_or("nobody".to_owned(), |caller| caller.user.to_string())
            }),
        )
        .route("/login", post(async |NoBody: NoBody| "in"))
        .route("/join", post(async |NoBody: NoBody| "joined"))
        .route("/limited", get(async || "fine"))
        .route("/stream", post(async |body: Body| body))
        .route("/large", get(async || "abcdefgh".repeat(10_000)))
        .route("/panic", get(panics))
        .route("/never", get(async || std::future::pending::<()>().await))
        .route("/slowly", get(async || tokio::time::sleep(Duration::from_millis(300)).await))
        .route("/internal", get(async || Problem::internal()))
}

async fn panics() -> &'static str {
    panic!("for the test")
}
