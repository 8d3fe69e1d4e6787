//! What trends of one partition are worked out from. Pure: time comes by argument, and nothing else
//! decides but what the log says.
//!
//! - [`Trending::fold_fact`] and [`Trending::fold_engagement`] take what the log says, and only note
//!   which events have changed.
//! - [`Trending::advance`] (in `lists`) brings scores and lists to a moment and says what is to be
//!   published.
//! - An event is known from when it was first opened to the public until it is over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use cityevents_domain::event::{Event as EventRow, EventStatus};
use cityevents_domain::fact::{Change, Fact};
use cityevents_domain::ids::EventId;
use cityevents_domain::registration::RegistrationCause;
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_schemas::message::{
    Engagement, EngagementKind, Person, PersonKind, SignalKind, UserSignal,
};
use cityevents_views::text::fold;

use super::buckets::{Buckets, Happening};
use super::known::{Index, Kept, Known};
use super::lists::Leaving;
use super::names::Names;
use super::ranking::{Cities, Number, Slots};
use super::score::{DAY_MS, Figures, begin_of_hour, hour_of};
use super::seen::{Seen, mark_of};
use super::verdict::Verdict;

/// Events of one partition that are shown of each city, and of all.
pub const SLOTS_MAX: usize = 200;
/// A view that was taken in so long before the log has it does not count.
pub const LATE_MAX: Millis = Millis::hours(1);
/// Nor one that claims to be so far ahead of the log.
pub const AHEAD_MAX: Millis = Millis::minutes(5);

/// The state of one partition.
#[derive(Debug, Clone)]
pub struct Trending {
    pub(super) slots_max: usize,
    pub(super) events: Vec<Known>,
    pub(super) free: Vec<Number>,
    pub(super) index: Index,
    pub(super) names: Names,
    pub(super) city_numbers: BTreeMap<String, u32>,
    pub(super) cities: Cities,
    pub(super) overall: Slots,
    pub(super) seen: Seen,
    /// The latest stamp of the log on an engagement.
    pub(super) log_time: Timestamp,
    pub(super) due: BinaryHeap<Reverse<(i64, Number)>>,
    pub(super) changed: Vec<Number>,
    pub(super) leaving: Vec<Leaving>,
    /// The moment of the last [`Trending::advance`].
    pub(super) advanced_to: Timestamp,
}

impl Default for Trending {
    fn default() -> Self {
        Self::with_slots(SLOTS_MAX)
    }
}

impl Trending {
    /// Nothing yet; so many events of each city, and of all, are shown.
    pub fn with_slots(slots_max: usize) -> Self {
        Self {
            slots_max: slots_max.min(usize::from(u16::MAX)),
            events: Vec::new(),
            free: Vec::new(),
            index: Index::default(),
            names: Names::default(),
            city_numbers: BTreeMap::new(),
            cities: Cities::default(),
            overall: Slots::default(),
            seen: Seen::default(),
            log_time: Timestamp::MIN,
            due: BinaryHeap::new(),
            changed: Vec::new(),
            leaving: Vec::new(),
            advanced_to: Timestamp::MIN,
        }
    }

    /// Takes a fact. What it tells of people's tastes is added to `signals`.
    pub fn fold_fact(&mut self, fact: &Fact, signals: &mut Vec<UserSignal>) {
        let rows = fact.changes.iter().filter_map(|change| match change {
            Change::Event { event, .. } => Some(&**event),
            _ => None,
        });
        for row in rows {
            self.fold_row(row, fact.at);
        }
        let Some(&number) = self.index.get(&fact.event) else { return };
        let living = fact.counters.active.saturating_add(fact.counters.waiting);
        let before = std::mem::replace(&mut self.events[number as usize].living, living);
        let is_join = |cause| cause == RegistrationCause::Joined;
        let joined = fact.changes.iter().filter(
            |change| matches!(change, Change::Registration { cause, .. } if is_join(*cause)),
        );
        // A row says where a person stands now and not whether they stood anywhere before (somebody
        // may be removed who had left long ago); the sums tell.
        let mut removed = before.saturating_add(joined.count() as u32).saturating_sub(living);
        for change in &fact.changes {
            let Change::Registration { cause, registration, .. } = change else { continue };
            let known = &mut self.events[number as usize];
            let hour = hour_of(registration.joined_at);
            match cause {
                RegistrationCause::Joined => {
                    known.buckets.add(Happening::Join, hour, 1);
                    signals.push(UserSignal {
                        person: Person {
                            id: *registration.user.as_bytes(),
                            kind: PersonKind::Account,
                        },
                        kind: SignalKind::Join,
                        event: fact.event,
                        category: self.names.text(known.category).to_owned(),
                        at: registration.joined_at,
                    });
                    self.note(number);
                }
                RegistrationCause::Left
                | RegistrationCause::Kicked
                | RegistrationCause::Banned
                | RegistrationCause::EventCanceled
                    if removed > 0 =>
                {
                    removed -= 1;
                    known.buckets.remove(Happening::Join, hour);
                    self.note(number);
                }
                _ => {}
            }
        }
    }

    /// Takes an engagement that the log stamped with `stamp`.
    pub fn fold_engagement(
        &mut self,
        engagement: &Engagement,
        stamp: Timestamp,
        signals: &mut Vec<UserSignal>,
    ) -> Verdict {
        self.log_time = self.log_time.max(stamp);
        let (at, log_time) = (engagement.at, self.log_time);
        if engagement.kind != EngagementKind::View {
            return Verdict::Impression;
        }
        if at > log_time + AHEAD_MAX {
            return Verdict::Ahead;
        }
        if at < log_time - LATE_MAX {
            return Verdict::Late;
        }
        let known = self.index.get(&engagement.event).copied();
        let Some(number) = known.filter(|number| {
            let known = &self.events[*number as usize];
            !known.is_over && log_time >= known.since
        }) else {
            return Verdict::Unknown;
        };
        self.seen.forget_before(day_of(log_time - LATE_MAX));
        if !self.seen.insert(day_of(at), mark_of(&engagement.event, &engagement.person.id)) {
            return Verdict::Again;
        }
        let known = &mut self.events[number as usize];
        known.buckets.add(Happening::View, hour_of(at), 1);
        signals.push(UserSignal {
            person: engagement.person,
            kind: SignalKind::View,
            event: engagement.event,
            category: self.names.text(known.category).to_owned(),
            at,
        });
        self.note(number);
        Verdict::Counted
    }

    fn fold_row(&mut self, row: &EventRow, at: Timestamp) {
        let is_published = row.status == EventStatus::Published;
        let number = match self.index.get(&row.id) {
            Some(number) => *number,
            None if is_published => self.insert(row, at),
            None => return,
        };
        let city_name = self.names.number(&row.fields.city);
        let category = self.names.number(&row.fields.category);
        let city = self.city_number(&row.fields.city);
        let known = &self.events[number as usize];
        if known.start != row.fields.start_time || known.city != city || !is_published {
            self.displace(number);
        }
        if self.events[number as usize].city != city {
            self.leave(number);
        }
        let known = &mut self.events[number as usize];
        known.start = row.fields.start_time;
        known.end = row.fields.end_time;
        known.city = city;
        known.city_name = city_name;
        known.category = category;
        known.is_published = is_published;
        known.is_over = matches!(row.status, EventStatus::Canceled | EventStatus::Ended);
        self.note(number);
    }

    fn insert(&mut self, row: &EventRow, since: Timestamp) -> Number {
        let city = self.city_number(&row.fields.city);
        let known = Known {
            id: row.id,
            start: row.fields.start_time,
            end: row.fields.end_time,
            since,
            living: 0,
            city_name: self.names.number(&row.fields.city),
            category: self.names.number(&row.fields.category),
            buckets: Buckets::default(),
            is_published: false,
            city,
            score: 0,
            is_placed: false,
            has_changed: false,
            is_over: false,
            city_slot: None,
            overall_slot: None,
            due_ms: i64::MAX,
            shown: 0,
        };
        self.put(known)
    }

    /// Adds an event as it is.
    pub(super) fn put(&mut self, known: Known) -> Number {
        let id = known.id;
        let number = match self.free.pop() {
            Some(number) => {
                self.events[number as usize] = known;
                number
            }
            None => {
                self.events.push(known);
                self.events.len() as Number - 1
            }
        };
        self.index.insert(id, number);
        number
    }

    /// Adds an event from what is kept of it.
    pub(super) fn restore(&mut self, kept: Kept<'_>) {
        let Kept { id, start, end, since, living, city, category, buckets, is_published } = kept;
        let known = Known {
            id,
            start,
            end,
            since,
            living,
            city_name: self.names.number(city),
            category: self.names.number(category),
            buckets,
            is_published,
            city: self.city_number(city),
            score: 0,
            is_placed: false,
            has_changed: false,
            is_over: false,
            city_slot: None,
            overall_slot: None,
            due_ms: i64::MAX,
            shown: 0,
        };
        let number = self.put(known);
        self.note(number);
    }

    pub(super) fn city_number(&mut self, city: &str) -> u32 {
        let next = self.city_numbers.len() as u32;
        *self.city_numbers.entry(fold(city)).or_insert(next)
    }

    pub(super) fn note(&mut self, number: Number) {
        let known = &mut self.events[number as usize];
        if !known.has_changed {
            known.has_changed = true;
            self.changed.push(number);
        }
    }

    /// Forgets events that are over before anything was published of them: while the log is read
    /// from its beginning, most are.
    pub fn forget_over(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        for number in changed {
            self.events[number as usize].has_changed = false;
            if !self.forget_if_over(number) {
                self.note(number);
            }
        }
    }

    pub(super) fn forget_if_over(&mut self, number: Number) -> bool {
        let known = &mut self.events[number as usize];
        let is_gone = known.is_over && known.city_slot.is_none();
        if is_gone && self.index.remove(&known.id).is_some() {
            known.buckets = Buckets::default();
            known.due_ms = i64::MAX;
            self.free.push(number);
        }
        is_gone
    }

    /// How many events are known.
    pub fn events(&self) -> usize {
        self.index.len()
    }

    /// How many pairs of a person and an event are remembered.
    pub fn people(&self) -> usize {
        self.seen.len()
    }

    /// What an event has by the hour, the latest first.
    pub fn hours_of(&self, event: &EventId, now: Timestamp) -> Option<Explained> {
        let known = &self.events[*self.index.get(event)? as usize];
        let mut hours: BTreeMap<Reverse<i64>, (u32, u32)> = BTreeMap::new();
        for (kind, hour, count) in known.buckets.iter() {
            let (joins, views) = hours.entry(Reverse(begin_of_hour(hour))).or_default();
            match kind {
                Happening::Join => *joins += count,
                Happening::View => *views += count,
            }
        }
        let figures = known.buckets.figures(hour_of(now));
        Some(Explained {
            figures,
            score: figures.score(known.start, now),
            start: known.start,
            is_shown: known.is_published && known.end > now,
            hours: hours
                .into_iter()
                .map(|(Reverse(begin_ms), (joins, views))| {
                    (Timestamp::from_millis(begin_ms), joins, views)
                })
                .collect(),
        })
    }

    /// Bytes of the tables that remember people.
    pub fn people_bytes(&self) -> usize {
        self.seen.heap_bytes()
    }
}

/// What a score is made of, hour by hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The sums that count.
    pub figures: Figures,
    /// The score.
    pub score: u64,
    /// When the event starts.
    pub start: Timestamp,
    /// Whether it can be in a list.
    pub is_shown: bool,
    /// Begin of the hour, joins, views; the latest hour first, without empty ones.
    pub hours: Vec<(Timestamp, u32, u32)>,
}

pub(super) fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}
