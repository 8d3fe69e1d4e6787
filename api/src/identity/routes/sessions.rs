//! Who one is, and where one is signed in.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::http::{NoBody, PathId};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{IdPath, NotThere, NotYours};
use cityevents_kit::{ErrorCode, Problem};

use super::wire::{AccountStatusBody, Data, SessionBody, User, data};
use crate::identity::Identity;
use crate::identity::store::IdentityError;

/// Who one is.
#[utoipa::path(
    get,
    path = "/api/auth/me",
    tag = "identity",
    operation_id = "me",
    responses((status = 200, description = "as asked for", body = Data<User>), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn me(
    State(identity): State<Identity>,
    caller: Caller,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    Ok(data(StatusCode::OK, User::of(&identity, &account)))
}

/// How one stands; for who is locked out, too.
#[utoipa::path(
    get,
    path = "/api/auth/me/status",
    tag = "identity",
    operation_id = "my_status",
    responses((status = 200, description = "as asked for", body = Data<AccountStatusBody>), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn status(
    State(identity): State<Identity>,
    caller: Caller,
) -> Result<Response, Problem> {
    let account = identity.account(&caller.user).await.map_err(IdentityError::into_problem)?;
    let account = account.ok_or_else(|| Problem::new(ErrorCode::Unauthenticated))?;
    Ok(data(StatusCode::OK, AccountStatusBody::of(&account)))
}

/// Where one is signed in.
#[utoipa::path(
    get,
    path = "/api/auth/sessions",
    tag = "identity",
    operation_id = "list_sessions",
    responses((status = 200, description = "as asked for", body = Data<Vec<SessionBody>>), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn list(
    State(identity): State<Identity>,
    caller: Caller,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    let sessions = identity.sessions(&account.id).await.map_err(IdentityError::into_problem)?;
    let sessions = sessions.into_iter().map(|session| SessionBody::of(session, &caller.session));
    Ok(data(StatusCode::OK, sessions.collect::<Vec<_>>()))
}

/// Signs out somewhere else.
#[utoipa::path(
    delete,
    path = "/api/auth/sessions/{id}",
    tag = "identity",
    operation_id = "end_session",
    params(IdPath),
    responses((status = 204, description = "done"), NotYours, NotThere),
    security(("bearer" = [])),
)]
pub(super) async fn end(
    State(identity): State<Identity>,
    PathId(id): PathId<uuid::Uuid>,
    caller: Caller,
    _: NoBody,
) -> Result<Response, Problem> {
    let ended = identity.end_session_and_tokens(&caller.user, &id).await;
    match ended.map_err(IdentityError::into_problem)? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Problem::new(ErrorCode::NotFound)),
    }
}

/// Signs out everywhere, here too.
#[utoipa::path(
    post,
    path = "/api/auth/sessions/revoke",
    tag = "identity",
    operation_id = "end_all_sessions",
    responses((status = 204, description = "done"), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn end_all(
    State(identity): State<Identity>,
    caller: Caller,
    _: NoBody,
) -> Result<Response, Problem> {
    let ended = identity.revoke_all(&caller.user, None).await;
    ended.map_err(IdentityError::into_problem)?;
    Ok((StatusCode::NO_CONTENT, [identity.shared.cookie.clear()]).into_response())
}
