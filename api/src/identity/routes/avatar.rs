//! One's own picture.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use cityevents_kit::Problem;
use cityevents_kit::http::Json;
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{IdText, NotYours};
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::{Data, User, data};
use crate::identity::Identity;
use crate::identity::store::IdentityError;

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "upload_id": null }))]
#[serde(deny_unknown_fields)]
pub(super) struct AvatarBody {
    /// A picture of one's own that was brought as an avatar and is ready; none takes the one there is
    /// away.
    #[schema(value_type = Option<IdText>)]
    upload_id: Option<String>,
}

/// Takes another picture, or none.
#[utoipa::path(
    patch,
    path = "/api/auth/me/avatar",
    tag = "identity",
    operation_id = "set_avatar",
    request_body = AvatarBody,
    responses((status = 200, description = "as asked for", body = Data<User>), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn set(
    State(identity): State<Identity>,
    caller: Caller,
    Json(body): Json<AvatarBody>,
) -> Result<Response, Problem> {
    identity.account_of_caller(&caller).await?;
    let picture = body.upload_id.as_deref().map(str::parse).transpose();
    let picture = picture.map_err(|error: cityevents_domain::ids::InvalidId| {
        Problem::invalid("upload_id", error.to_string())
    })?;
    let account = identity.set_avatar(&caller.user, picture).await;
    let account = account.map_err(IdentityError::into_problem)?;
    let account = account
        .ok_or_else(|| Problem::invalid("upload_id", "is none of your avatars that are ready"))?;
    Ok(data(StatusCode::OK, User::of(&identity, &account)))
}
