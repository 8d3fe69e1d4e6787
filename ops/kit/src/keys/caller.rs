//! Who calls, for handlers.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::ids::UserId;
use uuid::Uuid;

use super::{Claims, SessionCookie, TokenError, TokenVerifier};
use crate::problem::{ErrorCode, Problem};

/// Somebody with a verified token. As an argument of a handler: who has none is answered with
/// `unauthenticated` or `token_expired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Whose account.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
    /// The session of the token.
    pub session: Uuid,
    /// See [`Claims::issued_at_ms`].
    pub issued_at_ms: i64,
}

/// A caller, or nobody in particular. A token that is not good is refused all the same, so that
/// the client refreshes it instead of being shown a page as a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionalCaller(pub Option<Caller>);

/// What the edge found out about who calls; an extension of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authentication {
    /// No token.
    #[default]
    Anonymous,
    /// A good token.
    Caller(Caller),
    /// Something that is no good token.
    Rejected(TokenError),
}

impl Caller {
    /// The caller as the domain sees them.
    pub const fn actor(&self) -> Actor {
        Actor::Person { user: self.user, role: self.role }
    }
}

impl From<Claims> for Caller {
    fn from(claims: Claims) -> Self {
        let issued_at_ms = claims.issued_at_ms();
        Self { user: claims.sub, role: claims.role, session: claims.sid, issued_at_ms }
    }
}

impl Authentication {
    /// Looks at `Authorization: Bearer …`.
    pub fn of(headers: &HeaderMap, verifier: &TokenVerifier) -> Self {
        let Some(header) = headers.get(AUTHORIZATION) else { return Self::Anonymous };
        match bearer(header).map(|token| verifier.verify(token)) {
            Some(Ok(claims)) => Self::Caller(claims.into()),
            Some(Err(error)) => Self::Rejected(error),
            None => Self::Rejected(TokenError::Invalid),
        }
    }

    /// The same, and where there is no such header the cookie of pages.
    pub fn of_page(headers: &HeaderMap, verifier: &TokenVerifier, cookie: SessionCookie) -> Self {
        if headers.contains_key(AUTHORIZATION) {
            return Self::of(headers, verifier);
        }
        match cookie.read(headers).map(|token| verifier.verify(token)) {
            Some(Ok(claims)) => Self::Caller(claims.into()),
            Some(Err(error)) => Self::Rejected(error),
            None => Self::Anonymous,
        }
    }

    /// The caller, if there is a good token.
    pub const fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Caller(caller) => Some(caller),
            Self::Anonymous | Self::Rejected(_) => None,
        }
    }
}

/// The text after `Bearer `.
pub(super) fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Says how to authenticate (RFC 6750).
pub(super) fn challenge(problem: Problem, error: &'static str) -> Problem {
    let value = match error {
        "" => HeaderValue::from_static("Bearer"),
        "insufficient_scope" => HeaderValue::from_static("Bearer error=\"insufficient_scope\""),
        _ => HeaderValue::from_static("Bearer error=\"invalid_token\""),
    };
    problem.with_header(WWW_AUTHENTICATE, value)
}

fn authentication(parts: &Parts) -> Authentication {
    parts.extensions.get().copied().unwrap_or_default()
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match authentication(parts) {
            Authentication::Caller(caller) => Ok(caller),
            Authentication::Rejected(error) => Err(error.to_problem()),
            Authentication::Anonymous => {
                Err(challenge(Problem::new(ErrorCode::Unauthenticated), ""))
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for OptionalCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match authentication(parts) {
            Authentication::Caller(caller) => Ok(Self(Some(caller))),
            Authentication::Rejected(error) => Err(error.to_problem()),
            Authentication::Anonymous => Ok(Self(None)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Authentication {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(authentication(parts))
    }
}
