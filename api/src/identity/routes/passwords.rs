//! Changing one's password.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::http::Json;
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::NotYours;
use cityevents_kit::{ErrorCode, Problem};

use super::sign_in::hashing;
use super::wire::PasswordChange;
use crate::identity::passwords::Checked;
use crate::identity::store::IdentityError;
use crate::identity::{Identity, Password};

/// Sets another password.
///
/// All sessions end, since one of them may be somebody else's.
#[utoipa::path(
    post,
    path = "/api/auth/password/change",
    tag = "identity",
    operation_id = "change_password",
    request_body = PasswordChange,
    responses((status = 204, description = "done"), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn change(
    State(identity): State<Identity>,
    caller: Caller,
    Json(body): Json<PasswordChange>,
) -> Result<Response, Problem> {
    let new = Password::new(body.new_password)
        .map_err(|error| Problem::invalid("new_password", error.to_string()))?;
    let account = identity.account_of_caller(&caller).await?;
    identity.check_tries(&account.tried_as()).await?;
    let (passwords, kept) = (&identity.shared.passwords, account.password.as_deref());
    let checked = passwords.check(&body.old_password, kept).await.map_err(hashing)?;
    if checked == Checked::Wrong {
        return Err(Problem::new(ErrorCode::InvalidCredentials));
    }
    let hash = passwords.hash(&new).await.map_err(hashing)?;
    let set = identity.set_password(&account.id, kept, &hash).await;
    if !set.map_err(IdentityError::into_problem)? {
        // Somebody else has changed it since it was checked.
        return Err(Problem::new(ErrorCode::InvalidCredentials));
    }
    let ended = identity.end_sessions(&account.id).await;
    ended.map_err(IdentityError::into_problem)?;
    Ok((StatusCode::NO_CONTENT, [identity.shared.cookie.clear()]).into_response())
}
