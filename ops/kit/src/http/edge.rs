//! Everything that happens to every request, as one layer around the routes.
//!
//! In order: request id and trace; CORS and compression where the client asks for them; who calls;
//! rate limit; size and time of the body; decompression; the handler, with a time limit and a net
//! under it; problems written out; headers, metrics and a line in the log. One layer and not a
//! stack, because each costs an allocation and a virtual call for every request, needed or not.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue, ORIGIN,
};
use axum::response::{IntoResponse, Response};
use cityevents_domain::ids::UserId;
use cityevents_trace::Tracer;
use futures::FutureExt;
use tower::util::{MapRequest, service_fn};
use tower::{Layer, Service, ServiceExt};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, DefaultPredicate, NotForContentType, Predicate};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompression;

use super::access_log::Line;
use super::body::{BodyLimits, GuardedBody, too_large};
use super::context::RequestContext;
use super::fallback;
use super::policy::{BodyKind, PolicyOf, RoutePolicy};
use super::problem_page::{AskedPage, ProblemPages};
use super::rate_limit::RateLimits;
use super::request_id;
use super::request_spans::RequestSpans;
use super::security_headers::{add_security_headers, content_security_policy};
use crate::config::{AccessLog, Config, Http};
use crate::keys::{Authentication, SessionCookie, TokenVerifier};
use crate::problem::{ErrorCode, Problem};
use crate::telemetry::{HttpMetrics, RequestOutcome};

/// How long a browser may remember what CORS allows.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

type CompressionPredicate = And<DefaultPredicate, NotForContentType>;

/// What the edge is made of.
pub struct EdgeParts {
    /// The policy of each route.
    pub policy: fn(&Method, Option<&str>) -> RoutePolicy,
    /// Checks access tokens.
    pub verifier: TokenVerifier,
    /// Counts requests.
    pub metrics: HttpMetrics,
    /// Gives spans to requests whose traces are kept.
    pub tracer: Tracer,
}

/// The layer around the routes. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<Shared>,
    pages: Option<Arc<dyn ProblemPages>>,
}

struct Shared {
    policy: PolicyOf,
    verifier: TokenVerifier,
    session_cookie: SessionCookie,
    metrics: HttpMetrics,
    limits: RateLimits,
    http: Http,
    public_tls: bool,
    content_policy: HeaderValue,
    access_log: AccessLog,
    spans: RequestSpans,
    cors: CorsLayer,
    compression: CompressionLayer<CompressionPredicate>,
}

impl Edge {
    /// An edge as configured.
    pub fn new(config: &Config, parts: EdgeParts) -> Self {
        let not_lines = NotForContentType::const_new("application/x-ndjson");
        Self {
            shared: Arc::new(Shared {
                policy: parts.policy,
                verifier: parts.verifier,
                session_cookie: SessionCookie::new(config.is_public_tls()),
                metrics: parts.metrics,
                limits: RateLimits::new(&config.limits),
                http: config.http.clone(),
                public_tls: config.is_public_tls(),
                content_policy: content_security_policy(config.media.origin.as_deref()),
                access_log: config.telemetry.access_log,
                spans: RequestSpans::new(&config.telemetry, parts.tracer),
                cors: cors(&config.http),
                compression: CompressionLayer::new()
                    .compress_when(DefaultPredicate::new().and(not_lines)),
            }),
            pages: None,
        }
    }

    /// With problems as pages where a browser asks for one.
    #[must_use]
    pub fn with_pages(self, pages: Arc<dyn ProblemPages>) -> Self {
        Self { pages: Some(pages), ..self }
    }

    /// Puts the edge around a router. Call it once, last: routes added later are outside.
    pub fn around(&self, router: Router) -> Router {
        router
            .fallback(fallback::not_found)
            .method_not_allowed_fallback(fallback::method_not_allowed)
            .layer(self.clone())
    }
}

impl<S> Layer<S> for Edge {
    type Service = EdgeService<S>;

    fn layer(&self, inner: S) -> EdgeService<S> {
        EdgeService { shared: Arc::clone(&self.shared), pages: self.pages.clone(), inner }
    }
}

/// A route with the edge around it.
#[derive(Clone)]
pub struct EdgeService<S> {
    shared: Arc<Shared>,
    pages: Option<Arc<dyn ProblemPages>>,
    inner: S,
}

impl<S> Service<Request> for EdgeService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let waiting = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, waiting);
        let (shared, pages) = (Arc::clone(&self.shared), self.pages.clone());
        Box::pin(async move { Ok(shared.outer(inner, pages, request).await) })
    }
}

/// Who called, on its way to the line in the log.
#[derive(Clone, Copy)]
struct Caller(UserId);

/// Counts a request as being worked on, however it ends.
struct InFlight<'a>(&'a HttpMetrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}

impl Shared {
    /// What surrounds an answer, refusals included.
    async fn outer<S>(
        self: Arc<Self>,
        inner: S,
        pages: Option<Arc<dyn ProblemPages>>,
        mut request: Request,
    ) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let started_at = Instant::now();
        self.metrics.began();
        let in_flight = InFlight(&self.metrics);
        let method = request.method().clone();
        let route = request.extensions().get::<MatchedPath>().cloned();
        let trusted = &self.http.trusted_proxies;
        let context = RequestContext::of(&request, trusted, self.public_tls, self.spans.sampler());
        let template = route.as_ref().map(MatchedPath::as_str);
        let span = self.spans.begin(&context, &method, template);
        request.extensions_mut().insert(context.clone());

        let scope = context.scope();
        let mut response = if self.needs_negotiation(&request) {
            let own = Arc::clone(&self);
            let core = service_fn(move |request| {
                let (own, inner, pages) = (Arc::clone(&own), inner.clone(), pages.clone());
                async move { Ok::<_, Infallible>(own.core(inner, pages, request).await) }
            });
            let answer = self.cors.layer(self.compression.layer(core)).oneshot(request);
            let Ok(response) = scope.around(answer).await;
            response.map(Body::new)
        } else {
            scope.around(self.core(inner, pages, request)).await
        };

        let status = response.status();
        let headers = response.headers_mut();
        add_security_headers(headers, &self.content_policy, context.is_tls());
        headers.insert(request_id::HEADER, context.request_id().header_value());
        let duration = started_at.elapsed();
        let outcome = RequestOutcome { method: &method, route: template, status, duration };
        self.metrics.observe(outcome);
        let caller = response.extensions_mut().remove::<Caller>().map(|Caller(user)| user);
        Line { context: &context, method: &method, route: template, status, duration, caller }
            .write(self.access_log);
        drop(in_flight);
        RequestSpans::end(span, status);
        response
    }

    /// Whether the client asks for something that most programs do not.
    fn needs_negotiation(&self, request: &Request) -> bool {
        let headers = request.headers();
        headers.contains_key(ACCEPT_ENCODING)
            || (!self.http.cors_origins.is_empty() && headers.contains_key(ORIGIN))
    }

    /// The answer of the handler or of who refuses before it, problems written out.
    async fn core<S>(
        &self,
        inner: S,
        pages: Option<Arc<dyn ProblemPages>>,
        request: Request,
    ) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send,
        S::Future: Send,
    {
        let context = request.extensions().get::<RequestContext>().cloned();
        let uri = request.uri().clone();
        let route = request.extensions().get::<MatchedPath>();
        let policy = (self.policy)(request.method(), route.map(MatchedPath::as_str));
        let authentication = if policy.by_cookie {
            Authentication::of_page(request.headers(), &self.verifier, self.session_cookie)
        } else {
            Authentication::of(request.headers(), &self.verifier)
        };
        let asked_page = pages
            .zip(context.as_ref())
            .and_then(|(pages, context)| Some((pages, AskedPage::of(&request, context)?)));
        let user = authentication.caller().map(|caller| caller.user);
        let rate = context
            .as_ref()
            .and_then(|context| self.limits.check(policy.class, user, context.client_address()));

        let refused = rate
            .as_ref()
            .and_then(|rate| rate.to_problem().inspect(|_| self.metrics.rate_limited(rate.class)));
        let mut response = match refused {
            Some(problem) => problem.into_response(),
            None => match self.guarded(request, policy, authentication) {
                Ok(request) => self.answer(inner, request, policy).await,
                Err(problem) => problem.into_response(),
            },
        };
        if let Some(user) = user {
            response.extensions_mut().insert(Caller(user));
        }
        if response.extensions().get::<Problem>().is_none()
            && let Some(problem) = fallback::problem_of_library(&response)
        {
            let head = std::mem::take(response.headers_mut());
            response = problem.into_response();
            for name in [HeaderName::from_static("allow"), ACCEPT_ENCODING] {
                if let Some(value) = head.get(&name) {
                    response.headers_mut().insert(name, value.clone());
                }
            }
        }
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            let id = context.as_ref().map(|context| context.request_id().as_str());
            *response.body_mut() = Body::from(problem.to_document(id, Some(uri.path())));
            response.headers_mut().remove(CONTENT_LENGTH);
            let page = asked_page.and_then(|(pages, asked)| pages.page(&problem, &asked));
            if let Some(page) = page {
                AskedPage::put(page, &mut response);
            }
        }
        if let Some(rate) = &rate {
            rate.add_headers(response.headers_mut());
        }
        response
    }

    /// The request with a bounded body, or why it is not taken.
    fn guarded(
        &self,
        mut request: Request,
        policy: RoutePolicy,
        authentication: Authentication,
    ) -> Result<Request, Problem> {
        request.extensions_mut().insert(authentication);
        if request.body().is_end_stream() {
            return Ok(request);
        }
        let limits = self.body_limits(policy, self.http.body_max);
        let announced = request.body().size_hint().lower();
        if announced > limits.bytes_max {
            let problem = too_large(limits.bytes_max);
            // The rest of the body is not worth reading.
            let close = HeaderValue::from_static("close");
            return Err(problem.with_header(HeaderName::from_static("connection"), close));
        }
        Ok(request.map(|body| GuardedBody::around(body, limits)))
    }

    fn body_limits(&self, policy: RoutePolicy, bytes_max: u64) -> BodyLimits {
        let (bytes_max, total) = match policy.body {
            BodyKind::Whole => (bytes_max, Some(self.http.body_timeout)),
            BodyKind::Stream => (u64::MAX, None),
        };
        BodyLimits { bytes_max, idle: self.http.body_idle_timeout, total }
    }

    async fn answer<S>(&self, mut inner: S, request: Request, policy: RoutePolicy) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send,
        S::Future: Send,
    {
        if request.headers().contains_key(CONTENT_ENCODING) {
            let limits = self.body_limits(policy, self.http.decompressed_max);
            let plain = MapRequest::new(inner, move |request: axum::http::Request<_>| {
                request.map(|body| GuardedBody::around(Body::new(body), limits))
            });
            let answer = async move {
                match RequestDecompression::new(plain).oneshot(request).await {
                    Ok(response) => response.map(Body::new),
                    Err(never) => match never {},
                }
            };
            self.in_time(answer, policy).await
        } else {
            let answer = async move {
                let Ok(response) = inner.call(request).await;
                response
            };
            self.in_time(answer, policy).await
        }
    }

    /// Bounds the time of a handler, and catches it when it falls.
    async fn in_time(
        &self,
        answer: impl Future<Output = Response> + Send,
        policy: RoutePolicy,
    ) -> Response {
        let caught = AssertUnwindSafe(answer).catch_unwind();
        let answered = match policy.body {
            BodyKind::Whole => tokio::time::timeout(self.http.request_timeout, caught).await,
            BodyKind::Stream => Ok(caught.await),
        };
        match answered {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => {
                self.metrics.panicked();
                tracing::error!("a handler panicked: {}", panic_message(&*panic));
                Problem::internal().into_response()
            }
            Err(_) => Problem::new(ErrorCode::UpstreamTimeout).into_response(),
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

fn cors(http: &Http) -> CorsLayer {
    let origins = http.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let names = |names: &[&'static str]| -> Vec<HeaderName> {
        names.iter().map(|name| HeaderName::from_static(name)).collect()
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE])
        .allow_headers(names(&[
            "authorization",
            "content-type",
            "idempotency-key",
            "if-match",
            "if-none-match",
            "prefer",
            "traceparent",
            "x-consistency-token",
            "x-idempotency-key",
            "x-request-id",
        ]))
        .expose_headers(names(&[
            "etag",
            "location",
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
            "x-as-of",
            "x-consistency-token",
            "x-request-id",
        ]))
        .max_age(PREFLIGHT_MAX_AGE)
}
