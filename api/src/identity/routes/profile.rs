//! What one is called.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use cityevents_kit::http::Json;
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::NotYours;
use cityevents_kit::{ErrorCode, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::{Data, User, data};
use crate::identity::store::IdentityError;
use crate::identity::{Identity, person_name};

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "name": "Ada" }))]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// What one wants to be called; `null` or an empty one: nothing.
    #[schema(max_length = 120)]
    name: Option<String>,
}

/// Changes what one is called. Others see it within a minute.
#[utoipa::path(
    patch,
    path = "/api/auth/me",
    tag = "identity",
    operation_id = "change_profile",
    request_body = Profile,
    responses((status = 200, description = "as asked for", body = Data<User>), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn change(
    State(identity): State<Identity>,
    caller: Caller,
    Json(body): Json<Profile>,
) -> Result<Response, Problem> {
    identity.account_of_caller(&caller).await?;
    let name = person_name(body.name.as_deref().unwrap_or_default());
    let name = name.map_err(|error| Problem::invalid("name", error.to_string()))?;
    let account = identity.rename(&caller.user, name).await.map_err(IdentityError::into_problem)?;
    let account = account.ok_or_else(|| Problem::new(ErrorCode::Unauthenticated))?;
    Ok(data(StatusCode::OK, User::of(&identity, &account)))
}
