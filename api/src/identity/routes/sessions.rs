//! Who one is, and where one is signed in.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::http::{NoBody, PathId};
use cityevents_kit::keys::Caller;
use cityevents_kit::{ErrorCode, Problem};
use serde_json::json;

use super::wire::{SessionBody, User, data};
use crate::identity::Identity;
use crate::identity::store::IdentityError;

/// `GET /api/auth/me`
pub(super) async fn me(
    State(identity): State<Identity>,
    caller: Caller,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    Ok(data(StatusCode::OK, User::of(&account)))
}

/// `GET /api/auth/me/status`
pub(super) async fn status(
    State(identity): State<Identity>,
    caller: Caller,
) -> Result<Response, Problem> {
    let account = identity.account(&caller.user).await.map_err(IdentityError::into_problem)?;
    let account = account.ok_or_else(|| Problem::new(ErrorCode::Unauthenticated))?;
    let status = json!({
        "id": account.id.to_string(),
        "role": account.role.as_str(),
        "locked": account.locked,
        "email_verified": account.email_verified,
    });
    Ok(data(StatusCode::OK, status))
}

/// `GET /api/auth/sessions`
pub(super) async fn list(
    State(identity): State<Identity>,
    caller: Caller,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    let sessions = identity.sessions(&account.id).await.map_err(IdentityError::into_problem)?;
    let sessions = sessions.into_iter().map(|session| SessionBody::of(session, &caller.session));
    Ok(data(StatusCode::OK, sessions.collect::<Vec<_>>()))
}

/// `DELETE /api/auth/sessions/{id}`
pub(super) async fn end(
    State(identity): State<Identity>,
    PathId(id): PathId<uuid::Uuid>,
    caller: Caller,
    _: NoBody,
) -> Result<Response, Problem> {
    let ended = identity.end_session(&caller.user, &id).await;
    match ended.map_err(IdentityError::into_problem)? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Problem::new(ErrorCode::NotFound)),
    }
}

/// `POST /api/auth/sessions/revoke`: everywhere, here too.
pub(super) async fn end_all(
    State(identity): State<Identity>,
    caller: Caller,
    _: NoBody,
) -> Result<Response, Problem> {
    let ended = identity.revoke_all(&caller.user, None).await;
    ended.map_err(IdentityError::into_problem)?;
    Ok((StatusCode::NO_CONTENT, [identity.shared.cookie.clear()]).into_response())
}
