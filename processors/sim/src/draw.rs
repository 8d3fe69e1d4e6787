//! Which commands people give, by chance.

use std::collections::VecDeque;

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Audience, Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields, EventPatch};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_processors::registration::key_of;
use cityevents_runtime::log::partitioner::partition_of;
use rand::RngExt as _;
use rand::rngs::SmallRng;

/// Events that are made before the chances of another one fall.
const EVENTS_MANY: usize = 6;
/// Commands given between an announcement and the crowd.
const PREPARATION: u32 = 8;
/// Old commands among which one is given again.
const REPEATED_AMONG: usize = 60;

/// Draws commands, and keeps what is needed to draw sensible ones.
pub(crate) struct Draw {
    people: Vec<UserId>,
    events: Vec<(EventId, UserId)>,
    given: Vec<Command>,
    made: u64,
    /// What is to be given as fast as it goes.
    rush: VecDeque<Command>,
    crowd: u32,
    /// The event that the crowd waits for, and how long still.
    awaited: Option<(Awaited, u32)>,
}

#[derive(Clone, Copy)]
struct Awaited {
    event: EventId,
    owner: UserId,
    capacity: Capacity,
}

impl Draw {
    pub(crate) fn new(people: u32, crowd: u32) -> Self {
        let people = (0..people).map(person).collect();
        let (events, given) = (Vec::new(), Vec::new());
        Self { people, events, given, made: 0, rush: VecDeque::new(), crowd, awaited: None }
    }

    /// The next commands.
    pub(crate) fn next(&mut self, rng: &mut SmallRng, now_ms: i64) -> Vec<Command> {
        match self.awaited.take() {
            None if self.crowd > 0 && rng.random_bool(0.05) => return self.announce(rng, now_ms),
            Some((awaited, 0)) => self.plan_rush(awaited, rng),
            Some((awaited, rest)) => self.awaited = Some((awaited, rest - 1)),
            None => {}
        }
        if !self.rush.is_empty() {
            let count = rng.random_range(1..=80).min(self.rush.len());
            return self.rush.drain(..count).collect();
        }
        let count = if rng.random_bool(0.2) { rng.random_range(2..=12) } else { 1 };
        (0..count).map(|_| self.draw(rng, now_ms)).collect()
    }

    /// A command that has a fact in any state of this partition, and is given by nobody else.
    pub(crate) fn closer(&mut self, partition: u32, partitions: u32, now_ms: i64) -> Command {
        loop {
            let fields = fields(Capacity::Limited(1), None, now_ms, 3_600_000);
            let command = self.create(self.people[0], fields);
            if partition_of(&key_of(&command.event), partitions) == partition {
                return command;
            }
        }
    }

    fn draw(&mut self, rng: &mut SmallRng, now_ms: i64) -> Command {
        let new_events = if self.events.len() < EVENTS_MANY { 8 } else { 1 };
        if self.events.is_empty() || rng.random_range(0..100) < new_events {
            let owner = self.somebody(rng);
            let capacity = match rng.random_range(0..8) {
                0 => Capacity::Unlimited,
                places => Capacity::Limited(places.min(4)),
            };
            let waitlist = rng.random_bool(0.3).then(|| rng.random_range(0..4));
            let lasts_ms = rng.random_range(1_000..4_000_000);
            return self.create(owner, fields(capacity, waitlist, now_ms, lasts_ms));
        }
        if rng.random_bool(0.06)
            && let Some(again) = self.repeated(rng)
        {
            return again;
        }
        let (event, owner) = self.events[rng.random_range(0..self.events.len())];
        let manager = match rng.random_range(0..20) {
            0 => Actor::Person { user: self.somebody(rng), role: Role::User },
            1 => Actor::Person { user: self.somebody(rng), role: Role::Moderator },
            _ => Actor::Person { user: owner, role: Role::User },
        };
        let visitor = Actor::Person { user: self.somebody(rng), role: Role::User };
        let user = self.somebody(rng);
        let (actor, kind) = match rng.random_range(0..100) {
            0..12 => (manager, CommandKind::Publish),
            12..52 => (visitor, CommandKind::Join),
            52..68 => (visitor, CommandKind::Leave),
            68..77 => (manager, update(rng, now_ms)),
            77..82 => (manager, CommandKind::Kick { user, reason: None }),
            82..87 => {
                let expires_at = rng
                    .random_bool(0.6)
                    .then(|| Timestamp::from_millis(now_ms + rng.random_range(1..60_000)));
                (manager, CommandKind::Ban { user, reason: None, expires_at })
            }
            87..91 => (manager, CommandKind::Unban { user }),
            91..95 => (manager, CommandKind::CheckIn { user }),
            95..97 => {
                let (subject, text) = ("News".to_owned(), "Bring shoes".to_owned());
                (manager, CommandKind::Message { to: Audience::All, subject, text })
            }
            97..99 => (manager, CommandKind::Unpublish { reason: None }),
            _ => (manager, CommandKind::Cancel { reason: None }),
        };
        self.give(event, actor, kind)
    }

    /// An event that a crowd will want to join.
    fn announce(&mut self, rng: &mut SmallRng, now_ms: i64) -> Vec<Command> {
        let owner = self.somebody(rng);
        let capacity = match rng.random_bool(0.5) {
            true => Capacity::Limited(rng.random_range(1..30)),
            false => Capacity::Unlimited,
        };
        let create = self.create(owner, fields(capacity, Some(5_000), now_ms, 400_000_000));
        let event = create.event;
        let actor = Actor::Person { user: owner, role: Role::User };
        let publish = self.give(event, actor, CommandKind::Publish);
        self.awaited = Some((Awaited { event, owner, capacity }, PREPARATION));
        vec![create, publish]
    }

    /// A crowd at one event, and then something that concerns all of it.
    fn plan_rush(&mut self, awaited: Awaited, rng: &mut SmallRng) {
        let Awaited { event, owner, capacity } = awaited;
        let count = std::mem::take(&mut self.crowd);
        let actor = Actor::Person { user: owner, role: Role::User };
        // Once more, should it have been lost.
        let publish = self.give(event, actor, CommandKind::Publish);
        self.rush.push_back(publish);
        for number in 0..count {
            let visitor = Actor::Person { user: person(1_000 + number), role: Role::User };
            let join = self.give(event, visitor, CommandKind::Join);
            self.rush.push_back(join);
        }
        if capacity != Capacity::Unlimited {
            let patch = EventPatch { capacity: Some(Capacity::Unlimited), ..EventPatch::default() };
            let raise = CommandKind::Update { patch: Box::new(patch), expected_version: None };
            let raise = self.give(event, actor, raise);
            self.rush.push_back(raise);
        }
        if capacity == Capacity::Unlimited || rng.random_bool(0.3) {
            let cancel = self.give(event, actor, CommandKind::Cancel { reason: None });
            self.rush.push_back(cancel);
        }
    }

    /// An older command once more: the same, or under the same id another one.
    fn repeated(&mut self, rng: &mut SmallRng) -> Option<Command> {
        let first = self.given.len().saturating_sub(REPEATED_AMONG);
        let known = self.given.get(rng.random_range(first..self.given.len().max(first + 1)))?;
        let mut again = known.clone();
        if rng.random_bool(0.2) {
            again.digest ^= 1;
        }
        Some(again)
    }

    fn create(&mut self, owner: UserId, fields: EventFields) -> Command {
        let actor = Actor::Person { user: owner, role: Role::User };
        let kind = CommandKind::Create(Box::new(fields));
        let mut command = self.new_command(EventId::from_bytes([0; 16]), actor, kind);
        command.event = EventId::of_create(&command.id);
        self.events.push((command.event, owner));
        self.given.push(command.clone());
        command
    }

    fn give(&mut self, event: EventId, actor: Actor, kind: CommandKind) -> Command {
        let command = self.new_command(event, actor, kind);
        self.given.push(command.clone());
        command
    }

    fn new_command(&mut self, event: EventId, actor: Actor, kind: CommandKind) -> Command {
        self.made += 1;
        let user = actor.user().unwrap_or(self.people[0]);
        let id = CommandId::derive(&user, "POST", kind.as_str(), &self.made.to_string());
        Command { id, digest: self.made << 1, event, actor, kind }
    }

    fn somebody(&self, rng: &mut SmallRng) -> UserId {
        self.people[rng.random_range(0..self.people.len())]
    }
}

fn person(number: u32) -> UserId {
    let mut bytes = [0x75; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    UserId::from_bytes(bytes)
}

fn update(rng: &mut SmallRng, now_ms: i64) -> CommandKind {
    let capacity = Capacity::Limited(rng.random_range(1..8));
    let mut patch = EventPatch { capacity: Some(capacity), ..EventPatch::default() };
    if rng.random_bool(0.2) {
        let end_ms = now_ms + rng.random_range(1_000..4_000_000);
        patch.end_time = Some(Timestamp::from_millis(end_ms));
    }
    let expected_version = rng.random_bool(0.2).then(|| rng.random_range(1..6));
    CommandKind::Update { patch: Box::new(patch), expected_version }
}

fn fields(
    capacity: Capacity,
    waitlist_limit: Option<u32>,
    now_ms: i64,
    lasts_ms: i64,
) -> EventFields {
    EventFields {
        title: "Lantern walk".into(),
        description: "Along the river".into(),
        city: "Graz".into(),
        category: "outdoors".into(),
        location: String::new(),
        start_time: Timestamp::from_millis(now_ms),
        end_time: Timestamp::from_millis(now_ms + lasts_ms),
        capacity,
        waitlist_limit,
        opens_at: None,
        cover_image_ids: Vec::new(),
    }
}
