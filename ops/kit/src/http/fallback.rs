//! Answers that no handler gave.

use axum::body::HttpBody;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use crate::problem::{ErrorCode, Problem};

/// For paths without a route.
pub(super) async fn not_found() -> Problem {
    Problem::because(ErrorCode::NotFound, "there is nothing at this address")
}

/// For routes without this method. The `Allow` header is added by the router.
pub(super) async fn method_not_allowed(method: Method) -> Problem {
    let detail = format!("{method} is not possible here, see the Allow header");
    Problem::because(ErrorCode::MethodNotAllowed, detail)
}

/// The problem that an answer of a library stands for: a status of 400 or more with no body, or
/// with plain text.
pub(super) fn problem_of_library(response: &Response) -> Option<Problem> {
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    if !failed || !(is_plain_text(response.headers()) || response.body().is_end_stream()) {
        return None;
    }
    let code = match status {
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => ErrorCode::RequestTimeout,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Unavailable,
        _ if status.is_client_error() => ErrorCode::ValidationFailed,
        _ => ErrorCode::InternalError,
    };
    (code.status() == status).then(|| Problem::new(code))
}

fn is_plain_text(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"))
}
