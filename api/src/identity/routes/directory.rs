//! What staff looks through: the accounts, and what staff did to them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_kit::Problem;
use cityevents_kit::http::{Page, Query};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{NotYours, PageParameters};
use cityevents_kit::problem::InvalidFields;
use cityevents_kit::seal::FilterHash;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::wire::{Data, data, time};
use crate::identity::directory::AccountPosition;
use crate::identity::store::IdentityError;
use crate::identity::{Account, Identity, audit, directory};
use crate::lists::{List, ListBody};

/// Longest text that is looked for, in characters.
const TEXT_CHARACTERS_MAX: usize = 100;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountsParameters {
    role: Option<String>,
    status: Option<String>,
    q: Option<String>,
    #[param(ignore)]
    #[serde(rename = "limit")]
    _limit: Option<IgnoredAny>,
    #[param(ignore)]
    #[serde(rename = "cursor")]
    _cursor: Option<IgnoredAny>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditParameters {
    actor: Option<String>,
    target: Option<String>,
    #[param(ignore)]
    #[serde(rename = "limit")]
    _limit: Option<IgnoredAny>,
    #[param(ignore)]
    #[serde(rename = "cursor")]
    _cursor: Option<IgnoredAny>,
}

/// Somebody, as staff sees them.
#[derive(Serialize, ToSchema)]
struct Listed {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// For admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    role: &'static str,
    locked: bool,
    email_verified: bool,
    created_at: String,
}

#[derive(Serialize, ToSchema)]
struct Audited {
    id: String,
    at: String,
    /// `null`: somebody at the command line.
    actor: Option<String>,
    target: String,
    /// What `target` is: `account` or `event`.
    target_kind: &'static str,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// Of what was done to one person at an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
}

/// By role, and then by age. Addresses are for admins; moderators
/// neither see them nor find anybody by them.
#[utoipa::path(
    get,
    path = "/api/auth/admin/users",
    tag = "staff",
    operation_id = "list_accounts",
    params(AccountsParameters, PageParameters),
    responses((status = 200, description = "as asked for", body = Data<ListBody<Listed>>), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn accounts(
    State(identity): State<Identity>,
    Query(parameters): Query<AccountsParameters>,
    page: Page,
    caller: Caller,
) -> Result<Response, Problem> {
    let staff = identity.check_role(&caller, Role::Moderator).await?;
    let sees_addresses = staff.role == Role::Admin;
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (role, status) = (given(parameters.role), given(parameters.status));
    let text = given(parameters.q).map(|text| text.trim().to_lowercase());
    let mut wrong = InvalidFields::default();
    let wanted_role = role.as_deref().and_then(Role::parse);
    if role.is_some() && wanted_role.is_none() {
        wrong.add("role", "write user, moderator or admin");
    }
    let locked = status.as_deref().map(|status| status == "locked");
    if !matches!(status.as_deref(), None | Some("active" | "locked")) {
        wrong.add("status", "write active or locked");
    }
    if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARACTERS_MAX) {
        wrong.add("q", format!("write at most {TEXT_CHARACTERS_MAX} characters"));
    }
    wrong.into_result()?;
    let filters = [("role", &role), ("status", &status), ("q", &text)];
    let filters = filters.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
    let list = List::new(&identity.shared.cursors, "accounts", FilterHash::of(filters), page);
    let wanted =
        directory::Wanted { role: wanted_role, locked, text, in_addresses: sees_addresses };
    let found = identity.accounts(&wanted, list.after()?, list.fetched()).await;
    let (items, next) = found.map_err(IdentityError::into_problem)?;
    let page = cityevents_views::Page { items, next };
    let turned = list.turn(page, |account| Some(AccountPosition::of(account)))?;
    let (accounts, next_cursor) = turned.split();
    let items = accounts.into_iter().map(|account| listed(account, sees_addresses)).collect();
    Ok(data(StatusCode::OK, ListBody::new(items, next_cursor)))
}

fn listed(account: Account, with_address: bool) -> Listed {
    Listed {
        id: account.id.to_string(),
        name: account.name,
        email: with_address.then_some(account.email),
        role: account.role.as_str(),
        locked: account.locked,
        email_verified: account.email_verified,
        created_at: time(account.created_at_ms),
    }
}

/// What staff did to accounts and to events of others, the latest first.
///
/// `target` is the id of an account or of an event.
#[utoipa::path(
    get,
    path = "/api/admin/audit-trail",
    tag = "staff",
    operation_id = "audit_trail",
    params(AuditParameters, PageParameters),
    responses((status = 200, description = "as asked for", body = Data<ListBody<Audited>>), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn audit_trail(
    State(identity): State<Identity>,
    Query(parameters): Query<AuditParameters>,
    page: Page,
    caller: Caller,
) -> Result<Response, Problem> {
    identity.check_role(&caller, Role::Moderator).await?;
    let mut wrong = InvalidFields::default();
    let mut person = |name: &'static str, text: Option<String>| -> Option<UserId> {
        let text = text.filter(|text| !text.trim().is_empty())?;
        let id = text.trim().parse().ok();
        if id.is_none() {
            wrong.add(name, "write the id of an account, or as target of an event");
        }
        id
    };
    let (actor, target) = (person("actor", parameters.actor), person("target", parameters.target));
    wrong.into_result()?;
    let texts = [("actor", actor), ("target", target)];
    let texts = texts.map(|(name, id)| (name, id.map(|id| id.to_string()).unwrap_or_default()));
    let filters = FilterHash::of(texts.iter().map(|(name, text)| (*name, text.as_str())));
    let list = List::new(&identity.shared.cursors, "audit-trail", filters, page);
    let wanted = audit::Wanted { actor, target };
    let found = identity.audit_trail(wanted, list.after()?, list.fetched()).await;
    let (items, next) = found.map_err(IdentityError::into_problem)?;
    let page = cityevents_views::Page { items, next };
    let (entries, next_cursor) = list.turn(page, |entry| Some(entry.position()))?.split();
    let items = entries.iter().map(audited).collect();
    Ok(data(StatusCode::OK, ListBody::new(items, next_cursor)))
}

fn audited(entry: &audit::Entry) -> Audited {
    let (act, target) = match entry {
        audit::Entry::Account { act, target } => (act, target),
        audit::Entry::Event(act) => {
            return Audited {
                id: act.id.to_string(),
                at: time(act.at.as_millis()),
                actor: Some(act.actor.to_string()),
                target: act.event.to_string(),
                target_kind: "event",
                action: act.deed.as_str(),
                role: None,
                user_id: act.person.map(|person| person.to_string()),
            };
        }
    };
    let role = match act.deed {
        audit::Deed::SetRole { role } => Some(role.as_str()),
        _ => None,
    };
    Audited {
        id: act.id.to_string(),
        at: time(act.at_ms),
        actor: act.actor.map(|actor| actor.to_string()),
        target: target.to_string(),
        target_kind: "account",
        action: act.deed.as_str(),
        role,
        user_id: None,
    }
}
