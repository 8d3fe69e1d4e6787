//! What an access token says.

use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::problem::{ErrorCode, Problem};

/// What a verified token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// Whose token it is.
    pub sub: UserId,
    /// What they may do.
    pub role: Role,
    /// The session it belongs to.
    pub sid: Uuid,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// From when it is good, in seconds since 1970.
    pub nbf: Option<i64>,
    /// Until when it is good, in seconds since 1970.
    pub exp: i64,
}

/// Why a token is not accepted. Callers learn only whether to refresh it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token at all, not signed by us, for somebody else, or with another algorithm.
    #[error("the access token is not valid; sign in again")]
    Invalid,
    /// Good in the future.
    #[error("the access token is not valid yet; check the clock")]
    NotYetValid,
    /// Was good.
    #[error("the access token has expired; refresh it")]
    Expired,
    /// Good, but all sessions of the account were revoked since, or the account is gone.
    #[error("this session was revoked; sign in again")]
    Revoked,
    /// Good, but the account is banned.
    #[error("this account is locked")]
    Locked,
}

impl TokenError {
    /// The answer to a request with such a token.
    pub fn to_problem(self) -> Problem {
        let code = match self {
            Self::Expired => ErrorCode::TokenExpired,
            Self::Invalid | Self::NotYetValid | Self::Revoked => ErrorCode::Unauthenticated,
            // Another token would be no better.
            Self::Locked => return Problem::new(ErrorCode::AccountLocked),
        };
        super::caller::challenge(Problem::because(code, self.to_string()), "invalid_token")
    }
}

/// The claims as they stand in a token.
#[derive(Serialize, Deserialize)]
pub(super) struct WireClaims {
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) sub: String,
    pub(super) role: String,
    pub(super) sid: String,
    pub(super) iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<i64>,
    pub(super) exp: i64,
}

impl WireClaims {
    pub(super) fn parse(&self) -> Result<Claims, TokenError> {
        Ok(Claims {
            sub: self.sub.parse().map_err(|_| TokenError::Invalid)?,
            role: Role::parse(&self.role).ok_or(TokenError::Invalid)?,
            sid: Uuid::try_parse(&self.sid).map_err(|_| TokenError::Invalid)?,
            iat: self.iat,
            nbf: self.nbf,
            exp: self.exp,
        })
    }
}
