//! Answers: JSON, never stored by anybody on the way, with what is known of their rows.

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cityevents_kit::Problem;
use cityevents_kit::event_body::event_etag;
use serde::Serialize;

use crate::freshness::{AS_OF_HEADER, AsOf};
use crate::state::not_written;

/// Room that a body begins with: most need no more.
const BODY_BYTES: usize = 2 << 10;

/// A body and what the head says of it.
pub(crate) struct Answer<T> {
    body: T,
    as_of: AsOf,
    version: Option<u32>,
}

impl<T: Serialize> Answer<T> {
    pub(crate) fn new(body: T, as_of: AsOf) -> Self {
        Self { body, as_of, version: None }
    }

    /// With the `ETag` of an event, which `If-Match` of a write takes. It is no use for skipping a
    /// read: counters change without it.
    pub(crate) fn with_version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }
}

impl<T: Serialize> Answer<T> {
    /// Writes the body, which may borrow from the rows that it was made of.
    pub(crate) fn into_response(self) -> Response {
        let body = match to_json(&self.body) {
            Ok(body) => body,
            Err(problem) => return problem.into_response(),
        };
        let mut response = with_head(body, self.as_of);
        if let Some(version) = self.version {
            response.headers_mut().insert(ETAG, event_etag(version));
        }
        response
    }
}

/// A body as JSON.
pub(crate) fn to_json(body: &impl Serialize) -> Result<Bytes, Problem> {
    let mut bytes = Vec::with_capacity(BODY_BYTES);
    serde_json::to_writer(&mut bytes, body).map_err(|error| not_written(&error))?;
    Ok(bytes.into())
}

/// The answer with a body that is written already.
pub(crate) fn with_head(body: Bytes, as_of: AsOf) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(as_of) = as_of.0 {
        headers.insert(AS_OF_HEADER, as_of);
    }
    response
}
