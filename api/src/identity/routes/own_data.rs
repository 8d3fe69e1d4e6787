//! What is kept of oneself: to have it, to have it erased, and what one wants to be told.

use cityevents_kit::openapi::{Clash, NotYours};
use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::http::{Json, NoBody};
use cityevents_kit::keys::Caller;
use cityevents_kit::problem::InvalidFields;
use cityevents_kit::{ErrorCode, Problem};
use cityevents_mail::Template;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::wire::{SessionBody, User, data};
use crate::identity::erasure::ErasureError;
use crate::identity::notifications::Notifications;
use crate::identity::oidc::Linked;
use crate::identity::store::IdentityError;
use crate::identity::{Account, Identity, LanguageTag};

/// Everything that is kept of one, as one file.
#[utoipa::path(
    get,
    path = "/api/auth/me/export",
    tag = "own",
    operation_id = "export_account",
    responses((status = 200, description = "as asked for", body = Object), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn export(
    State(identity): State<Identity>,
    caller: Caller,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    let exported = async {
        let sessions = identity.sessions(&account.id).await?.into_iter();
        let sessions: Vec<_> =
            sessions.map(|session| SessionBody::of(session, &caller.session)).collect();
        Ok::<_, IdentityError>(json!({
            "user": User::of(&identity, &account),
            "created_at": super::wire::time(account.created_at_ms),
            "sessions": sessions,
            "providers": shown_links(&identity.links_of(&account).await?),
            "registrations": identity.export_registrations(&account.id).await?,
            "events": identity.export_events(&account.id).await?,
            "interests": identity.export_interests(&account.id).await?,
            "notifications": shown(&account, &identity.notifications(&account.id).await?),
            "acts_of_staff": identity.export_acts(&account).await?,
        }))
    };
    let mut response = data(StatusCode::OK, exported.await.map_err(IdentityError::into_problem)?);
    let file = HeaderValue::from_static("attachment; filename=\"cityevents-account.json\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, file);
    Ok(response)
}

/// Erases the own account, for ever.
#[utoipa::path(
    delete,
    path = "/api/auth/me",
    tag = "own",
    operation_id = "erase_account",
    responses((status = 204, description = "done"), NotYours, Clash),
    security(("bearer" = [])),
)]
pub(super) async fn erase(
    State(identity): State<Identity>,
    caller: Caller,
    _: NoBody,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    identity.erase(&account).await.map_err(|error| match error {
        ErasureError::Identity(error) => error.into_problem(),
        error => Problem::because(ErrorCode::InvalidState, error.to_string()),
    })?;
    Ok((StatusCode::NO_CONTENT, [identity.shared.cookie.clear()]).into_response())
}

#[derive(Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "mail": { "event_changed": false }, "language": "de" }))]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationsBody {
    /// Whether mails of a kind come, by kind.
    #[serde(default)]
    #[schema(required = false)]
    mail: BTreeMap<String, bool>,
    /// The language of mails, as a tag. None: that of the service.
    #[schema(max_length = 35, pattern = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
    language: Option<String>,
}

/// Which mails one gets.
#[utoipa::path(
    get,
    path = "/api/me/notifications",
    tag = "own",
    operation_id = "get_notifications",
    responses((status = 200, description = "as asked for", body = NotificationsBody), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn notifications(
    State(identity): State<Identity>,
    caller: Caller,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    let kept = identity.notifications(&account.id).await.map_err(IdentityError::into_problem)?;
    Ok(axum::Json(shown(&account, &kept)).into_response())
}

/// Switches mails on or off, or to another language: what is sent changes.
#[utoipa::path(
    patch,
    path = "/api/me/notifications",
    tag = "own",
    operation_id = "switch_notifications",
    request_body = NotificationsBody,
    responses((status = 200, description = "as asked for", body = NotificationsBody), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn switch_notifications(
    State(identity): State<Identity>,
    caller: Caller,
    Json(body): Json<NotificationsBody>,
) -> Result<Response, Problem> {
    let mut account = identity.account_of_caller(&caller).await?;
    let mut wrong = InvalidFields::default();
    let kind = |word: &str| Template::parse(word).filter(|kind| kind.is_optional());
    let wanted = body.mail.iter().filter_map(|(word, on)| match kind(word) {
        Some(kind) => Some((kind, *on)),
        None => {
            let words: Vec<_> = Template::optional().map(Template::as_str).collect();
            wrong.add(format!("mail.{word}"), format!("there are {}", words.join(", ")));
            None
        }
    });
    let wanted: Vec<_> = wanted.collect();
    let language = body.language.as_deref().map(LanguageTag::parse).transpose();
    let language = language.map_err(|error| wrong.add("language", error.to_string()));
    wrong.into_result()?;
    if let Ok(Some(language)) = language {
        let set = identity.set_language(&account.id, &language).await;
        set.map_err(IdentityError::into_problem)?;
        account.language = Some(language);
    }
    let kept = identity.switch_notifications(&account.id, &wanted).await;
    let kept = kept.map_err(IdentityError::into_problem)?;
    Ok(axum::Json(shown(&account, &kept)).into_response())
}

/// Who one is at other providers.
fn shown_links(links: &[Linked]) -> Value {
    let links = links.iter().map(|link| {
        json!({
            "provider": link.provider,
            "issuer": link.issuer,
            "subject": link.subject,
            "linked_at": super::wire::time(link.linked_at_ms),
        })
    });
    links.collect()
}

fn shown(account: &Account, kept: &Notifications) -> Value {
    let mail = Template::optional().map(|kind| (kind.as_str(), !kept.off.contains(&kind)));
    let language = account.language.as_ref().map(LanguageTag::as_str);
    json!({ "mail": mail.collect::<BTreeMap<_, _>>(), "language": language })
}
