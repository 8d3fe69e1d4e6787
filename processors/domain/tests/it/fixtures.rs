//! Builders: people, events, and a partition that checks the promises after every command.

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields, EventPatch};
use cityevents_domain::fact::{Fact, Outcome, Verdict};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::invariants::{check_event, check_fact};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::RegistrationStatus;
use cityevents_domain::state::{EventState, Partition};
use cityevents_domain::time::Timestamp;

pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
/// Log time at which every test begins: 2026-01-01T00:00:00Z.
pub const BEGINNING: i64 = 1_767_225_600_000;
/// The organiser, a moderator, and somebody who has nothing to do with it.
pub const OWNER: u64 = 1_000_001;
pub const MODERATOR: u64 = 1_000_002;
pub const STRANGER: u64 = 1_000_003;

pub const fn time(millis_after: i64) -> Timestamp {
    Timestamp::from_millis(BEGINNING + millis_after)
}

pub fn user(number: u64) -> UserId {
    UserId::from_bytes((u128::from(number) | (7 << 96)).to_be_bytes())
}

pub fn command_id(number: u64) -> CommandId {
    CommandId::from_bytes((u128::from(number) | (9 << 96)).to_be_bytes())
}

pub fn person(number: u64) -> Actor {
    let role = match number {
        MODERATOR => Role::Moderator,
        _ => Role::User,
    };
    Actor::Person { user: user(number), role }
}

/// Begins in two days and lasts two hours.
pub fn fields(capacity: u32) -> EventFields {
    EventFields {
        title: "Open air cinema".into(),
        description: "A film under the stars".into(),
        city: "Leipzig".into(),
        category: "film".into(),
        location: "Park".into(),
        start_time: time(2 * DAY),
        end_time: time(2 * DAY + 2 * HOUR),
        capacity: Capacity::from_wire(capacity),
        waitlist_limit: None,
        opens_at: None,
        cover_image_ids: Vec::new(),
    }
}

pub fn update(patch: EventPatch) -> CommandKind {
    CommandKind::Update { patch: Box::new(patch), expected_version: None }
}

pub fn capacity(places: u32) -> CommandKind {
    update(EventPatch { capacity: Some(Capacity::from_wire(places)), ..EventPatch::default() })
}

pub fn kick(number: u64) -> CommandKind {
    CommandKind::Kick { user: user(number), reason: None }
}

pub fn ban(number: u64, expires_at: Option<Timestamp>) -> CommandKind {
    CommandKind::Ban { user: user(number), reason: None, expires_at }
}

pub fn unban(number: u64) -> CommandKind {
    CommandKind::Unban { user: user(number) }
}

pub fn check_in(number: u64) -> CommandKind {
    CommandKind::CheckIn { user: user(number) }
}

pub fn cancel() -> CommandKind {
    CommandKind::Cancel { reason: None }
}

pub fn unpublish() -> CommandKind {
    CommandKind::Unpublish { reason: None }
}

/// A partition with one event, and the facts that made it.
#[derive(Clone)]
pub struct Stage {
    pub partition: Partition,
    pub event: EventId,
    pub facts: Vec<Fact>,
    /// Milliseconds after the beginning.
    pub now: i64,
    numbers: u64,
    /// Whether everything is checked after every command, or only what takes constant time.
    pub is_thorough: bool,
    /// What ticks say of a step.
    pub people_max: u16,
}

impl Stage {
    /// An event that is a draft.
    pub fn draft(fields: EventFields) -> Self {
        let create = command_id(0);
        let mut stage = Self {
            partition: Partition::default(),
            event: EventId::of_create(&create),
            facts: Vec::new(),
            now: 0,
            numbers: 0,
            is_thorough: true,
            people_max: 500,
        };
        let kind = CommandKind::Create(Box::new(fields));
        let command =
            Command { id: create, digest: 0, event: stage.event, actor: person(OWNER), kind };
        assert!(matches!(stage.give(&command), Verdict::Fact(_)));
        stage
    }

    /// An event that is open to the public.
    pub fn published(fields: EventFields) -> Self {
        let mut stage = Self::draft(fields);
        stage.accept(OWNER, CommandKind::Publish);
        stage
    }

    /// With so many people joining one after the other, numbered from 0.
    pub fn joined(mut self, count: u64) -> Self {
        self.is_thorough = count <= 100;
        for number in 0..count {
            self.accept(number, CommandKind::Join);
        }
        self.is_thorough = true;
        self
    }

    /// A command with an id of its own.
    pub fn command(&mut self, actor: Actor, kind: CommandKind) -> Command {
        self.numbers += 1;
        let id = command_id(self.numbers);
        Command { id, digest: self.numbers, event: self.event, actor, kind }
    }

    /// Decides and applies, and checks what is promised.
    pub fn give(&mut self, command: &Command) -> Verdict {
        let verdict = self.partition.decide(command, time(self.now));
        if let Verdict::Fact(fact) = &verdict {
            check_fact(&self.partition, fact).unwrap();
            self.partition.apply(fact);
            if let Some(state) = self.partition.open(&fact.event) {
                assert_eq!(state.counters(), fact.counters);
                if self.is_thorough {
                    check_event(state).unwrap();
                }
            }
            self.facts.push((**fact).clone());
        }
        verdict
    }

    pub fn ask(&mut self, who: u64, kind: CommandKind) -> Verdict {
        let command = self.command(person(who), kind);
        self.give(&command)
    }

    /// What must produce a fact.
    pub fn accept(&mut self, who: u64, kind: CommandKind) -> Fact {
        match self.ask(who, kind) {
            Verdict::Fact(fact) => *fact,
            other => panic!("no fact but {other:?}"),
        }
    }

    /// What must be refused.
    pub fn refusal(&mut self, who: u64, kind: CommandKind) -> Refusal {
        match self.ask(who, kind) {
            Verdict::Refused(refusal) => refusal,
            other => panic!("no refusal but {other:?}"),
        }
    }

    /// What must succeed without a fact.
    pub fn unchanged(&mut self, who: u64, kind: CommandKind) -> Outcome {
        match self.ask(who, kind) {
            Verdict::Unchanged(outcome) => outcome,
            other => panic!("not unchanged but {other:?}"),
        }
    }

    /// The tick that a worker would give now, if one is due.
    pub fn tick_due(&mut self) -> Option<Verdict> {
        let (event, seq, deadline) = self.partition.due(time(self.now)).next()?;
        let command = Command {
            id: CommandId::of_tick(&event, seq, deadline.as_millis()),
            digest: 0,
            event,
            actor: Actor::System,
            kind: CommandKind::Tick { deadline, people_max: self.people_max },
        };
        Some(self.give(&command))
    }

    /// A tick, due or not.
    pub fn tick(&mut self) -> Verdict {
        let deadline = time(self.now);
        let kind = CommandKind::Tick { deadline, people_max: self.people_max };
        let command = self.command(Actor::System, kind);
        self.give(&command)
    }

    pub fn state(&self) -> &EventState {
        self.partition.open(&self.event).expect("an open event")
    }

    pub fn status_of(&self, number: u64) -> Option<RegistrationStatus> {
        let (_, entry) = self.state().registrations().find(&user(number))?;
        Some(entry.row().status)
    }

    pub fn position_of(&self, number: u64) -> Option<u32> {
        let (_, entry) = self.state().registrations().find(&user(number))?;
        self.state().line().position(entry.ticket()?)
    }

    /// Who has a place, in the order of first joining.
    pub fn active(&self) -> Vec<UserId> {
        let entries = self.state().registrations().iter();
        let active = entries.filter(|entry| entry.row().status == RegistrationStatus::Active);
        active.map(|entry| entry.user()).collect()
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same chance on every machine.
#[derive(Clone)]
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}
