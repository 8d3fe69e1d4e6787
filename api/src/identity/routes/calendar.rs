//! What one goes to, for a calendar that reads it again and again.
//!
//! Calendar programs cannot sign in, so the link carries a token that opens nothing else. It is good
//! until all sessions of the person are revoked, or the account is locked or erased.

use std::pin::pin;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use cityevents_domain::ids::UserId;
use cityevents_domain::registration::RegistrationStatus;
use cityevents_kit::http::Query;
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::NotYours;
use cityevents_kit::seal::FilterHash;
use cityevents_kit::{ErrorCode, Problem};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::calendar::{Attendance, answer, calendar};
use crate::identity::store::IdentityError;
use crate::identity::{Account, Identity, own_rows};

const PURPOSE: &str = "calendar";
/// Most that are shown.
const EVENTS_MAX: usize = 1_000;

/// Where to subscribe.
#[derive(Serialize, ToSchema)]
struct LinkBody {
    url: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::identity) struct Parameters {
    token: String,
}

/// The link that calendars subscribe to.
#[utoipa::path(
    get,
    path = "/api/me/calendar",
    tag = "own",
    operation_id = "calendar_link",
    responses((status = 200, description = "as asked for", body = LinkBody), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn link(
    State(identity): State<Identity>,
    caller: Caller,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    let token = identity.calendar_token(&account).map_err(IdentityError::into_problem)?;
    let url = format!("{}/api/me/calendar.ics?token={token}", identity.shared.site);
    Ok(Json(LinkBody { url }).into_response())
}

/// What one goes to, by the link.
#[utoipa::path(
    get,
    path = "/api/me/calendar.ics",
    tag = "own",
    operation_id = "own_calendar",
    params(Parameters),
    responses((status = 200, description = "as asked for", body = String, content_type = "text/calendar")),
)]
pub(super) async fn events(
    State(identity): State<Identity>,
    Query(Parameters { token }): Query<Parameters>,
) -> Result<Response, Problem> {
    let account = identity.account_of_calendar(&token).await?;
    let account = account.ok_or_else(|| Problem::new(ErrorCode::TokenInvalid))?;
    let mut events = Vec::new();
    let views = &identity.shared.views;
    let failed = |error| IdentityError::Tables(error).into_problem();
    let mut rows = pin!(own_rows::joins(views, account.id));
    while events.len() < EVENTS_MAX
        && let Some(row) = rows.try_next().await.map_err(failed)?
    {
        let attendance = match row.registration.status {
            // Expired: the event was called off, which calendars show.
            RegistrationStatus::Active | RegistrationStatus::Expired => Attendance::Certain,
            RegistrationStatus::Waitlisted => Attendance::Waiting,
            RegistrationStatus::Canceled | RegistrationStatus::Rejected => continue,
        };
        let event = views.events.event(row.event).await.map_err(failed)?;
        events.extend(event.map(|row| (row.event, attendance)));
    }
    Ok(answer(&calendar("CityEvents", &events)))
}

impl Identity {
    fn calendar_token(&self, account: &Account) -> Result<String, IdentityError> {
        let now = self.shared.store.now().as_millis().to_be_bytes();
        let sealed = [account.id.as_bytes().as_slice(), &now].concat();
        Ok(self.shared.cursors.seal(PURPOSE, &FilterHash::of([]), &sealed)?)
    }

    async fn account_of_calendar(&self, token: &str) -> Result<Option<Account>, Problem> {
        let opened = self.shared.cursors.open(PURPOSE, &FilterHash::of([]), token);
        let Ok(bytes) = opened else { return Ok(None) };
        let Some((id, at)) = bytes.split_first_chunk::<16>() else { return Ok(None) };
        let Ok(at) = <[u8; 8]>::try_from(at) else { return Ok(None) };
        let given_at_ms = i64::from_be_bytes(at);
        let account = self.account(&UserId::from_bytes(*id)).await;
        let account = account.map_err(IdentityError::into_problem)?;
        Ok(account.filter(|account| {
            !account.locked && account.revoked_before_ms.is_none_or(|before| given_at_ms >= before)
        }))
    }
}
