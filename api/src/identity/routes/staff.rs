//! What staff does to accounts. Every instance knows within a second, for tokens already out too.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_kit::http::{Json, NoBody, PathId};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{Clash, IdPath, NotThere, NotYours};
use cityevents_kit::{ErrorCode, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::{AccountStatusBody, Data, data};
use crate::identity::audit::Deed;
use crate::identity::roles::RoleError;
use crate::identity::store::IdentityError;
use crate::identity::{Account, Identity};

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "role": "moderator" }))]
#[serde(deny_unknown_fields)]
pub(super) struct RoleBody {
    role: String,
}

/// Locks an account.
#[utoipa::path(
    post,
    path = "/api/auth/mod/users/{id}/ban",
    tag = "staff",
    operation_id = "lock_account",
    params(IdPath),
    responses((status = 200, description = "as asked for", body = Data<AccountStatusBody>), NotYours, NotThere, Clash),
    security(("bearer" = [])),
)]
pub(super) async fn ban(
    State(identity): State<Identity>,
    PathId(id): PathId<UserId>,
    caller: Caller,
    _: NoBody,
) -> Result<Response, Problem> {
    identity.set_locked(&caller, id, true).await
}

/// Unlocks an account.
#[utoipa::path(
    post,
    path = "/api/auth/mod/users/{id}/unban",
    tag = "staff",
    operation_id = "unlock_account",
    params(IdPath),
    responses((status = 200, description = "as asked for", body = Data<AccountStatusBody>), NotYours, NotThere, Clash),
    security(("bearer" = [])),
)]
pub(super) async fn unban(
    State(identity): State<Identity>,
    PathId(id): PathId<UserId>,
    caller: Caller,
    _: NoBody,
) -> Result<Response, Problem> {
    identity.set_locked(&caller, id, false).await
}

/// Gives an account another role.
#[utoipa::path(
    post,
    path = "/api/auth/admin/users/{id}/role",
    tag = "staff",
    operation_id = "set_role",
    params(IdPath),
    request_body = RoleBody,
    responses((status = 200, description = "as asked for", body = Data<AccountStatusBody>), NotYours, NotThere, Clash),
    security(("bearer" = [])),
)]
pub(super) async fn set_role(
    State(identity): State<Identity>,
    PathId(id): PathId<UserId>,
    caller: Caller,
    Json(body): Json<RoleBody>,
) -> Result<Response, Problem> {
    let staff = identity.check_role(&caller, Role::Admin).await?;
    let role = Role::parse(&body.role)
        .ok_or_else(|| Problem::invalid("role", "write user, moderator or admin"))?;
    let changed = identity.give_role(Some(&staff.id), &id, role).await;
    let changed = changed.map_err(RoleError::into_problem)?;
    Ok(status_of(&changed))
}

/// How an account stands.
#[utoipa::path(
    get,
    path = "/api/auth/admin/users/{id}/status",
    tag = "staff",
    operation_id = "account_status",
    params(IdPath),
    responses((status = 200, description = "as asked for", body = Data<AccountStatusBody>), NotYours, NotThere),
    security(("bearer" = [])),
)]
pub(super) async fn status(
    State(identity): State<Identity>,
    PathId(id): PathId<UserId>,
    caller: Caller,
) -> Result<Response, Problem> {
    identity.check_role(&caller, Role::Admin).await?;
    Ok(status_of(&identity.known(&id).await?))
}

/// Signs somebody out everywhere.
#[utoipa::path(
    post,
    path = "/api/auth/admin/users/{id}/sessions/revoke",
    tag = "staff",
    operation_id = "revoke_sessions",
    params(IdPath),
    responses((status = 204, description = "done"), NotYours, NotThere),
    security(("bearer" = [])),
)]
pub(super) async fn revoke(
    State(identity): State<Identity>,
    PathId(id): PathId<UserId>,
    caller: Caller,
    _: NoBody,
) -> Result<Response, Problem> {
    let staff = identity.check_role(&caller, Role::Admin).await?;
    identity.known(&id).await?;
    identity.revoke_all(&id, Some(&staff.id)).await.map_err(IdentityError::into_problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn status_of(account: &Account) -> Response {
    data(StatusCode::OK, AccountStatusBody::of(account))
}

impl Identity {
    /// Whether the caller has a role or a higher one now, whatever the token says.
    pub(super) async fn check_role(
        &self,
        caller: &Caller,
        least: Role,
    ) -> Result<Account, Problem> {
        let account = self.account_of_caller(caller).await?;
        if account.role >= least { Ok(account) } else { Err(Problem::new(ErrorCode::Forbidden)) }
    }

    async fn known(&self, id: &UserId) -> Result<Account, Problem> {
        let account = self.account(id).await.map_err(IdentityError::into_problem)?;
        account.ok_or_else(|| Problem::new(ErrorCode::NotFound))
    }

    /// Locks or unlocks: not oneself, and nobody above oneself.
    async fn set_locked(
        &self,
        caller: &Caller,
        id: UserId,
        locked: bool,
    ) -> Result<Response, Problem> {
        let staff = self.check_role(caller, Role::Moderator).await?;
        if staff.id == id {
            let detail = "nobody locks or unlocks themselves";
            return Err(Problem::because(ErrorCode::Forbidden, detail));
        }
        let account = self.known(&id).await?;
        if account.role > staff.role {
            let detail = "this person is above you";
            return Err(Problem::because(ErrorCode::Forbidden, detail));
        }
        if locked && account.role == Role::Admin {
            self.step_down(&id).await.map_err(RoleError::into_problem)?;
        }
        let change = |account: &Account| {
            (account.locked != locked).then(|| Account { locked, ..account.clone() })
        };
        if locked {
            self.announce_departure(&id).await.map_err(IdentityError::into_problem)?;
        }
        let deed = if locked { Deed::Ban } else { Deed::Unban };
        let changed = self.act_on(Some(&staff.id), &id, deed, change).await;
        let changed = changed.map_err(IdentityError::into_problem)?;
        let changed = changed.ok_or_else(|| Problem::new(ErrorCode::NotFound))?;
        if locked {
            self.end_sessions(&id).await.map_err(IdentityError::into_problem)?;
            self.leave_events_in_background(id);
        } else if changed.role == Role::Admin {
            self.add_administrator(&id).await.map_err(IdentityError::into_problem)?;
        }
        Ok(status_of(&changed))
    }
}
