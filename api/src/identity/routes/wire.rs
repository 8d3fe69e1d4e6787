//! Bodies, as they go over the wire.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use cityevents_domain::time::Timestamp;
use cityevents_kit::event_body::WireTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::identity::session::Session;
use crate::identity::{Account, Identity};

/// An answer in `data`.
#[derive(Serialize, ToSchema)]
pub(super) struct Data<T> {
    data: T,
}

/// An answer in `data`, which nobody keeps.
pub(super) fn data(status: StatusCode, data: impl Serialize) -> Response {
    let mut response = (status, Json(Data { data })).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A time as all of our answers have it.
pub(super) fn time(at_ms: i64) -> String {
    WireTime(Timestamp::from_millis(at_ms)).to_string()
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    #[schema(format = Email, example = "ada@example.org")]
    pub(super) email: String,
    #[schema(min_length = 12, max_length = 1024, format = Password)]
    pub(super) password: String,
    #[schema(max_length = 120)]
    pub(super) name: Option<String>,
    /// The language of mails, as a tag. Not given: what `Accept-Language` likes best.
    #[schema(max_length = 35, pattern = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", example = "de")]
    pub(super) language: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    pub(super) email: String,
    pub(super) password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    pub(super) old_password: String,
    pub(super) new_password: String,
}

/// Somebody, as they see themselves.
#[derive(Serialize, ToSchema)]
pub(super) struct User<'a> {
    id: String,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    role: &'static str,
    email_verified: bool,
    locked: bool,
    has_password: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

impl<'a> User<'a> {
    pub(super) fn of(identity: &Identity, account: &'a Account) -> Self {
        Self {
            id: account.id.to_string(),
            email: &account.email,
            name: account.name.as_deref(),
            role: account.role.as_str(),
            email_verified: account.email_verified,
            locked: account.locked,
            has_password: account.password.is_some(),
            avatar_url: identity.avatar_address(account),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) token_type: &'static str,
    pub(super) expires_in: u64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn<'a> {
    pub(super) user: User<'a>,
    pub(super) tokens: Tokens,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SessionBody {
    id: String,
    device: Option<String>,
    created_at: String,
    last_used_at: String,
    current: bool,
}

impl SessionBody {
    pub(super) fn of(session: Session, current: &uuid::Uuid) -> Self {
        Self {
            id: session.id.to_string(),
            device: session.device.user_agent,
            created_at: time(session.created_at_ms),
            last_used_at: time(session.last_used_at_ms),
            current: session.id == *current,
        }
    }
}

/// How an account stands.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountStatusBody {
    id: String,
    role: &'static str,
    locked: bool,
    email_verified: bool,
}

impl AccountStatusBody {
    pub(super) fn of(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            role: account.role.as_str(),
            locked: account.locked,
            email_verified: account.email_verified,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_times_sort_as_the_times_do() {
        let texts = [1_000, 1_009, 1_070, 1_700, 1_701].map(time);
        assert_eq!(texts[3], "1970-01-01T00:00:01.700Z");
        assert!(texts.is_sorted(), "{texts:?}");
    }
}
