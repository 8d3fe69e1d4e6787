//! No more mails of a kind, by the link of one of them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::http::{Json, Query};
use cityevents_kit::{ErrorCode, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use super::proofs::TokenBody;
use super::wire::{Data, data};
use crate::identity::Identity;
use crate::identity::store::IdentityError;

/// What a link switches off.
#[derive(Serialize, ToSchema)]
struct SwitchBody {
    /// The kind of mail, as in the own notifications.
    #[schema(example = "event_changed")]
    mail: &'static str,
    /// Whether such mails come at present.
    on: bool,
}

/// Which mails a link switches off.
#[utoipa::path(
    get,
    path = "/api/unsubscribe",
    tag = "identity",
    operation_id = "look_at_unsubscribe_link",
    params(TokenBody),
    responses((status = 200, description = "as asked for", body = Data<SwitchBody>)),
)]
pub(super) async fn look(
    State(identity): State<Identity>,
    Query(query): Query<TokenBody>,
) -> Result<Response, Problem> {
    let found = identity.unsubscribing(&query.token).await.map_err(IdentityError::into_problem)?;
    let (account, kind) = found.ok_or_else(|| Problem::new(ErrorCode::TokenInvalid))?;
    let kept = identity.notifications(&account.id).await.map_err(IdentityError::into_problem)?;
    let body = SwitchBody { mail: kind.as_str(), on: !kept.off.contains(&kind) };
    Ok(data(StatusCode::OK, body))
}

/// Switches mails of a kind off, by the link of one of them. As often as wanted.
#[utoipa::path(
    post,
    path = "/api/unsubscribe",
    tag = "identity",
    operation_id = "unsubscribe",
    request_body = TokenBody,
    responses((status = 204, description = "done")),
)]
pub(super) async fn switch_off(
    State(identity): State<Identity>,
    Json(body): Json<TokenBody>,
) -> Result<Response, Problem> {
    let found = identity.unsubscribing(&body.token).await.map_err(IdentityError::into_problem)?;
    let (account, kind) = found.ok_or_else(|| Problem::new(ErrorCode::TokenInvalid))?;
    let switched = identity.switch_notifications(&account.id, &[(kind, false)]).await;
    switched.map_err(IdentityError::into_problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
