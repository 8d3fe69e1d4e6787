//! Items: a card, and why it is where it is.

use cityevents_domain::time::Timestamp;
use cityevents_views::TrendEntry;
use serde::Serialize;
use utoipa::ToSchema;

use crate::card::Card;

/// What 1 is in stored scores.
const SCORE_ONE: f64 = 1_000_000.0;
const DAY_MS: i64 = 86_400_000;

/// An event in a feed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FeedItem<'a> {
    #[serde(flatten)]
    pub(super) card: Card<'a>,
    /// What it is about: its category.
    pub(super) tags: Vec<&'a str>,
    /// How much it is talked about.
    pub(super) trend_score: f64,
    /// On request: what the score is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<Why>,
}

/// What a score is made of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Why {
    /// Who joined within 24 hours and is still there.
    joins_24h: u32,
    /// Who joined within 7 days and is still there.
    joins_7d: u32,
    /// Who looked at it within 24 hours.
    views_24h: u32,
    /// Whole days until it starts.
    days_until_start: i64,
    /// What each of them adds to the score.
    parts: Parts,
    /// In a personal feed: by which part of the score it was raised, for the person's taste.
    #[serde(skip_serializing_if = "Option::is_none")]
    raised_by: Option<f64>,
}

/// `4·joins24h + 2·joins7d + 0.5·views24h + 3 / (1 + days until start)`.
#[derive(Debug, Serialize, ToSchema)]
struct Parts {
    joins_24h: f64,
    joins_7d: f64,
    views_24h: f64,
    nearness: f64,
}

/// A stored score as people see it.
pub(super) fn score_of(stored: u64) -> f64 {
    stored as f64 / SCORE_ONE
}

impl Why {
    pub(super) fn new(entry: &TrendEntry, now: Timestamp, raised_by: Option<f64>) -> Self {
        let joins_24h = 4.0 * f64::from(entry.joins_24h);
        let joins_7d = 2.0 * f64::from(entry.joins_7d);
        let views_24h = 0.5 * f64::from(entry.views_24h);
        let counted = 4_000_000 * u64::from(entry.joins_24h)
            + 2_000_000 * u64::from(entry.joins_7d)
            + 500_000 * u64::from(entry.views_24h);
        let nearness = entry.score.saturating_sub(counted) as f64 / SCORE_ONE;
        let left_ms = entry.start_time.as_millis().saturating_sub(now.as_millis());
        Self {
            joins_24h: entry.joins_24h,
            joins_7d: entry.joins_7d,
            views_24h: entry.views_24h,
            days_until_start: (left_ms / DAY_MS).max(0),
            parts: Parts { joins_24h, joins_7d, views_24h, nearness },
            raised_by,
        }
    }
}
