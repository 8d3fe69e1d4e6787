//! Public events, very many, written straight to the topic that lists are made of.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cityevents_domain::event::{Capacity, Event, EventFields, EventStatus};
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Log, Outgoing, TopicPartition};
use cityevents_schemas::message::encode_event;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Cities that they are in.
pub(super) const CITIES: usize = 500;
/// People who organise them.
pub(super) const ORGANISERS: u32 = 5_000;
/// Different words of descriptions.
const VOCABULARY: usize = 4_000;
/// Words of one description.
const DESCRIPTION_WORDS: std::ops::Range<usize> = 20..45;
/// Hours from now in which they start.
const HOURS_AHEAD: std::ops::Range<i64> = 24..24 * 365;
/// Appended together.
const BATCH: usize = 2_000;
/// Records on their way.
const IN_FLIGHT_MAX: u64 = 20_000;
/// Longest wait for the log.
const LOG_WAIT: Duration = Duration::from_secs(30);
/// The same events every time.
const SEED: u64 = 11;

const MANNERS: [&str; 10] = [
    "Open air",
    "Late",
    "Little",
    "Grand",
    "Silent",
    "Winter",
    "Summer",
    "Midnight",
    "Sunday",
    "Neighbourhood",
];
const KINDS: [(&str, &str); 14] = [
    ("jazz night", "music"),
    ("cinema", "film"),
    ("pottery workshop", "workshop"),
    ("night run", "sport"),
    ("poetry slam", "literature"),
    ("street food market", "food"),
    ("board game evening", "games"),
    ("repair café", "community"),
    ("techno rave", "music"),
    ("chamber concert", "music"),
    ("photography walk", "culture"),
    ("chess tournament", "games"),
    ("théâtre de rue", "theatre"),
    ("東京音楽祭", "music"),
];
const SYLLABLES: [&str; 24] = [
    "ba", "be", "co", "da", "el", "fi", "go", "ha", "in", "ka", "lo", "mar", "ne", "or", "pe",
    "qui", "ra", "san", "ti", "u", "ver", "wal", "yo", "zen",
];

/// What makes them.
pub(super) struct Maker {
    chance: StdRng,
    cities: Vec<String>,
    words: Vec<String>,
    pub(super) now: Timestamp,
    /// Of each event that was made, the number of its city, and its category.
    pub(super) made: Vec<(usize, &'static str)>,
}

impl Maker {
    pub(super) fn new(now: Timestamp) -> Self {
        let mut chance = StdRng::seed_from_u64(SEED);
        let mut word = |least: usize, most: usize| {
            let count = chance.random_range(least..most);
            (0..count).map(|_| SYLLABLES[chance.random_range(0..SYLLABLES.len())]).collect()
        };
        let words: Vec<String> = (0..VOCABULARY).map(|_| word(1, 5)).collect();
        let cities = (0..CITIES)
            .map(|number| {
                let name: String = word(2, 4);
                let (first, rest) = name.split_at(1);
                format!("{}{rest} {number}", first.to_uppercase())
            })
            .collect();
        Self { chance, cities, words, now, made: Vec::new() }
    }

    /// A city by number.
    pub(super) fn city(&self, number: usize) -> &str {
        self.cities.get(number % CITIES).map_or("", String::as_str)
    }

    /// A word of descriptions; those with low numbers are in many.
    pub(super) fn word(&self, number: usize) -> &str {
        self.words.get(number % VOCABULARY).map_or("", String::as_str)
    }

    pub(super) fn id(number: u32) -> EventId {
        let mixed = u128::from(number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        EventId::from_bytes(mixed.to_be_bytes())
    }

    fn event(&mut self, number: u32) -> Event {
        let chance = &mut self.chance;
        let manner = MANNERS[chance.random_range(0..MANNERS.len())];
        let (kind, category) = KINDS[chance.random_range(0..KINDS.len())];
        // Some words are common and most are rare.
        let word = |chance: &mut StdRng| {
            let place: f64 = chance.random();
            let place = (place.powi(3) * VOCABULARY as f64) as usize;
            self.words.get(place).map_or("", String::as_str)
        };
        let name = word(chance);
        let length = chance.random_range(DESCRIPTION_WORDS);
        let description: Vec<_> = (0..length).map(|_| word(chance)).collect();
        let start_time = self.now + Millis::hours(chance.random_range(HOURS_AHEAD));
        let mut owner = [7; 16];
        owner[..4].copy_from_slice(&chance.random_range(0..ORGANISERS).to_be_bytes());
        let city = chance.random_range(0..CITIES);
        self.made.push((city, category));
        let at = self.now;
        Event {
            id: Self::id(number),
            owner: UserId::from_bytes(owner),
            fields: EventFields {
                title: format!("{manner} {kind} {name}"),
                description: description.join(" "),
                city: self.city(city).to_owned(),
                category: category.to_owned(),
                location: "Market square".to_owned(),
                start_time,
                end_time: start_time + Millis::hours(3),
                capacity: Capacity::Limited(100),
                waitlist_limit: None,
                opens_at: None,
                cover_image_ids: Vec::new(),
            },
            status: EventStatus::Published,
            version: 2,
            created_at: at,
            updated_at: at,
            published_at: Some(at),
            canceled_at: None,
        }
    }

    /// Writes so many of them.
    pub(super) fn write(
        &mut self,
        log: &Arc<dyn Log>,
        topic: &Arc<str>,
        count: u32,
    ) -> anyhow::Result<()> {
        let partitions = log.describe(topic)?.spec.partitions;
        let mut producer = log.producer("bench")?;
        let mut waiting: Vec<Vec<Outgoing>> = (0..partitions).map(|_| Vec::new()).collect();
        let mut deliveries = Vec::new();
        for number in 0..count {
            let event = self.event(number);
            let mut value = Vec::with_capacity(512);
            encode_event(&event, &mut value);
            let key = event.id.to_string();
            let partition = partition_of(key.as_bytes(), partitions);
            let record = Outgoing {
                key: Some(key.into()),
                value: Some(Bytes::from(value)),
                timestamp_ms: Some(event.updated_at.as_millis()),
                ..Outgoing::default()
            };
            let Some(records) = waiting.get_mut(partition as usize) else { continue };
            records.push(record);
            if records.len() >= BATCH {
                let place = TopicPartition::new(Arc::clone(topic), partition);
                producer.append(&place, std::mem::take(records))?;
            }
            while producer.in_flight() > IN_FLIGHT_MAX {
                producer.poll(LOG_WAIT, &mut deliveries)?;
                deliveries.drain(..).try_for_each(|delivery| delivery.result.map(drop))?;
            }
        }
        for (partition, records) in waiting.into_iter().enumerate() {
            let place = TopicPartition::new(Arc::clone(topic), u32::try_from(partition)?);
            if !records.is_empty() {
                producer.append(&place, records)?;
            }
        }
        while producer.in_flight() > 0 {
            producer.poll(LOG_WAIT, &mut deliveries)?;
            deliveries.drain(..).try_for_each(|delivery| delivery.result.map(drop))?;
        }
        Ok(())
    }
}
