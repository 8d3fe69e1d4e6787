//! Events: the public list, the feed, one event.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::event::{CATEGORY_CHARACTERS_MAX, CITY_CHARACTERS_MAX};
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::Problem;
use cityevents_kit::event_body::EventBody;
use cityevents_kit::http::{Page, PathId, Query};
use cityevents_kit::keys::OptionalCaller;
use cityevents_kit::openapi::{EventPath, NotThere, PageParameters};
use cityevents_kit::problem::InvalidFields;
use cityevents_kit::seal::FilterHash;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::to_raw_value;
use utoipa::IntoParams;

use super::{NoParameters, given};
use crate::answer::Answer;
use crate::card::Card;
use crate::freshness::Presented;
use crate::index::{ByStart, Filter, Index, Next, Order, Search};
use crate::lists::{List, ListBody};
use crate::state::Reads;

/// Longest text to search for, in characters.
const SEARCH_CHARACTERS_MAX: usize = 200;

/// The query of the public list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    city: Option<String>,
    category: Option<String>,
    q: Option<String>,
    from: Option<String>,
    to: Option<String>,
    sort: Option<String>,
    exclude_expired: Option<String>,
    #[param(ignore)]
    #[serde(rename = "limit")]
    _limit: Option<IgnoredAny>,
    #[param(ignore)]
    #[serde(rename = "cursor")]
    _cursor: Option<IgnoredAny>,
}

/// What the query asks for, checked.
struct Filters {
    city: Option<String>,
    category: Option<String>,
    words: Option<String>,
    by_relevance: bool,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    excludes_expired: bool,
}

/// Published events, by start or by how well they fit what is searched for.
///
/// `q` finds events that have all of its words in title, description or city, each from its
/// beginning; in scripts without spaces, anywhere inside unbroken text. Case and accents do not
/// count.
#[utoipa::path(
    get,
    path = "/api/events",
    tag = "events",
    operation_id = "list_events",
    params(ListParameters, PageParameters),
    responses((status = 200, description = "as asked for", body = ListBody<Card>)),
)]
pub(super) async fn list(
    State(reads): State<Reads>,
    Query(parameters): Query<ListParameters>,
    page: Page,
    _presented: Presented,
) -> Result<Response, Problem> {
    let filters = parameters.check()?;
    respond(&reads, filters, page).await
}

/// The list without what is over.
#[utoipa::path(
    get,
    path = "/api/feed",
    tag = "events",
    operation_id = "feed",
    params(ListParameters, PageParameters),
    responses((status = 200, description = "as asked for", body = ListBody<Card>)),
)]
pub(super) async fn feed(
    State(reads): State<Reads>,
    Query(parameters): Query<ListParameters>,
    page: Page,
    _presented: Presented,
) -> Result<Response, Problem> {
    let filters = Filters { excludes_expired: true, ..parameters.check()? };
    respond(&reads, filters, page).await
}

/// One event.
#[utoipa::path(
    get,
    path = "/api/events/{id}",
    tag = "events",
    operation_id = "get_event",
    params(EventPath),
    responses((status = 200, description = "as asked for", body = EventBody), NotThere),
    security((), ("bearer" = [])),
)]
pub(super) async fn one(
    State(reads): State<Reads>,
    PathId(id): PathId<EventId>,
    Query(NoParameters {}): Query<NoParameters>,
    OptionalCaller(caller): OptionalCaller,
    presented: Presented,
) -> Result<Response, Problem> {
    let as_of = reads.settle(presented).await?;
    let event = reads.shown_event(id, caller.as_ref(), presented).await?;
    let counters = reads.event_counters(&event).await?;
    let organizer = reads.names.name(&event.owner).await;
    let body = EventBody::new(&event, &counters, reads.now(), &reads.pictures);
    let body = body.with_organizer(organizer.as_deref());
    Ok(Answer::new(body, as_of).with_version(event.version).into_response())
}

async fn respond(reads: &Reads, filters: Filters, page: Page) -> Result<Response, Problem> {
    let list = List::new(&reads.cursors, "events", filters.hash(), page);
    let now = reads.now();
    let as_of = reads.as_of_index();
    let (limit, filter) = (list.limit(), filters.at(now));
    let found = match filters.words {
        None => reads.index.page(&ByStart { filter, after: list.after()?, limit }),
        Some(typed) => {
            let order = match filters.by_relevance {
                true => Order::Relevance { after: list.after()? },
                false => Order::Start { after: list.after()? },
            };
            let found = reads.index.search(Search { typed, filter, order, limit }).await;
            found.map_err(|error| reads.not_searched(&error))?
        }
    };
    let next_cursor = match &found.next {
        None => None,
        Some(Next::Start(place)) => Some(list.seal(place)?),
        Some(Next::Publication(place)) => Some(list.seal(place)?),
        Some(Next::Relevance(place)) => Some(list.seal(place)?),
    };
    let mut items = Vec::with_capacity(found.events.len());
    for event in found.events {
        let made_of = reads.shown(event, now).await;
        items.push(reads.written(made_of, |made_of| {
            let card = Card::new(&made_of.event, &made_of.counters, now, &reads.pictures);
            to_raw_value(&card.organized_by(made_of.organizer.as_deref()))
        })?);
    }
    Ok(Answer::new(ListBody::new(items, next_cursor), as_of).into_response())
}

impl ListParameters {
    /// All bad parameters at once.
    fn check(self) -> Result<Filters, Problem> {
        let mut invalid = InvalidFields::default();
        let mut text = |name: &str, value: Option<String>, most: usize| {
            let value = given(value)?;
            if value.chars().count() > most {
                invalid.add(name, format!("at most {most} characters"));
            }
            Some(value)
        };
        let city = text("city", self.city, CITY_CHARACTERS_MAX);
        let category = text("category", self.category, CATEGORY_CHARACTERS_MAX);
        let words = text("q", self.q, SEARCH_CHARACTERS_MAX);
        let mut time = |name: &str, value: Option<String>| {
            let parsed = given(value)?.parse::<jiff::Timestamp>();
            if parsed.is_err() {
                invalid.add(name, "write a time such as 2026-07-14T09:30:00Z");
            }
            parsed.ok().map(|at| Timestamp::from_millis(at.as_millisecond()))
        };
        let (from, to) = (time("from", self.from), time("to", self.to));
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            invalid.add("to", "must be after from");
        }
        let by_relevance = match given(self.sort).as_deref() {
            None | Some("time") => false,
            Some("relevance") => true,
            Some(_) => {
                invalid.add("sort", "write time or relevance");
                false
            }
        };
        let excludes_expired = match given(self.exclude_expired).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                invalid.add("exclude_expired", "write true or false");
                false
            }
        };
        invalid.into_result()?;
        // Without a word to look for there is nothing to be relevant to.
        let words = words.filter(|typed| Index::has_words(typed));
        let by_relevance = by_relevance && words.is_some();
        Ok(Filters { city, category, words, by_relevance, from, to, excludes_expired })
    }
}

impl Filters {
    /// What a cursor is bound to. The time of the request is not part of it: the list without what
    /// is over stays the same list while time goes on.
    fn hash(&self) -> FilterHash {
        let time = |at: Option<Timestamp>| at.map(|at| at.as_millis().to_string());
        let (from, to) = (time(self.from), time(self.to));
        let filters = [
            ("city", self.city.as_deref()),
            ("category", self.category.as_deref()),
            ("q", self.words.as_deref()),
            ("from", from.as_deref()),
            ("to", to.as_deref()),
            ("sort", self.by_relevance.then_some("relevance")),
            ("exclude_expired", self.excludes_expired.then_some("true")),
        ];
        FilterHash::of(filters.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }

    fn at(&self, now: Timestamp) -> Filter {
        Filter {
            city: self.city.clone(),
            category: self.category.clone(),
            starts_from: self.from,
            starts_before: self.to,
            not_ended_at: self.excludes_expired.then_some(now),
        }
    }
}
