//! One's own registrations and events.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::event::EventStatus;
use cityevents_domain::registration::RegistrationStatus;
use cityevents_kit::Problem;
use cityevents_kit::http::{Page, Query};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::PageParameters;
use cityevents_kit::seal::FilterHash;
use cityevents_views::{OwnEventPosition, OwnEventsQuery, OwnJoinPosition};
use serde::Deserialize;
use serde::de::IgnoredAny;
use utoipa::IntoParams;

use super::{PageOnly, given};
use crate::answer::Answer;
use crate::card::Card;
use crate::freshness::Presented;
use crate::lists::{List, ListBody};
use crate::state::Reads;

/// The query of the own events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsParameters {
    status: Option<String>,
    #[param(ignore)]
    #[serde(rename = "limit")]
    _limit: Option<IgnoredAny>,
    #[param(ignore)]
    #[serde(rename = "cursor")]
    _cursor: Option<IgnoredAny>,
}

/// All registrations, the last joined first, whatever became of the event.
#[utoipa::path(
    get,
    path = "/api/me/joins",
    tag = "own",
    operation_id = "own_joins",
    params(PageParameters),
    responses((status = 200, description = "as asked for", body = ListBody<Card>)),
    security(("bearer" = [])),
)]
pub(super) async fn joins(
    State(reads): State<Reads>,
    Query(_): Query<PageOnly>,
    page: Page,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    let user = caller.user.to_string();
    let filters = FilterHash::of([("user", user.as_str())]);
    let list = List::new(&reads.cursors, "joins", filters, page);
    let after = list.after()?;
    let as_of = reads.settle_list(presented).await?;
    let fetched = reads.views.registrations.own_joins(caller.user, after, list.fetched()).await;
    let fetched = fetched.map_err(|error| reads.failed(&error))?;
    let turned = list.turn(fetched, |row| {
        let joined_at = row.registration.joined_at;
        Some(OwnJoinPosition { joined_at, event: row.event })
    })?;
    let (rows, next_cursor) = turned.split();
    let mut known = Vec::with_capacity(rows.len());
    for row in &rows {
        let event = reads.views.events.event(row.event).await;
        let event = event.map_err(|error| reads.failed(&error))?;
        // The row of the event was written before, or in the same call.
        if let Some(event) = event {
            let organizer = reads.names.name(&event.event.owner).await;
            known.push((row, event.event, reads.counters(row.event).await?, organizer));
        }
    }
    let now = reads.now();
    let items = known.iter().map(|(row, event, counters, organizer)| {
        let waits = row.registration.status == RegistrationStatus::Waitlisted;
        let position = waits.then(|| reads.lines.position(&event.id, &caller.user)).flatten();
        let card =
            Card::new(event, counters, now, &reads.pictures).organized_by(organizer.as_deref());
        card.joined(row, position)
    });
    Ok(Answer::new(ListBody::new(items.collect(), next_cursor), as_of).into_response())
}

/// Own events in any state, the newest first.
#[utoipa::path(
    get,
    path = "/api/me/events",
    tag = "own",
    operation_id = "own_events",
    params(EventsParameters, PageParameters),
    responses((status = 200, description = "as asked for", body = ListBody<Card>)),
    security(("bearer" = [])),
)]
pub(super) async fn events(
    State(reads): State<Reads>,
    Query(parameters): Query<EventsParameters>,
    page: Page,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    let status = given(parameters.status);
    // Over the wire an event that is over is a published one that has ended.
    let statuses = match status.as_deref() {
        None => None,
        Some("draft") => Some(vec![EventStatus::Draft]),
        Some("published") => Some(vec![EventStatus::Published, EventStatus::Ended]),
        Some("canceled") => Some(vec![EventStatus::Canceled]),
        Some(_) => return Err(Problem::invalid("status", "write draft, published or canceled")),
    };
    let user = caller.user.to_string();
    let filters = [("user", Some(user.as_str())), ("status", status.as_deref())];
    let filters = filters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let list = List::new(&reads.cursors, "own-events", FilterHash::of(filters), page);
    let after = list.after()?;
    let as_of = reads.settle_list(presented).await?;
    let query = OwnEventsQuery { owner: caller.user, statuses, after, limit: list.fetched() };
    let fetched = reads.views.events.own_events(query).await;
    let fetched = fetched.map_err(|error| reads.failed(&error))?;
    let turned = list.turn(fetched, |row| {
        let created_at = row.event.created_at;
        Some(OwnEventPosition { created_at, event: row.event.id })
    })?;
    let (rows, next_cursor) = turned.split();
    let (mut items, now) = (Vec::with_capacity(rows.len()), reads.now());
    // All of one organiser: the caller.
    let organizer = reads.names.name(&caller.user).await;
    for row in &rows {
        let counters = reads.counters(row.event.id).await?;
        let card = Card::new(&row.event, &counters, now, &reads.pictures);
        items.push(card.organized_by(organizer.as_deref()));
    }
    Ok(Answer::new(ListBody::new(items, next_cursor), as_of).into_response())
}
