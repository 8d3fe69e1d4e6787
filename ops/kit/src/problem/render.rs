//! A problem as an answer.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Problem;

/// `type` is a name, not an address: it is the same on every instance and host.
const TYPE_PREFIX: &str = "urn:cityevents:problem:";

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    error: ErrorObject<'a>,
}

/// The member that clients read.
#[derive(Serialize)]
struct ErrorObject<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    meta: &'a Map<String, Value>,
}

impl Problem {
    /// The bytes of the document.
    pub fn to_document(&self, request_id: Option<&str>, instance: Option<&str>) -> Vec<u8> {
        let document = Document {
            r#type: format!("{TYPE_PREFIX}{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            instance,
            error: self.error_object(request_id),
        };
        // Strings, numbers and maps with text keys always serialise.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The `error` member alone: for answers that carry refusals as data (outcome of a command,
    /// a line of a bulk answer).
    pub fn to_error_value(&self) -> Value {
        serde_json::to_value(self.error_object(None)).unwrap_or_default()
    }

    /// The whole answer for a request.
    pub fn to_response(&self, request_id: Option<&str>, instance: Option<&str>) -> Response {
        let mut response = Response::new(Body::from(self.to_document(request_id, instance)));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        response
    }

    fn error_object<'a>(&'a self, request_id: Option<&'a str>) -> ErrorObject<'a> {
        ErrorObject {
            code: self.code.as_str(),
            message: &self.detail,
            request_id,
            meta: &self.meta,
        }
    }
}

impl IntoResponse for Problem {
    /// The document without request id and path, and the problem itself as an extension, from which
    /// the edge writes the document anew with both.
    fn into_response(self) -> Response {
        let mut response = self.to_response(None, None);
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::problem::ErrorCode;

    #[test]
    fn a_document_carries_both_the_standard_members_and_the_one_of_the_client() {
        let problem = Problem::because(ErrorCode::EventFull, "full").with_meta("waiting", 20);
        let document: Value =
            serde_json::from_slice(&problem.to_document(Some("r-1"), Some("/api/x"))).unwrap();
        assert_eq!(
            document,
            serde_json::json!({
                "type": "urn:cityevents:problem:event_full",
                "title": "no place is left, and no room in the line",
                "status": 409,
                "detail": "full",
                "instance": "/api/x",
                "error": {
                    "code": "event_full", "message": "full", "request_id": "r-1",
                    "meta": {"waiting": 20}
                }
            })
        );
    }

    #[test]
    fn an_unavailable_answer_says_when_to_come_back() {
        let response = Problem::unavailable("restoring", Duration::from_secs(3)).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "3");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
