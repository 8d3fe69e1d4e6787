//! A small world: events in a few cities, people who join, leave and look, and time that sometimes
//! runs.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use cityevents_domain::actor::Actor;
use cityevents_domain::event::{Capacity, Counters, Event, EventFields, EventStatus};
use cityevents_domain::fact::{Change, EventCause, Fact, Outcome};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::{Registration, RegistrationCause, RegistrationStatus};
use cityevents_domain::time::Timestamp;
use cityevents_schemas::message::{Engagement, EngagementKind, Person, PersonKind};

use super::model::Model;

pub(super) const CITIES: [&str; 3] = ["Bern", "Łódź", "Kyoto"];
const CATEGORIES: [&str; 3] = ["music", "sport", "film"];
const PEOPLE: u64 = 12;
const EVENTS_MAX: usize = 40;
const HOUR_MS: i64 = 3_600_000;
const BEGIN_MS: i64 = 1_790_000_000_000;

/// What the log says next.
#[derive(Clone)]
pub(super) enum Op {
    Fact(Box<Fact>),
    Engagement(Engagement, Timestamp),
}

impl Op {
    pub(super) fn event(&self) -> EventId {
        match self {
            Self::Fact(fact) => fact.event,
            Self::Engagement(engagement, _) => engagement.event,
        }
    }

    pub(super) fn at(&self) -> Timestamp {
        match self {
            Self::Fact(fact) => fact.at,
            Self::Engagement(_, stamp) => *stamp,
        }
    }
}

/// Splitmix, with a seed that is told.
pub(super) struct Random(u64);

impl Random {
    /// By `TRENDING_SEED`, or another one each time.
    pub(super) fn seeded() -> Self {
        let given = std::env::var("TRENDING_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        println!("TRENDING_SEED={seed}");
        Self(seed)
    }

    pub(super) fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % count
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

#[derive(Clone)]
struct Made {
    row: Event,
    seq: u64,
    people: BTreeMap<UserId, Registration>,
}

#[derive(Default)]
pub(super) struct World {
    pub(super) model: Model,
    passed_ms: i64,
    made: Vec<Made>,
}

fn user(number: u64) -> UserId {
    UserId::from_bytes((u128::from(number) + 1).to_be_bytes())
}

impl World {
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN_MS + self.passed_ms)
    }

    /// Some time passes, and some things happen.
    pub(super) fn go_on(&mut self, random: &mut Random) -> Vec<Op> {
        self.passed_ms += match random.below(20) {
            0 => random.below(60 * HOUR_MS as u64) as i64,
            1..5 => random.below(3 * HOUR_MS as u64) as i64,
            _ => random.below(300_000) as i64,
        };
        let mut ops = Vec::new();
        for _ in 0..random.below(12) {
            self.passed_ms += random.below(2_000) as i64;
            let op = match random.below(20) {
                0..2 if self.made.len() < EVENTS_MAX => Some(self.create(random)),
                2 => self.change(random),
                3..10 => self.join(random),
                10..13 => self.part(random),
                _ => self.look(random),
            };
            ops.extend(op);
        }
        ops
    }

    fn fact(&mut self, number: usize, changes: Vec<Change>) -> Op {
        let at = self.now();
        let made = &mut self.made[number];
        made.seq += 1;
        let count = |status| made.people.values().filter(|one| one.status == status).count() as u32;
        let counters = Counters {
            active: count(RegistrationStatus::Active),
            waiting: count(RegistrationStatus::Waitlisted),
            checked_in: 0,
        };
        Op::Fact(Box::new(Fact {
            event: made.row.id,
            event_seq: made.seq,
            command: CommandId::from_bytes([7; 16]),
            command_digest: 0,
            at,
            actor: Actor::System,
            changes,
            counters,
            outcome: Outcome::Done { at },
        }))
    }

    fn told(&mut self, number: usize, cause: EventCause) -> Op {
        let event = Box::new(self.made[number].row.clone());
        self.fact(number, vec![Change::Event { cause, event, reason: None }])
    }

    fn times(&self, random: &mut Random) -> (Timestamp, Timestamp) {
        let start = self.now().as_millis() + random.below(200 * HOUR_MS as u64) as i64;
        let end = start + HOUR_MS + random.below(30 * HOUR_MS as u64) as i64;
        // Some start at the same moment.
        let start = if random.below(3) == 0 { start / HOUR_MS * HOUR_MS } else { start };
        (Timestamp::from_millis(start), Timestamp::from_millis(end))
    }

    fn create(&mut self, random: &mut Random) -> Op {
        let (start_time, end_time) = self.times(random);
        let mut id = [0; 16];
        id.iter_mut().for_each(|byte| *byte = random.below(256) as u8);
        let status = random.one_of(&[EventStatus::Published, EventStatus::Draft]);
        let row = Event {
            id: EventId::from_bytes(id),
            owner: user(99),
            fields: EventFields {
                title: "t".into(),
                description: "d".into(),
                city: random.one_of(&CITIES).into(),
                category: random.one_of(&CATEGORIES).into(),
                location: String::new(),
                start_time,
                end_time,
                capacity: Capacity::Limited(4),
                waitlist_limit: None,
                opens_at: None,
                cover_image_ids: Vec::new(),
            },
            status,
            version: 1,
            created_at: self.now(),
            updated_at: self.now(),
            published_at: None,
            canceled_at: None,
        };
        self.made.push(Made { row, seq: 0, people: BTreeMap::new() });
        self.told(self.made.len() - 1, EventCause::Created)
    }

    fn pick(&self, random: &mut Random) -> Option<usize> {
        let count = self.made.len() as u64;
        (count > 0).then(|| random.below(count) as usize)
    }

    fn change(&mut self, random: &mut Random) -> Option<Op> {
        let number = self.pick(random)?;
        let times = self.times(random);
        let row = &mut self.made[number].row;
        if matches!(row.status, EventStatus::Canceled | EventStatus::Ended) {
            // Room for another one.
            self.made.swap_remove(number);
            return None;
        }
        let cause = match random.below(8) {
            0 => {
                row.status = EventStatus::Canceled;
                EventCause::Canceled
            }
            1 => {
                row.status = EventStatus::Ended;
                EventCause::Ended
            }
            2 => {
                row.status = EventStatus::Draft;
                EventCause::Unpublished
            }
            3 | 4 => {
                row.status = EventStatus::Published;
                EventCause::Published
            }
            5 => {
                let city = random.one_of(&CITIES);
                // Written in another way it is the same city.
                row.fields.city =
                    random.one_of(&[city.to_owned(), city.to_lowercase()].each_ref()).clone();
                EventCause::Updated { notable: true }
            }
            6 => {
                row.fields.category = random.one_of(&CATEGORIES).into();
                EventCause::Updated { notable: false }
            }
            _ => {
                (row.fields.start_time, row.fields.end_time) = times;
                EventCause::Updated { notable: true }
            }
        };
        Some(self.told(number, cause))
    }

    fn join(&mut self, random: &mut Random) -> Option<Op> {
        let number = self.pick(random)?;
        let (at, who) = (self.now(), user(random.below(PEOPLE)));
        let made = &mut self.made[number];
        if made.row.status != EventStatus::Published
            || made.people.get(&who).is_some_and(|one| one.status.is_living())
        {
            return None;
        }
        let active = made.people.values().filter(|one| one.status == RegistrationStatus::Active);
        let status = match active.count() {
            0..4 => RegistrationStatus::Active,
            _ => RegistrationStatus::Waitlisted,
        };
        let registration = Registration {
            user: who,
            status,
            joined_at: at,
            updated_at: at,
            ticket: None,
            checked_in_at: None,
        };
        made.people.insert(who, registration);
        let cause = RegistrationCause::Joined;
        Some(self.fact(
            number,
            vec![Change::Registration { cause, registration, position: None, reason: None }],
        ))
    }

    /// Somebody leaves or is removed, who may have left long ago, and the next one takes the place.
    fn part(&mut self, random: &mut Random) -> Option<Op> {
        let number = self.pick(random)?;
        let (at, who) = (self.now(), user(random.below(PEOPLE)));
        let made = &mut self.made[number];
        let mut gone = *made.people.get(&who)?;
        let (cause, status) = if random.below(2) == 0 {
            (RegistrationCause::Kicked, RegistrationStatus::Rejected)
        } else if gone.status.is_living() {
            (RegistrationCause::Left, RegistrationStatus::Canceled)
        } else {
            return None;
        };
        let frees = gone.status == RegistrationStatus::Active;
        (gone.status, gone.updated_at) = (status, at);
        made.people.insert(who, gone);
        let told = |cause, registration| Change::Registration {
            cause,
            registration,
            position: None,
            reason: None,
        };
        let mut changes = vec![told(cause, gone)];
        let waits = |one: &&mut Registration| one.status == RegistrationStatus::Waitlisted;
        if let Some(next) = made.people.values_mut().find(waits).filter(|_| frees) {
            next.status = RegistrationStatus::Active;
            changes.push(told(RegistrationCause::Promoted, *next));
        }
        Some(self.fact(number, changes))
    }

    fn look(&mut self, random: &mut Random) -> Option<Op> {
        let event = match random.below(20) {
            0 => EventId::from_bytes([9; 16]),
            _ => self.made[self.pick(random)?].row.id,
        };
        let late_ms = match random.below(20) {
            0 => 2 * HOUR_MS,
            1 => -600_000,
            2..5 => random.below(HOUR_MS as u64) as i64,
            _ => random.below(3_000) as i64 - 1_000,
        };
        let kind = random.one_of(&[
            EngagementKind::View,
            EngagementKind::View,
            EngagementKind::View,
            EngagementKind::Impression,
        ]);
        let person =
            Person { id: *user(random.below(PEOPLE)).as_bytes(), kind: PersonKind::Visitor };
        let at = Timestamp::from_millis(self.now().as_millis() - late_ms);
        let (feed, position, request_id) = (None, None, None);
        let engagement = Engagement { event, person, kind, feed, position, request_id, at };
        Some(Op::Engagement(engagement, self.now()))
    }
}
