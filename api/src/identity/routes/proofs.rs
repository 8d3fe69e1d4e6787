//! Links in mails: that an address is one's own, and another password for who forgot theirs.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::http::{Json, NoBody, Query};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::NotYours;
use cityevents_kit::{ErrorCode, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::sign_in::hashing;
use super::wire::{Data, data};
use crate::identity::one_time::Purpose;
use crate::identity::store::IdentityError;
use crate::identity::{Account, Address, Identity, Password};

/// The link works.
#[derive(Serialize, ToSchema)]
struct ValidBody {
    valid: bool,
}

/// Longest text that is looked at as a token.
const TOKEN_BYTES_MAX: usize = 128;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddressBody {
    email: String,
}

#[derive(Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    pub(super) token: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPasswordBody {
    token: String,
    new_password: String,
}

/// Sends the mail that proves the address, again.
#[utoipa::path(
    post,
    path = "/api/auth/verify-email/request",
    tag = "identity",
    operation_id = "request_verification",
    responses((status = 204, description = "done"), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn request_verification(
    State(identity): State<Identity>,
    caller: Caller,
    _: NoBody,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    if !account.email_verified {
        identity.mail_in_background(Purpose::VerifyAddress, account);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Proves the address.
#[utoipa::path(
    post,
    path = "/api/auth/verify-email/confirm",
    tag = "identity",
    operation_id = "confirm_verification",
    request_body = TokenBody,
    responses((status = 204, description = "done")),
)]
pub(super) async fn confirm_verification(
    State(identity): State<Identity>,
    Json(body): Json<TokenBody>,
) -> Result<Response, Problem> {
    let account = identity.used(Purpose::VerifyAddress, &body.token).await?;
    let verified = identity.set_verified(&account.id).await;
    verified.map_err(IdentityError::into_problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Sends the mail with a link to set another password.
///
/// Answers alike whether there is an account or not.
#[utoipa::path(
    post,
    path = "/api/auth/password/reset/request",
    tag = "identity",
    operation_id = "request_password_reset",
    request_body = AddressBody,
    responses((status = 204, description = "done")),
)]
pub(super) async fn request_reset(
    State(identity): State<Identity>,
    Json(body): Json<AddressBody>,
) -> Result<Response, Problem> {
    if let Ok(address) = Address::parse(&body.email) {
        let account = identity.account_of(&address).await.map_err(IdentityError::into_problem)?;
        if let Some(account) = account.filter(|account| !account.locked) {
            identity.mail_in_background(Purpose::ResetPassword, account);
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whether a link still works.
#[utoipa::path(
    get,
    path = "/api/auth/password/reset/validate",
    tag = "identity",
    operation_id = "validate_password_reset",
    params(TokenBody),
    responses((status = 200, description = "as asked for", body = Data<ValidBody>)),
)]
pub(super) async fn validate_reset(
    State(identity): State<Identity>,
    Query(query): Query<TokenBody>,
) -> Result<Response, Problem> {
    let text = bounded(&query.token)?;
    let found = identity.look_at_token(Purpose::ResetPassword, text).await;
    found.map_err(IdentityError::into_problem)?.ok_or_else(invalid)?;
    Ok(data(StatusCode::OK, ValidBody { valid: true }))
}

/// Sets another password, with the link of the mail.
#[utoipa::path(
    post,
    path = "/api/auth/password/reset/confirm",
    tag = "identity",
    operation_id = "confirm_password_reset",
    request_body = NewPasswordBody,
    responses((status = 204, description = "done")),
)]
pub(super) async fn confirm_reset(
    State(identity): State<Identity>,
    Json(body): Json<NewPasswordBody>,
) -> Result<Response, Problem> {
    let password = Password::new(body.new_password)
        .map_err(|error| Problem::invalid("new_password", error.to_string()))?;
    // Before anything is hashed: who has no good token does not make us work.
    let text = bounded(&body.token)?;
    let found = identity.look_at_token(Purpose::ResetPassword, text).await;
    found.map_err(IdentityError::into_problem)?.ok_or_else(invalid)?;
    let hash = identity.shared.passwords.hash(&password).await.map_err(hashing)?;
    let account = identity.used(Purpose::ResetPassword, text).await?;
    let set = identity.set_password(&account.id, account.password.as_deref(), &hash).await;
    if !set.map_err(IdentityError::into_problem)? {
        return Err(invalid());
    }
    let ended = identity.end_sessions(&account.id).await;
    ended.map_err(IdentityError::into_problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn invalid() -> Problem {
    Problem::new(ErrorCode::TokenInvalid)
}

fn bounded(token: &str) -> Result<&str, Problem> {
    if token.len() <= TOKEN_BYTES_MAX { Ok(token) } else { Err(invalid()) }
}

impl Identity {
    async fn used(&self, purpose: Purpose, token: &str) -> Result<Account, Problem> {
        let used = self.use_token(purpose, bounded(token)?).await;
        used.map_err(IdentityError::into_problem)?.ok_or_else(invalid)
    }
}
