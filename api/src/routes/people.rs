//! The people of an event, for its owner and staff.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_kit::Problem;
use cityevents_kit::event_body::WireTime;
use cityevents_kit::http::{Page, PathId, Query};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{EventPath, IdText, NotThere, NotYours, PageParameters};
use cityevents_kit::seal::FilterHash;
use cityevents_views::{ParticipantPosition, ParticipantsQuery, RegistrationRow};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::person::{COLUMNS, Participant, Sought, cells, shown};
use super::{PageOnly, given};
use crate::answer::Answer;
use crate::card::as_text;
use crate::csv;
use crate::freshness::Presented;
use crate::lists::{List, ListBody};
use crate::state::Reads;

/// The query of the participants.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ParticipantsParameters {
    status: Option<String>,
    /// Part of a name, or the beginning of an id. A page may have fewer items than asked for, or
    /// none, and still go on: people are looked through a bounded number at a time.
    q: Option<String>,
    format: Option<String>,
    #[param(ignore)]
    limit: Option<IgnoredAny>,
    #[param(ignore)]
    cursor: Option<IgnoredAny>,
}

/// The query of the line.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitlistParameters {
    /// As of the participants.
    q: Option<String>,
    format: Option<String>,
    #[param(ignore)]
    limit: Option<IgnoredAny>,
    #[param(ignore)]
    cursor: Option<IgnoredAny>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Banned {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    user_id: UserId,
    /// Of people who have given one.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    banned_by: UserId,
    banned_at: WireTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<WireTime>,
    expired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Those with a place, or in another state (`status`, `all`),
/// in the order of joining.
#[utoipa::path(
    get,
    path = "/api/events/{id}/participants",
    tag = "organising",
    operation_id = "list_participants",
    params(EventPath, ParticipantsParameters, PageParameters),
    responses((status = 200, description = "as asked for", body = ListBody<Participant>), NotYours, NotThere),
    security(("bearer" = [])),
)]
pub(super) async fn participants(
    State(reads): State<Reads>,
    PathId(event): PathId<EventId>,
    Query(parameters): Query<ParticipantsParameters>,
    page: Page,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    let word = given(parameters.status);
    let word = word.as_deref().unwrap_or(RegistrationStatus::Active.as_str());
    let status = RegistrationStatus::parse(word);
    if status.is_none() && word != "all" {
        let words = RegistrationStatus::ALL.map(RegistrationStatus::as_str).join(", ");
        return Err(Problem::invalid("status", format!("write {words} or all")));
    }
    let q = given(parameters.q);
    let sought = Sought::parse(q.as_deref())?;
    let is_part = sought.is_some() || parameters.limit.or(parameters.cursor).is_some();
    if is_csv(parameters.format, is_part)? {
        reads.settle_list(presented).await?;
        reads.managed_event(event, &caller).await?;
        return csv::answer("participants.csv", &COLUMNS, move |after| {
            let (reads, limit) = (reads.clone(), csv::PAGE);
            async move {
                let query = ParticipantsQuery { event, status, after, limit };
                let page = reads.views.registrations.participants(query).await;
                let page = page.map_err(|error| reads.failed(&error))?;
                Ok((cells(&reads, &page.items).await?, page.next))
            }
        })
        .await;
    }
    let text = event.to_string();
    let filters = FilterHash::of([
        ("event", text.as_str()),
        ("status", word),
        ("q", q.as_deref().unwrap_or_default()),
    ]);
    let list = List::new(&reads.cursors, "participants", filters, page);
    let after = list.after()?;
    let as_of = reads.settle_list(presented).await?;
    reads.managed_event(event, &caller).await?;
    let registrations = &reads.views.registrations;
    let read = |after, limit| {
        registrations.participants(ParticipantsQuery { event, status, after, limit })
    };
    let body = shown(&reads, &list, (sought.as_ref(), after), joined, read).await?;
    Ok(Answer::new(body, as_of).into_response())
}

/// The line from its head, with exact positions.
#[utoipa::path(
    get,
    path = "/api/events/{id}/waitlist",
    tag = "organising",
    operation_id = "list_waitlist",
    params(EventPath, WaitlistParameters, PageParameters),
    responses((status = 200, description = "as asked for", body = ListBody<Participant>), NotYours, NotThere),
    security(("bearer" = [])),
)]
pub(super) async fn waitlist(
    State(reads): State<Reads>,
    PathId(event): PathId<EventId>,
    Query(parameters): Query<WaitlistParameters>,
    page: Page,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    let q = given(parameters.q);
    let sought = Sought::parse(q.as_deref())?;
    let is_part = sought.is_some() || parameters.limit.or(parameters.cursor).is_some();
    if is_csv(parameters.format, is_part)? {
        reads.settle_list(presented).await?;
        reads.managed_event(event, &caller).await?;
        return csv::answer("waitlist.csv", &COLUMNS, move |after| {
            let reads = reads.clone();
            async move {
                let page = reads.views.registrations.waitlist(event, after, csv::PAGE).await;
                let page = page.map_err(|error| reads.failed(&error))?;
                Ok((cells(&reads, &page.items).await?, page.next))
            }
        })
        .await;
    }
    let text = event.to_string();
    let q_text = q.as_deref().unwrap_or_default();
    let filters = FilterHash::of([("event", text.as_str()), ("q", q_text)]);
    let list = List::new(&reads.cursors, "waitlist", filters, page);
    let after = list.after()?;
    let as_of = reads.settle_list(presented).await?;
    reads.managed_event(event, &caller).await?;
    let registrations = &reads.views.registrations;
    let read = |after, limit| registrations.waitlist(event, after, limit);
    let place = RegistrationRow::line_ticket;
    let body = shown(&reads, &list, (sought.as_ref(), after), place, read).await?;
    Ok(Answer::new(body, as_of).into_response())
}

/// Who is kept out, by id.
#[utoipa::path(
    get,
    path = "/api/events/{id}/bans",
    tag = "organising",
    operation_id = "list_bans",
    params(EventPath, PageParameters),
    responses((status = 200, description = "as asked for", body = ListBody<Banned>), NotYours, NotThere),
    security(("bearer" = [])),
)]
pub(super) async fn bans(
    State(reads): State<Reads>,
    PathId(event): PathId<EventId>,
    Query(_): Query<PageOnly>,
    page: Page,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    let text = event.to_string();
    let filters = FilterHash::of([("event", text.as_str())]);
    let list = List::new(&reads.cursors, "bans", filters, page);
    let after = list.after()?;
    let as_of = reads.settle_list(presented).await?;
    reads.managed_event(event, &caller).await?;
    let fetched = reads.views.bans.bans(event, after, list.fetched()).await;
    let fetched = fetched.map_err(|error| reads.failed(&error))?;
    let turned = list.turn(fetched, |row| Some(row.user))?;
    let (rows, next_cursor) = turned.split();
    let (mut items, now) = (Vec::with_capacity(rows.len()), reads.now());
    for ban in rows.iter().filter_map(|row| row.ban.as_ref()) {
        items.push(Banned {
            user_id: ban.user,
            name: reads.names.name(&ban.user).await.map(|name| name.to_string()),
            banned_by: ban.banned_by,
            banned_at: WireTime(ban.banned_at),
            expires_at: ban.expires_at.map(WireTime),
            expired: ban.expires_at.is_some_and(|expires_at| expires_at <= now),
            reason: reads.open_reason(event, ban.user, ban.reason.as_ref()).await?,
        });
    }
    Ok(Answer::new(ListBody::new(items, next_cursor), as_of).into_response())
}

/// Where somebody stands among those who joined.
fn joined(row: &RegistrationRow) -> Option<ParticipantPosition> {
    let (joined_at, user) = (row.registration.joined_at, row.registration.user);
    Some(ParticipantPosition { joined_at, user })
}

/// Whether CSV is asked for, which is always all of a list.
fn is_csv(format: Option<String>, is_part: bool) -> Result<bool, Problem> {
    match given(format).as_deref() {
        None | Some("json") => Ok(false),
        Some("csv") if is_part => {
            Err(Problem::invalid("format", "csv is the whole list: leave q, limit and cursor away"))
        }
        Some("csv") => Ok(true),
        Some(_) => Err(Problem::invalid("format", "write json or csv")),
    }
}
