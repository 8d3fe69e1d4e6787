//! Answers: JSON, never stored by anybody on the way, with what is known of their rows.

use axum::Json;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, ETAG};
use axum::response::{IntoResponse, Response};
use cityevents_kit::event_body::event_etag;
use serde::Serialize;

use crate::freshness::{AS_OF_HEADER, AsOf};

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
        let mut response = Json(self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(as_of) = self.as_of.0 {
            headers.insert(AS_OF_HEADER, as_of);
        }
        if let Some(version) = self.version {
            headers.insert(ETAG, event_etag(version));
        }
        response
    }
}
