//! Problems as pages, for people whose browser asked for one.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::response::Response;

use super::context::RequestContext;
use crate::problem::Problem;

/// Calls answer programs, whatever those say that they accept.
const CALLS: &str = "/api/";

/// Writes problems out for people.
pub trait ProblemPages: Send + Sync {
    /// The page; nothing where the document is the answer after all.
    fn page(&self, problem: &Problem, asked: &AskedPage) -> Option<String>;
}

/// What is known of a request for a page when its answer is a problem.
#[derive(Debug, Clone)]
pub struct AskedPage {
    /// Its headers: language and cookies.
    pub headers: HeaderMap,
    /// Its path.
    pub path: String,
    /// What the edge knows.
    pub context: RequestContext,
}

impl AskedPage {
    /// If a browser asks for a page.
    pub(super) fn of(request: &Request, context: &RequestContext) -> Option<Self> {
        let path = request.uri().path();
        let accept = request.headers().get(ACCEPT)?.to_str().ok()?;
        let is_page = accept.contains("text/html") && !path.starts_with(CALLS);
        is_page.then(|| Self {
            headers: request.headers().clone(),
            path: path.to_owned(),
            context: context.clone(),
        })
    }

    /// Puts a page in place of the document.
    pub(super) fn put(page: String, response: &mut Response) {
        *response.body_mut() = Body::from(page);
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response.headers_mut().remove(CONTENT_LENGTH);
    }
}
