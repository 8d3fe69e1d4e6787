//! Trends as somebody would work them out who has all the time in the world: every join and every
//! view is kept and looked at again for every answer.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use cityevents_domain::event::{Event, EventStatus};
use cityevents_domain::fact::Change;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_processors::trending::Verdict;
use cityevents_schemas::message::EngagementKind;

use super::world::Op;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

#[derive(Default)]
pub(super) struct Model {
    rows: BTreeMap<EventId, Event>,
    public_since: BTreeMap<EventId, i64>,
    /// When each person joined who is still there.
    joins: BTreeMap<(EventId, UserId), i64>,
    /// The first look of each person at each event on each day.
    views: BTreeMap<(EventId, [u8; 16], i64), i64>,
    stamp_ms: i64,
    verdicts: BTreeSet<Verdict>,
}

impl Model {
    pub(super) fn take(&mut self, op: &Op, verdict: Option<Verdict>) {
        match op {
            Op::Fact(fact) => {
                for change in &fact.changes {
                    match change {
                        Change::Event { event, .. } => {
                            if event.status == EventStatus::Published {
                                let at_ms = fact.at.as_millis();
                                self.public_since.entry(event.id).or_insert(at_ms);
                            }
                            self.rows.insert(event.id, (**event).clone());
                        }
                        Change::Registration { registration, .. } => {
                            let key = (fact.event, registration.user);
                            if registration.status.is_living() {
                                self.joins.insert(key, registration.joined_at.as_millis());
                            } else {
                                self.joins.remove(&key);
                            }
                        }
                        _ => {}
                    }
                }
            }
            Op::Engagement(engagement, stamp) => {
                self.stamp_ms = self.stamp_ms.max(stamp.as_millis());
                let at_ms = engagement.at.as_millis();
                let is_over =
                    |row: &Event| matches!(row.status, EventStatus::Canceled | EventStatus::Ended);
                let event = engagement.event;
                let is_known = self.public_since.get(&event).is_some_and(|at| self.stamp_ms >= *at)
                    && !is_over(&self.rows[&event]);
                let key = (event, engagement.person.id, at_ms.div_euclid(DAY_MS));
                let expected = if engagement.kind == EngagementKind::Impression {
                    Verdict::Impression
                } else if at_ms > self.stamp_ms + 5 * 60_000 {
                    Verdict::Ahead
                } else if at_ms < self.stamp_ms - HOUR_MS {
                    Verdict::Late
                } else if !is_known {
                    Verdict::Unknown
                } else {
                    match self.views.entry(key) {
                        Entry::Occupied(_) => Verdict::Again,
                        Entry::Vacant(free) => {
                            free.insert(at_ms);
                            Verdict::Counted
                        }
                    }
                };
                assert_eq!(verdict, Some(expected), "{engagement:?}");
                self.verdicts.insert(expected);
            }
        }
    }

    pub(super) fn seen_every_verdict(&self) -> bool {
        self.verdicts.len() == Verdict::ALL.len()
    }

    /// Joins of a day and of a week and views of a day; and the score.
    pub(super) fn figures(&self, event: &EventId, now: Timestamp) -> ((u32, u32, u32), u64) {
        let hours = |at_ms: i64| now.as_millis() / HOUR_MS - at_ms / HOUR_MS;
        let joined: Vec<_> = self
            .joins
            .iter()
            .filter(|((of, _), _)| of == event)
            .map(|(_, at_ms)| hours(*at_ms))
            .collect();
        let within = |most: i64, ages: &[i64]| {
            ages.iter().filter(|age| (0..most).contains(*age)).count() as u32
        };
        let viewed: Vec<_> = self
            .views
            .iter()
            .filter(|((of, ..), _)| of == event)
            .map(|(_, at_ms)| hours(*at_ms))
            .collect();
        let counts = (within(24, &joined), within(168, &joined), within(24, &viewed));
        let mut days = 0_u64;
        let mut left_ms = self.rows[event].fields.start_time.as_millis() - now.as_millis();
        while left_ms >= DAY_MS {
            (days, left_ms) = (days + 1, left_ms - DAY_MS);
        }
        let doubled = 8 * u64::from(counts.0) + 4 * u64::from(counts.1) + u64::from(counts.2);
        (counts, doubled * 500_000 + 3_000_000 / (1 + days))
    }

    /// The first events of a city, or of all.
    pub(super) fn first(&self, city: Option<&str>, now: Timestamp, count: usize) -> Vec<EventId> {
        let mut found: Vec<_> = self
            .rows
            .values()
            .filter(|row| row.status == EventStatus::Published && row.fields.end_time > now)
            .filter(|row| {
                city.is_none_or(|city| row.fields.city.to_lowercase() == city.to_lowercase())
            })
            .map(|row| {
                let (_, score) = self.figures(&row.id, now);
                (Reverse(score), row.fields.start_time, row.id)
            })
            .collect();
        found.sort_unstable();
        found.truncate(count);
        found.into_iter().map(|(.., event)| event).collect()
    }
}
