//! The product's own calls, made in this process on behalf of a visitor.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{
    ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, IF_MATCH, LOCATION,
    ORIGIN, REFERER, SET_COOKIE, USER_AGENT,
};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use cityevents_kit::Problem;
use serde_json::Value;
use tower::ServiceExt as _;

use super::visitor::Visitor;

/// Largest answer that a page is made of.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// What an answer depends on besides who asks. Never `Authorization`: who calls is known already.
const PASSED_ON: [HeaderName; 6] = [COOKIE, USER_AGENT, ACCEPT_LANGUAGE, ORIGIN, REFERER, HOST];
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The way to the calls. Cheap to clone.
#[derive(Clone)]
pub(super) struct Calls {
    router: Router,
}

/// One call.
pub(super) struct Call {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, String)>,
    body: Option<(String, Bytes)>,
}

/// What a call answered, unless that was a problem.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Value,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: None }
    }

    pub(super) fn with(self, body: Value) -> Self {
        self.with_bytes("application/json", body.to_string().into())
    }

    /// With something that is no JSON.
    pub(super) fn with_bytes(self, kind: &str, bytes: Bytes) -> Self {
        Self { body: Some((kind.to_owned(), bytes)), ..self }
    }

    /// Waits so many seconds for what it asks about.
    pub(super) fn waiting(self, seconds: u32) -> Self {
        self.header(PREFER, &format!("wait={seconds}"))
    }

    /// Under a key: a form that is sent twice acts once.
    pub(super) fn keyed(self, key: &str) -> Self {
        self.header(KEY, key)
    }

    /// Only while the event has this version.
    pub(super) fn if_version(self, version: &str) -> Self {
        self.header(IF_MATCH, &format!("\"{version}\""))
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

impl Answer {
    /// Where a command can be asked for that was not decided in time.
    pub(super) fn pending(&self) -> Option<&str> {
        let is_pending = self.status == StatusCode::ACCEPTED;
        is_pending.then(|| self.headers.get(LOCATION)?.to_str().ok()).flatten()
    }
}

impl Calls {
    pub(super) fn new(router: Router) -> Self {
        Self { router }
    }

    /// Makes a call and reads its answer. Cookies that it sets are the visitor's.
    pub(super) async fn ask(&self, visitor: &Visitor, call: Call) -> Result<Answer, Problem> {
        let response = self.send(visitor, call).await?;
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(|error| {
            tracing::error!(%error, "an answer cannot be read for a page: {error}");
            Problem::internal()
        })?;
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes).map_err(|error| {
                tracing::error!(%error, "an answer is no JSON: {error}");
                Problem::internal()
            })?,
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Makes a call, and gives its answer as it is.
    pub(super) async fn send(&self, visitor: &Visitor, call: Call) -> Result<Response, Problem> {
        let router = self.router.clone();
        let Ok(response) = router.oneshot(visitor.request(call)?).await;
        for cookie in response.headers().get_all(SET_COOKIE) {
            visitor.keep(cookie.clone());
        }
        if let Some(problem) = response.extensions().get::<Problem>() {
            return Err(problem.clone());
        }
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            tracing::error!(%status, "a page made a call that nobody answers");
            return Err(Problem::internal());
        }
        Ok(response)
    }
}

impl Visitor {
    /// A call as the request that a program would have sent, behind the edge.
    fn request(&self, call: Call) -> Result<Request<Body>, Problem> {
        let mut request = Request::builder().method(call.method).uri(&call.path);
        if let Some(headers) = request.headers_mut() {
            for name in PASSED_ON {
                for value in self.headers().get_all(&name) {
                    headers.append(&name, value.clone());
                }
            }
            for (name, value) in call.headers {
                // What is no header value is refused by the call as missing.
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(name, value);
                }
            }
            let kind = call.body.as_ref().and_then(|(kind, _)| HeaderValue::try_from(kind).ok());
            if let Some(kind) = kind {
                headers.insert(CONTENT_TYPE, kind);
            }
        }
        let body = call.body.map_or_else(Body::empty, |(_, bytes)| Body::from(bytes));
        let mut request = request.body(body).map_err(|error| {
            tracing::error!(%error, "a page cannot make a call: {error}");
            Problem::internal()
        })?;
        let extensions = request.extensions_mut();
        extensions.insert(self.context().clone());
        extensions.insert(self.authentication());
        Ok(request)
    }
}
