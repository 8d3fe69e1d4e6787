//! The session cookie: given at sign-in, renewed from the refresh cookie.

use axum::body::to_bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::{ErrorCode, Problem};
use serde_json::Value;

use super::visitor::Visitor;

/// Largest answer with a token.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// An access token, for the cookie.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) age_seconds: u64,
}

impl Token {
    /// Of the body that signing in answers with.
    pub(super) fn of(body: &Value) -> Option<Self> {
        let tokens = &body["data"]["tokens"];
        let text = tokens["access_token"].as_str()?.to_owned();
        Some(Self { text, age_seconds: tokens["expires_in"].as_u64()? })
    }
}

/// The token of an answer; none where it is a refusal.
pub(super) async fn token_of(response: Response) -> Option<Token> {
    if response.status() != StatusCode::OK {
        return None;
    }
    let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.ok()?;
    Token::of(&serde_json::from_slice(&bytes).ok()?)
}

/// For scripts whose stream was refused: by now the cookie is renewed, or there is no session.
pub(super) async fn renew(visitor: Visitor) -> Response {
    match visitor.caller() {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => Problem::new(ErrorCode::NotFound).into_response(),
    }
}
