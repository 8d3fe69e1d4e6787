//! What trends of one partition are worked out from, and the lists themselves. Pure: time comes by
//! argument, and nothing else decides but what the log says.
//!
//! - [`Trending::fold_fact`] and [`Trending::fold_engagement`] take what the log says, and only note
//!   which events have changed.
//! - [`Trending::advance`] brings scores and lists to a moment and says what is to be published. It
//!   looks at the events that changed, and at those for which the clock alone changes something now:
//!   an hour leaves a window, a day less is left until the start, the end has come.
//! - An event is known from when it was first opened to the public until it is over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use cityevents_domain::event::{Event as EventRow, EventStatus};
use cityevents_domain::fact::{Change, Fact};
use cityevents_domain::ids::EventId;
use cityevents_domain::registration::RegistrationCause;
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_schemas::message::{
    Engagement, EngagementKind, Person, PersonKind, SignalKind, Trend, TrendState, UserSignal,
    encode_trend,
};
use cityevents_views::text::fold;
use xxhash_rust::xxh3::xxh3_64;

use super::buckets::{Buckets, Happening};
use super::names::{Name, Names};
use super::ranking::{Cities, Number, Rank, Slots};
use super::score::{DAY_MS, Figures, begin_of_hour, hour_of, next_day};
use super::seen::{Seen, mark_of};

/// Events of one partition that are shown of each city, and of all.
pub const SLOTS_MAX: usize = 200;
/// A view that was taken in so long before the log has it does not count.
pub const LATE_MAX: Millis = Millis::hours(1);
/// Nor one that claims to be so far ahead of the log.
pub const AHEAD_MAX: Millis = Millis::minutes(5);

/// What became of an engagement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A view that counts.
    Counted,
    /// The person looked before, the same UTC day.
    Again,
    /// Nobody looked; it was shown.
    Impression,
    /// There is no such event, it was not public yet, or it is over.
    Unknown,
    /// It was taken in too long before the log had it.
    Late,
    /// Whoever took it in has a clock that is ahead of the log's.
    Ahead,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Counted, Self::Again, Self::Impression, Self::Unknown, Self::Late, Self::Ahead];

    /// Label for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Again => "again",
            Self::Impression => "impression",
            Self::Unknown => "unknown_event",
            Self::Late => "late",
            Self::Ahead => "ahead",
        }
    }
}

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: EventId,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// Since when it is known.
    pub(super) since: Timestamp,
    /// Who is in or waits, after the last fact.
    pub(super) living: u32,
    pub(super) city_name: Name,
    pub(super) category: Name,
    pub(super) buckets: Buckets,
    pub(super) is_published: bool,
    city: u32,
    /// As it stands in the order of its city, if it does.
    score: u64,
    is_placed: bool,
    has_changed: bool,
    is_over: bool,
    city_slot: Option<u16>,
    overall_slot: Option<u16>,
    /// When the clock changes something next.
    due_ms: i64,
    /// Stands for what was published of it last.
    shown: u64,
}

impl Known {
    fn rank(&self) -> Rank {
        (Reverse(self.score), self.start, self.id)
    }
}

/// Hashes ids, which are random already.
#[derive(Default, Clone)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

type Index = HashMap<EventId, Number, BuildHasherDefault<IdHasher>>;

/// An event that is in the list of its city no more, and what it leaves behind.
#[derive(Debug, Clone)]
struct Leaving {
    trend: Trend,
    city: Option<(u32, u32)>,
    overall: Option<u32>,
}

/// The state of one partition.
#[derive(Debug, Clone)]
pub struct Trending {
    slots_max: usize,
    pub(super) events: Vec<Known>,
    free: Vec<Number>,
    pub(super) index: Index,
    pub(super) names: Names,
    city_numbers: BTreeMap<String, u32>,
    cities: Cities,
    overall: Slots,
    pub(super) seen: Seen,
    /// The latest stamp of the log on an engagement.
    pub(super) log_time: Timestamp,
    due: BinaryHeap<Reverse<(i64, Number)>>,
    changed: Vec<Number>,
    leaving: Vec<Leaving>,
    /// The moment of the last [`Trending::advance`].
    advanced_to: Timestamp,
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

    fn city_number(&mut self, city: &str) -> u32 {
        let next = self.city_numbers.len() as u32;
        *self.city_numbers.entry(fold(city)).or_insert(next)
    }

    fn note(&mut self, number: Number) {
        let known = &mut self.events[number as usize];
        if !known.has_changed {
            known.has_changed = true;
            self.changed.push(number);
        }
    }

    /// Takes an event out of the order of its city.
    fn displace(&mut self, number: Number) {
        let known = &mut self.events[number as usize];
        if std::mem::take(&mut known.is_placed) {
            let (city, rank) = (known.city, known.rank());
            self.cities.displace(city, &rank);
        }
    }

    /// Takes an event's slots away, and notes that they may be empty now.
    fn leave(&mut self, number: Number) {
        let known = &mut self.events[number as usize];
        let (city_slot, overall_slot) = (known.city_slot.take(), known.overall_slot.take());
        let city = known.city;
        if let Some(slot) = overall_slot {
            self.overall.vacate(u32::from(slot));
        }
        let Some(slot) = city_slot else { return };
        self.cities.get_mut(city).slots.vacate(u32::from(slot));
        let known = &mut self.events[number as usize];
        known.shown = 0;
        let trend = trend_of(&self.names, &self.events[number as usize], Figures::default());
        self.leaving.push(Leaving {
            trend: Trend { state: TrendState::Dropped, ..trend },
            city: Some((city, u32::from(slot))),
            overall: overall_slot.map(u32::from),
        });
    }

    /// Takes over what was published last of an event: its slots are its own, so that nothing is
    /// published twice and nothing stays that is not true any more. To be called for every event
    /// that is in the lists, before the first [`Trending::advance`].
    pub fn adopt(&mut self, trend: &Trend) {
        if trend.state != TrendState::Ranked {
            return;
        }
        let city = self.city_number(&trend.city);
        let number = self.index.get(&trend.event).copied();
        let number = number.filter(|number| self.events[*number as usize].city == city);
        let (Some(number), Some(city_slot)) = (number, trend.city_slot) else {
            self.leaving.push(Leaving {
                trend: Trend { state: TrendState::Dropped, ..trend.clone() },
                city: trend.city_slot.map(|slot| (city, slot)),
                overall: trend.overall_slot,
            });
            return;
        };
        let is_ours = self.cities.get_mut(city).slots.take_known(city_slot, number);
        let known = &mut self.events[number as usize];
        known.city_slot = u16::try_from(city_slot).ok().filter(|_| is_ours);
        if let (Some(slot), true) = (trend.overall_slot, is_ours)
            && self.overall.take_known(slot, number)
        {
            known.overall_slot = u16::try_from(slot).ok();
        }
        known.shown = mark_of_trend(trend);
        self.note(number);
    }

    /// Brings scores and lists to `now`, and adds what is to be published to `out`: in this order,
    /// and all of it together.
    pub fn advance(&mut self, now: Timestamp, out: &mut Vec<Trend>) {
        if now < self.advanced_to {
            // A clock that was ahead and is set right: nothing that it said holds any more.
            self.index.values().copied().collect::<Vec<_>>().into_iter().for_each(|number| {
                self.note(number);
            });
        }
        self.advanced_to = now;
        while let Some(Reverse((due_ms, number))) = self.due.peek().copied()
            && due_ms <= now.as_millis()
        {
            self.due.pop();
            if self.events.get(number as usize).is_some_and(|known| known.due_ms == due_ms) {
                self.note(number);
            }
        }
        let changed = std::mem::take(&mut self.changed);
        for number in &changed {
            self.rank(*number, now);
        }
        let touched = self.cities.take_touched();
        let mut told = changed.clone();
        for city in &touched {
            self.fill_city(*city, &mut told);
        }
        if !touched.is_empty() {
            self.fill_overall(&mut told);
        }
        self.tell_leaving(now, out);
        told.sort_unstable_by_key(|number| self.events[*number as usize].id);
        told.dedup();
        for number in told {
            self.tell(number, now, out);
        }
        for number in changed {
            self.forget_if_over(number);
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

    fn forget_if_over(&mut self, number: Number) -> bool {
        let known = &mut self.events[number as usize];
        let is_gone = known.is_over && known.city_slot.is_none();
        if is_gone && self.index.remove(&known.id).is_some() {
            known.buckets = Buckets::default();
            known.due_ms = i64::MAX;
            self.free.push(number);
        }
        is_gone
    }

    /// Works an event's score out anew and puts it where it belongs.
    fn rank(&mut self, number: Number, now: Timestamp) {
        let hour = hour_of(now);
        let known = &mut self.events[number as usize];
        known.has_changed = false;
        let can_be_shown = known.is_published && known.end > now;
        let score = known.buckets.figures(hour).score(known.start, now);
        if !can_be_shown || known.score != score {
            self.displace(number);
        }
        let known = &mut self.events[number as usize];
        known.score = score;
        if !can_be_shown {
            known.due_ms = i64::MAX;
            self.leave(number);
            return;
        }
        if !known.is_placed {
            known.is_placed = true;
            let (city, rank) = (known.city, known.rank());
            self.cities.place(city, rank, number);
        }
        let known = &mut self.events[number as usize];
        let turns = [
            Some(known.end.as_millis()),
            next_day(known.start, now),
            known.buckets.next_change(hour),
        ];
        let due_ms = turns.into_iter().flatten().min().unwrap_or(i64::MAX);
        if known.due_ms != due_ms {
            known.due_ms = due_ms;
            self.due.push(Reverse((due_ms, number)));
        }
    }

    /// Gives the slots of a city to those that are in front now.
    fn fill_city(&mut self, city: u32, told: &mut Vec<Number>) {
        let first: Vec<_> = self.cities.first(city, self.slots_max).collect();
        let stays = sorted(&first);
        let occupants: Vec<_> = self.cities.get_mut(city).slots.occupants().collect();
        for number in occupants {
            if stays.binary_search(&number).is_err() {
                self.leave(number);
            }
        }
        for number in first {
            let known = &mut self.events[number as usize];
            if known.city_slot.is_none() {
                let slot = self.cities.get_mut(city).slots.take(number);
                known.city_slot = u16::try_from(slot).ok();
                told.push(number);
            }
        }
    }

    /// The same for the list of all cities.
    fn fill_overall(&mut self, told: &mut Vec<Number>) {
        let first = self.cities.first_of_all(self.slots_max);
        let stays = sorted(&first);
        let occupants: Vec<_> = self.overall.occupants().collect();
        for number in occupants {
            if stays.binary_search(&number).is_err()
                && let Some(slot) = self.events[number as usize].overall_slot.take()
            {
                // It stays in the list of its city: only so many others can have pushed it out here,
                // and one of them takes the slot at once.
                self.overall.vacate(u32::from(slot));
                told.push(number);
            }
        }
        for number in first {
            let known = &mut self.events[number as usize];
            if known.overall_slot.is_none() {
                known.overall_slot = u16::try_from(self.overall.take(number)).ok();
                told.push(number);
            }
        }
    }

    /// Says who is in no list any more, and which slots are empty now. It comes first: what takes a
    /// slot comes behind it.
    fn tell_leaving(&mut self, now: Timestamp, out: &mut Vec<Trend>) {
        for Leaving { trend, city, overall } in std::mem::take(&mut self.leaving) {
            let city_slot = city.filter(|(city, slot)| {
                self.cities.get(*city).is_none_or(|city| city.slots.is_free(*slot))
            });
            let overall_slot = overall.filter(|slot| self.overall.is_free(*slot));
            out.push(Trend {
                city_slot: city_slot.map(|(_, slot)| slot),
                overall_slot,
                updated_at: now,
                ..trend
            });
        }
    }

    /// Says how an event stands, if it is in a list and that is news.
    fn tell(&mut self, number: Number, now: Timestamp, out: &mut Vec<Trend>) {
        let known = &self.events[number as usize];
        if known.city_slot.is_none() {
            return;
        }
        let figures = known.buckets.figures(hour_of(now));
        let trend = Trend { updated_at: now, ..trend_of(&self.names, known, figures) };
        let mark = mark_of_trend(&trend);
        if known.shown != mark {
            self.events[number as usize].shown = mark;
            out.push(trend);
        }
    }

    /// The first events of a city, in order, as of the last [`Trending::advance`].
    pub fn first_of(&self, city: &str) -> Vec<EventId> {
        let city = self.city_numbers.get(&fold(city));
        let numbers = city.map(|city| self.cities.first(*city, self.slots_max));
        numbers.into_iter().flatten().map(|number| self.events[number as usize].id).collect()
    }

    /// The first events of all cities, in order, as of the last [`Trending::advance`].
    pub fn first(&self) -> Vec<EventId> {
        let numbers = self.cities.first_of_all(self.slots_max);
        numbers.into_iter().map(|number| self.events[number as usize].id).collect()
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

/// What is kept of an event when the state is written down: the rest follows from it.
pub(super) struct Kept<'a> {
    pub(super) id: EventId,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) since: Timestamp,
    pub(super) living: u32,
    pub(super) city: &'a str,
    pub(super) category: &'a str,
    pub(super) buckets: Buckets,
    pub(super) is_published: bool,
}

fn sorted(numbers: &[Number]) -> Vec<Number> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted
}

fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}

fn trend_of(names: &Names, known: &Known, figures: Figures) -> Trend {
    Trend {
        event: known.id,
        state: TrendState::Ranked,
        city: names.text(known.city_name).to_owned(),
        category: names.text(known.category).to_owned(),
        start_time: known.start,
        end_time: known.end,
        score: known.score,
        joins_24h: figures.joins_24h,
        joins_7d: figures.joins_7d,
        views_24h: figures.views_24h,
        city_slot: known.city_slot.map(u32::from),
        overall_slot: known.overall_slot.map(u32::from),
        updated_at: known.since,
    }
}

/// Stands for everything that a trend says but for when it was worked out.
fn mark_of_trend(trend: &Trend) -> u64 {
    let mut bytes = Vec::with_capacity(160);
    encode_trend(&Trend { updated_at: Timestamp::from_millis(0), ..trend.clone() }, &mut bytes);
    // The id of the schema differs from registry to registry.
    xxh3_64(bytes.get(cityevents_schemas::HEADER_BYTES..).unwrap_or_default()).max(1)
}
