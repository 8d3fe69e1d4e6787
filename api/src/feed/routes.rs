//! The call.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use cityevents_domain::event::{CATEGORY_CHARACTERS_MAX, CITY_CHARACTERS_MAX};
use cityevents_kit::Problem;
use cityevents_kit::http::{Page, Query};
use cityevents_kit::keys::OptionalCaller;
use cityevents_kit::openapi::PageParameters;
use cityevents_kit::problem::InvalidFields;
use cityevents_kit::seal::{FilterHash, Visitor};
use cityevents_schemas::message::FeedType;
use cityevents_views::text::fold;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Feed;
use super::answers::AnswerKey;
use super::candidates::second_of;
use super::cursor::{PURPOSE, ShownItems};
use super::item::{FeedItem, Why, score_of};
use super::page::{Chosen, Wanted};
use super::taste::Taste;
use crate::answer::{to_json, with_head};
use crate::card::Card;
use crate::freshness::Presented;
use crate::index::{SEARCH_WORDS_MAX, Wanted as Words};
use crate::lists::List;
use crate::state::not_written;
use crate::written::{Ingredients, Written};

/// Longest text to search for, in characters.
const SEARCH_CHARACTERS_MAX: usize = 200;

pub(super) fn router(feed: Feed) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(recommended)).with_state(feed)
}

/// The query.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// `trending`, `personalized` (the default) or `latest`.
    #[param(pattern = "^(trending|personalized|latest)$")]
    #[serde(rename = "type")]
    feed: Option<String>,
    city: Option<String>,
    category: Option<String>,
    q: Option<String>,
    /// `true`: each item says what its score is made of.
    #[param(pattern = "^(true|false)$")]
    why: Option<String>,
    #[param(ignore)]
    #[serde(rename = "limit")]
    _limit: Option<IgnoredAny>,
    #[param(ignore)]
    #[serde(rename = "cursor")]
    _cursor: Option<IgnoredAny>,
}

/// A page of a feed.
#[derive(Debug, Serialize, ToSchema)]
struct FeedBody {
    /// Which feed it is: a personal one of somebody of whom nothing is known is `trending`.
    feed_type: &'static str,
    #[schema(value_type = Vec<FeedItem>)]
    items: Vec<Written>,
    next_cursor: Option<String>,
    has_more: bool,
}

/// What is asked for, checked.
struct Asked {
    feed: FeedType,
    wanted: Wanted,
    why: bool,
}

/// What may be worth going to.
#[utoipa::path(
    get,
    path = "/api/feed/recommended",
    tag = "events",
    operation_id = "recommended_feed",
    params(Parameters, PageParameters),
    responses((status = 200, description = "as asked for", body = FeedBody)),
    security((), ("bearer" = [])),
)]
async fn recommended(
    State(feed): State<Feed>,
    Query(parameters): Query<Parameters>,
    page: Page,
    OptionalCaller(caller): OptionalCaller,
    _presented: Presented,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = parameters.check()?;
    let reads = &feed.reads;
    let as_of = reads.as_of_index();
    let now = reads.now();
    let person = match (caller, feed.visitors.read(&headers)) {
        _ if asked.feed != FeedType::Personalized => None,
        (Some(caller), _) => Some(*caller.user.as_bytes()),
        (None, Visitor::Known(id)) => Some(id),
        (None, Visitor::Unknown | Visitor::Forged) => None,
    };
    let second = second_of(asked.wanted.city.as_deref().map(fold).as_deref(), now);
    // A search finds what the text index has, which comes a moment after what the page is as of.
    let is_search = asked.feed == FeedType::Latest && asked.wanted.words.is_some();
    let is_everybodys = person.is_none() && page.cursor.is_none();
    let key = (is_everybodys && !is_search).then(|| AnswerKey {
        feed: asked.feed.as_str(),
        wanted: asked.wanted.clone(),
        why: asked.why,
        limit: page.limit,
    });
    if let Some(body) = key.as_ref().and_then(|key| feed.answers.get(key, second, &as_of)) {
        return Ok(with_head(body, as_of));
    }
    let Turned { feed_type, items, next_cursor } = match asked.feed {
        FeedType::Latest => feed.turn_latest(&asked, page).await?,
        FeedType::Trending | FeedType::Personalized => {
            feed.turn_trending(&asked, &page, person).await?
        }
    };
    let mut written = Vec::with_capacity(items.len());
    for Chosen { event, trend, raised_by } in items {
        let score = trend.as_ref().map_or(0, |trend| trend.score);
        let made_of = reads.shown(event, now).await.with_score(score);
        let why = trend.filter(|_| asked.why).map(|trend| Why::new(&trend, now, raised_by));
        let is_kept = why.is_none();
        let write = |made_of: &Ingredients| {
            let card = Card::new(&made_of.event, &made_of.counters, now, &reads.pictures);
            to_raw_value(&FeedItem {
                card: card.organized_by(made_of.organizer.as_deref()),
                tags: vec![made_of.event.fields.category.as_str()],
                trend_score: score_of(score),
                why,
            })
        };
        written.push(match is_kept {
            true => reads.written(made_of, write)?,
            false => Written::new(made_of, write).map_err(|error| not_written(&error))?,
        });
    }
    let body = FeedBody {
        feed_type: feed_type.as_str(),
        items: written,
        has_more: next_cursor.is_some(),
        next_cursor,
    };
    let body = to_json(&body)?;
    if let Some(key) = key {
        feed.answers.keep(key, second, &as_of, body.clone());
    }
    Ok(with_head(body, as_of))
}

/// A page of any feed.
struct Turned {
    feed_type: FeedType,
    items: Vec<Chosen>,
    next_cursor: Option<String>,
}

impl Feed {
    async fn turn_latest(&self, asked: &Asked, page: Page) -> Result<Turned, Problem> {
        let list = List::new(&self.reads.cursors, PURPOSE, asked.filters(), page);
        let latest = self.latest(&asked.wanted, list.after()?, list.limit()).await?;
        let next_cursor = latest.next.map(|place| list.seal(&place)).transpose()?;
        Ok(Turned { feed_type: FeedType::Latest, items: latest.items, next_cursor })
    }

    async fn turn_trending(
        &self,
        asked: &Asked,
        page: &Page,
        person: Option<[u8; 16]>,
    ) -> Result<Turned, Problem> {
        let cursors = &self.reads.cursors;
        let filters = asked.filters();
        let mut shown = ShownItems::of(cursors, &filters, page)?;
        let taste = match person {
            Some(person) => self.taste(person).await?,
            None => Taste::default(),
        };
        let feed_type = if taste.is_empty() { FeedType::Trending } else { FeedType::Personalized };
        let chosen = self.trending(&asked.wanted, &taste, &shown, page.limit as usize).await?;
        chosen.items.iter().for_each(|item| shown.add(&item.event.id));
        let next_cursor = match chosen.has_more {
            true => Some(shown.seal(cursors, &filters)?),
            false => None,
        };
        Ok(Turned { feed_type, items: chosen.items, next_cursor })
    }

    /// What is known of a person's taste.
    async fn taste(&self, person: [u8; 16]) -> Result<Taste, Problem> {
        let now = self.reads.now();
        let profile = self.reads.views.profiles.profile(person, now).await;
        let profile = profile.map_err(|error| self.reads.failed(&error))?;
        Ok(profile.map(|profile| Taste::of(&profile, now)).unwrap_or_default())
    }
}

impl Parameters {
    /// All bad parameters at once.
    fn check(self) -> Result<Asked, Problem> {
        let mut invalid = InvalidFields::default();
        let mut text = |name: &str, value: Option<String>, most: usize| {
            let value = value.filter(|value| !value.trim().is_empty())?;
            if value.chars().count() > most {
                invalid.add(name, format!("at most {most} characters"));
            }
            Some(value)
        };
        let wanted = Wanted {
            city: text("city", self.city, CITY_CHARACTERS_MAX),
            category: text("category", self.category, CATEGORY_CHARACTERS_MAX),
            // Without a word to look for, everything is found.
            words: text("q", self.q, SEARCH_CHARACTERS_MAX)
                .filter(|typed| !Words::parse(typed).is_empty()),
        };
        let words = wanted.words.as_deref().map(Words::parse).unwrap_or_default();
        if words.len() > SEARCH_WORDS_MAX {
            invalid.add("q", format!("at most {SEARCH_WORDS_MAX} words"));
        }
        let feed = match self.feed.as_deref() {
            None | Some("") => FeedType::Personalized,
            Some(word) => FeedType::parse(word).unwrap_or_else(|| {
                let words: Vec<_> = FeedType::ALL.iter().map(|feed| feed.as_str()).collect();
                invalid.add("type", format!("write one of {}", words.join(", ")));
                FeedType::Trending
            }),
        };
        let why = match self.why.as_deref() {
            None | Some("" | "false") => false,
            Some("true") => true,
            Some(_) => {
                invalid.add("why", "write true or false");
                false
            }
        };
        invalid.into_result()?;
        Ok(Asked { feed, wanted, why })
    }
}

impl Asked {
    /// What a cursor is bound to.
    fn filters(&self) -> FilterHash {
        let filters = [
            ("type", Some(self.feed.as_str())),
            ("city", self.wanted.city.as_deref()),
            ("category", self.wanted.category.as_deref()),
            ("q", self.wanted.words.as_deref()),
        ];
        FilterHash::of(filters.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }
}
