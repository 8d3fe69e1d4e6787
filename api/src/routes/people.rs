//! The people of an event, for its owner and staff.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::event::Capacity;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_kit::Problem;
use cityevents_kit::event_body::{WireTime, is_ended, wire_status};
use cityevents_kit::http::{Page, PathId, Query};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{EventPath, IdText, NotThere, NotYours, PageParameters};
use cityevents_kit::seal::FilterHash;
use cityevents_views::{ParticipantPosition, ParticipantsQuery, RegistrationRow};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{PageOnly, given};
use crate::answer::Answer;
use crate::card::as_text;
use crate::csv;
use crate::freshness::Presented;
use crate::lines::Minute;
use crate::lists::{List, ListBody};
use crate::state::Reads;

/// The query of the participants.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ParticipantsParameters {
    status: Option<String>,
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
    format: Option<String>,
    #[param(ignore)]
    limit: Option<IgnoredAny>,
    #[param(ignore)]
    cursor: Option<IgnoredAny>,
}

/// The columns of people as CSV.
const COLUMNS: [&str; 7] =
    ["user_id", "status", "position", "joined_at", "updated_at", "checked_in_at", "reason"];

#[derive(Debug, Serialize, ToSchema)]
struct Participant {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    user_id: UserId,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    joined_at: WireTime,
    updated_at: WireTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_in_at: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Banned {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    user_id: UserId,
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

#[derive(Debug, Serialize, ToSchema)]
struct Stats {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    event_id: EventId,
    status: &'static str,
    ended: bool,
    capacity: u32,
    active_participants: u32,
    /// `null` where everybody fits.
    free_places: Option<u32>,
    waitlist_count: u32,
    waitlist_limit: u32,
    checked_in: u32,
    /// With `series=minute`: the minutes of the last day in which somebody came or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Vec<MinuteBody>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MinuteBody {
    at: WireTime,
    /// With a place, or waiting.
    joined: u32,
    /// By themselves, or removed.
    left: u32,
}

/// The query of the sums.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StatsParameters {
    /// `minute`: how many came and went, by minute.
    #[param(pattern = "^minute$")]
    series: Option<String>,
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
    if is_csv(parameters.format, parameters.limit.or(parameters.cursor).is_some())? {
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
    let filters = FilterHash::of([("event", text.as_str()), ("status", word)]);
    let list = List::new(&reads.cursors, "participants", filters, page);
    let after = list.after()?;
    let as_of = reads.settle_list(presented).await?;
    reads.managed_event(event, &caller).await?;
    let query = ParticipantsQuery { event, status, after, limit: list.fetched() };
    let fetched = reads.views.registrations.participants(query).await;
    let fetched = fetched.map_err(|error| reads.failed(&error))?;
    let turned = list.turn(fetched, |row| {
        let (joined_at, user) = (row.registration.joined_at, row.registration.user);
        Some(ParticipantPosition { joined_at, user })
    })?;
    let (rows, next_cursor) = turned.split();
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        items.push(participant(&reads, row).await?);
    }
    Ok(Answer::new(ListBody::new(items, next_cursor), as_of).into_response())
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
    if is_csv(parameters.format, parameters.limit.or(parameters.cursor).is_some())? {
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
    let filters = FilterHash::of([("event", text.as_str())]);
    let list = List::new(&reads.cursors, "waitlist", filters, page);
    let after = list.after()?;
    let as_of = reads.settle_list(presented).await?;
    reads.managed_event(event, &caller).await?;
    let fetched = reads.views.registrations.waitlist(event, after, list.fetched()).await;
    let fetched = fetched.map_err(|error| reads.failed(&error))?;
    let turned = list.turn(fetched, RegistrationRow::line_ticket)?;
    let (rows, next_cursor) = turned.split();
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        items.push(participant(&reads, row).await?);
    }
    Ok(Answer::new(ListBody::new(items, next_cursor), as_of).into_response())
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
            banned_by: ban.banned_by,
            banned_at: WireTime(ban.banned_at),
            expires_at: ban.expires_at.map(WireTime),
            expired: ban.expires_at.is_some_and(|expires_at| expires_at <= now),
            reason: reads.open_reason(event, ban.user, ban.reason.as_ref()).await?,
        });
    }
    Ok(Answer::new(ListBody::new(items, next_cursor), as_of).into_response())
}

/// What the registrations add up to.
#[utoipa::path(
    get,
    path = "/api/events/{id}/stats",
    tag = "organising",
    operation_id = "event_stats",
    params(EventPath, StatsParameters),
    responses((status = 200, description = "as asked for", body = Stats), NotYours, NotThere),
    security(("bearer" = [])),
)]
pub(super) async fn stats(
    State(reads): State<Reads>,
    PathId(id): PathId<EventId>,
    Query(parameters): Query<StatsParameters>,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    let series = match given(parameters.series).as_deref() {
        None => false,
        Some("minute") => true,
        Some(_) => return Err(Problem::invalid("series", "write minute")),
    };
    let as_of = reads.settle(presented).await?;
    let event = reads.managed_event(id, &caller).await?;
    let counters = reads.counters(id).await?;
    let capacity = event.fields.capacity;
    let is_limited = capacity != Capacity::Unlimited;
    let body = Stats {
        event_id: id,
        status: wire_status(event.status),
        ended: is_ended(&event, reads.now()),
        capacity: capacity.to_wire(),
        active_participants: counters.active,
        free_places: is_limited.then(|| capacity.free(counters.active)),
        waitlist_count: counters.waiting,
        waitlist_limit: event.fields.waitlist_limit(),
        checked_in: counters.checked_in,
        series: series.then(|| minutes(&reads, &id)),
    };
    Ok(Answer::new(body, as_of).into_response())
}

/// None of an event that is over: nobody comes or goes any more.
fn minutes(reads: &Reads, event: &EventId) -> Vec<MinuteBody> {
    let minutes = reads.lines.minutes(event).unwrap_or_default().into_iter();
    let body = |Minute { at, joined, left }| MinuteBody { at: WireTime(at), joined, left };
    minutes.map(body).collect()
}

async fn participant(reads: &Reads, row: &RegistrationRow) -> Result<Participant, Problem> {
    let registration = &row.registration;
    let waits = registration.status == RegistrationStatus::Waitlisted;
    let position = waits.then(|| reads.lines.position(&row.event, &registration.user)).flatten();
    Ok(Participant {
        user_id: registration.user,
        status: registration.status.as_str(),
        position,
        joined_at: WireTime(registration.joined_at),
        updated_at: WireTime(registration.updated_at),
        checked_in_at: registration.checked_in_at.map(WireTime),
        reason: reads.open_reason(row.event, registration.user, row.reason.as_ref()).await?,
    })
}

/// Whether CSV is asked for, which has no pages.
fn is_csv(format: Option<String>, has_page: bool) -> Result<bool, Problem> {
    match given(format).as_deref() {
        None | Some("json") => Ok(false),
        Some("csv") if has_page => {
            Err(Problem::invalid("format", "csv is the whole list: leave limit and cursor away"))
        }
        Some("csv") => Ok(true),
        Some(_) => Err(Problem::invalid("format", "write json or csv")),
    }
}

/// People as rows of [`COLUMNS`].
async fn cells(reads: &Reads, rows: &[RegistrationRow]) -> Result<Vec<Vec<String>>, Problem> {
    let mut cells = Vec::with_capacity(rows.len());
    for row in rows {
        let one = participant(reads, row).await?;
        cells.push(vec![
            one.user_id.to_string(),
            one.status.to_owned(),
            one.position.map(|position| position.to_string()).unwrap_or_default(),
            one.joined_at.to_string(),
            one.updated_at.to_string(),
            one.checked_in_at.map(|at| at.to_string()).unwrap_or_default(),
            one.reason.unwrap_or_default(),
        ]);
    }
    Ok(cells)
}
