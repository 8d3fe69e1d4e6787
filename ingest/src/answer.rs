//! What became of a command, as an answer.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cityevents_domain::fact::Outcome;
use cityevents_domain::ids::{CommandId, EventId};
use cityevents_kit::consistency::ConsistencyToken;
use cityevents_kit::event_body::{OutcomeBody, event_etag};
use cityevents_kit::pictures::PictureAddresses;
use cityevents_kit::problem::{ErrorCode, Problem};
use cityevents_schemas::message::{Reply, ReplyVerdict};

use crate::client::{SubmitError, Submitted};
use crate::request::{Wait, WriteHeaders};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How a success is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Success {
    Ok,
    /// 201 with the address of what was made.
    Created,
}

/// The answer of a write.
pub(crate) fn answer(
    event: &EventId,
    submitted: Result<Submitted, SubmitError>,
    success: Success,
    headers: &WriteHeaders,
    pictures: &PictureAddresses,
    receipt: impl FnOnce(&CommandId) -> Option<String>,
) -> Response {
    match submitted {
        Ok(Submitted::Decided(reply)) => decided(event, &reply, success, headers.is_tls, pictures),
        Ok(Submitted::Pending(command)) => pending(&command, headers.wait, receipt(&command)),
        Err(error) => submit_problem(&error).into_response(),
    }
}

fn decided(
    event: &EventId,
    reply: &Reply,
    success: Success,
    is_tls: bool,
    pictures: &PictureAddresses,
) -> Response {
    let mut response = match &reply.verdict {
        ReplyVerdict::Accepted(outcome) | ReplyVerdict::Unchanged(outcome) => {
            carried_out(event, outcome, success, pictures)
        }
        ReplyVerdict::Refused(refusal) => Problem::from(refusal).into_response(),
        ReplyVerdict::Undecodable => {
            tracing::error!(command.id = %reply.command, "a command of ours could not be read");
            Problem::internal().into_response()
        }
    };
    if let Some(offset) = reply.link_offset {
        let token = ConsistencyToken { partition: reply.partition, offset };
        token.add_to(response.headers_mut(), is_tls);
    }
    response
}

fn carried_out(
    event: &EventId,
    outcome: &Outcome,
    success: Success,
    pictures: &PictureAddresses,
) -> Response {
    let body = OutcomeBody::new(event, outcome, pictures);
    let mut response = json(StatusCode::OK, body.to_bytes());
    let headers = response.headers_mut();
    if let Outcome::Event { event, .. } = outcome {
        headers.insert(ETAG, event_etag(event.version));
    }
    if success == Success::Created {
        insert(headers, LOCATION, format!("/api/events/{event}"));
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}

/// Durable, and not decided yet: where to ask.
fn pending(command: &CommandId, wait: Wait, receipt: Option<String>) -> Response {
    let body = format!(r#"{{"id":"{command}","status":"pending"}}"#);
    let mut response = json(StatusCode::ACCEPTED, body.into_bytes());
    let headers = response.headers_mut();
    let receipt = receipt.map_or_else(String::new, |receipt| format!("?receipt={receipt}"));
    insert(headers, LOCATION, format!("/api/commands/{command}{receipt}"));
    if wait == Wait::Async {
        headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
    }
    response
}

fn json(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    // Paths of ids always are header values.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// Why a command is not known to be in the log, as an answer.
pub(crate) fn submit_problem(error: &SubmitError) -> Problem {
    match error {
        SubmitError::Busy { retry_after } | SubmitError::Unavailable { retry_after, .. } => {
            Problem::unavailable(error.to_string(), *retry_after)
        }
        SubmitError::Stopping => {
            Problem::unavailable(error.to_string(), std::time::Duration::from_secs(1))
        }
        SubmitError::TooLarge { .. } => {
            Problem::because(ErrorCode::PayloadTooLarge, error.to_string())
        }
    }
}
