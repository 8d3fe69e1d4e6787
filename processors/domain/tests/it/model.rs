//! Random commands, decided by the domain and by the plain rules of [`crate::plain`]: verdicts, rows,
//! positions, counters and deadlines must be the same after every one.
//!
//! `CITYEVENTS_MODEL_SEQUENCES=100000` runs that many sequences, `CITYEVENTS_MODEL_SEED=7` the
//! sequences from that seed on.

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Audience, Command, CommandKind};
use cityevents_domain::event::{Capacity, EventPatch, EventStatus};
use cityevents_domain::fact::Verdict;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::invariants::{check_fact, check_partition};
use cityevents_domain::state::{Partition, Slot};
use cityevents_domain::time::Timestamp;

use crate::fixtures::{BEGINNING, Chance, DAY, HOUR, MINUTE, command_id, fields, user};
use crate::plain::{MEMORY, Plain};

const SEQUENCES: u64 = 2_000;
const COMMANDS: usize = 80;
const PEOPLE: u64 = 10;
/// People in a crowd, beside the few that everything is done to.
const CROWD: u64 = 2_000;
/// One sequence in so many has crowds in it, so that steps of five hundred are taken.
const CROWD_ONE_IN: u64 = 100;

#[test]
fn the_domain_decides_like_the_plain_rules() {
    let first = number_of("CITYEVENTS_MODEL_SEED").unwrap_or(0);
    let count = number_of("CITYEVENTS_MODEL_SEQUENCES").unwrap_or(SEQUENCES);
    for seed in first..first + count {
        let _named = Named(seed);
        let mut run = Run::new(seed);
        for _ in 0..COMMANDS {
            run.step();
        }
        run.compare();
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is no decision")]
fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Says which sequence failed.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!("failed with CITYEVENTS_MODEL_SEED={seed} CITYEVENTS_MODEL_SEQUENCES=1");
        }
    }
}

struct Run {
    chance: Chance,
    partition: Partition,
    plain: Plain,
    given: Vec<Command>,
    events: Vec<EventId>,
    now: i64,
    has_crowds: bool,
    numbers: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            chance: Chance(seed.wrapping_mul(0xd134_2543_de82_ef95)),
            partition: Partition::default(),
            plain: Plain::default(),
            given: Vec::new(),
            events: Vec::new(),
            now: BEGINNING,
            has_crowds: seed % CROWD_ONE_IN == CROWD_ONE_IN - 1,
            numbers: 0,
        }
    }

    fn step(&mut self) {
        self.now += match self.chance.below(60) {
            0..40 => self.chance.below(1_000) as i64,
            40..50 => self.chance.below(30 * MINUTE as u64) as i64,
            50..56 => self.chance.below(4 * HOUR as u64) as i64,
            56 => MEMORY.0 - 1,
            57 => MEMORY.0,
            // The broker's clock may go back; log time does not.
            _ => -(self.chance.below(10_000) as i64),
        };
        if self.has_crowds && self.chance.one_in(16) && !self.events.is_empty() {
            return self.crowd();
        }
        let is_due = self.partition.next_deadline().is_some_and(|at| at.as_millis() <= self.now);
        let command = match self.chance.below(100) {
            // Where there are crowds, steps stay due for a while.
            0..15 if is_due => self.due_tick(),
            0..60 if is_due && !self.has_crowds => self.due_tick(),
            0..5 if !self.given.is_empty() => self.chance.pick(&self.given).clone(),
            5..7 if !self.given.is_empty() => {
                let given = self.chance.pick(&self.given).clone();
                Command { digest: given.digest + 1, ..given }
            }
            7..12 if !self.has_crowds => self.create(),
            _ if self.events.is_empty() => self.create(),
            _ => self.command(),
        };
        self.give(command, true);
    }

    /// Many people at once, without looking at everything after each.
    fn crowd(&mut self) {
        let event = *self.chance.pick(&self.events);
        let count = 300 + self.chance.below(900);
        let first = self.chance.below(CROWD - 900);
        let leaves = self.chance.one_in(8);
        for number in first..first + count {
            let actor = Actor::Person { user: user(100 + number), role: Role::User };
            let kind = if leaves { CommandKind::Leave } else { CommandKind::Join };
            let command = self.numbered(event, actor, kind);
            self.give(command, false);
        }
        self.compare();
    }

    fn give(&mut self, command: Command, thoroughly: bool) {
        let at = Timestamp::from_millis(self.now);
        let verdict = self.partition.decide(&command, at);
        let expected = self.plain.give(&command, at);
        assert_eq!(verdict, expected, "on {command:?}");
        if let Verdict::Fact(fact) = &verdict {
            check_fact(&self.partition, fact).unwrap();
            self.partition.apply(fact);
            if matches!(command.kind, CommandKind::Create(_)) {
                self.events.push(command.event);
            }
        }
        if thoroughly && matches!(verdict, Verdict::Fact(_)) {
            self.compare();
        }
        if self.given.len() < 1_000 {
            self.given.push(command);
        }
    }

    fn compare(&self) {
        check_partition(&self.partition).unwrap();
        let mut deadlines = Vec::new();
        assert_eq!(self.partition.len(), self.plain.events.len());
        for (slot, plain) in self.partition.iter().zip(&self.plain.events) {
            deadlines.extend(plain.deadline());
            let state = match slot {
                Slot::Open(state) => state,
                Slot::Closed(stub) => {
                    assert!(plain.is_over());
                    assert_eq!((stub.id, stub.seq), (plain.event.id, plain.seq));
                    assert_eq!((stub.owner, stub.status), (plain.event.owner, plain.event.status));
                    assert_eq!(stub.was_published, plain.event.published_at.is_some());
                    continue;
                }
            };
            assert!(!plain.is_over());
            assert_eq!(state.event(), &plain.event);
            assert_eq!(state.seq(), plain.seq);
            assert_eq!(state.counters(), plain.counters());
            assert_eq!(state.step_due(), plain.step_since);
            let rows: Vec<_> = state.registrations().iter().map(|entry| entry.row()).collect();
            let expected: Vec<_> = plain.people.iter().map(|(row, _)| *row).collect();
            assert_eq!(rows, expected);
            for (slot, (row, _)) in plain.people.iter().enumerate() {
                let (found, entry) = state.registrations().find(&row.user).expect("known");
                assert_eq!(found as usize, slot);
                let ticket = entry.ticket();
                let position = ticket.and_then(|ticket| state.line().position(ticket));
                // A linear search for each of a crowd would take its square.
                if plain.people.len() < 200 || slot % 97 == 0 {
                    assert_eq!(position, plain.position(row.user));
                }
            }
            let at = |slot| state.registrations().at(slot).expect("a place").user();
            let line: Vec<UserId> = state.line().iter().map(|(_, slot)| at(slot)).collect();
            assert_eq!(line, plain.line);
            let bans = state.bans().map_or(Vec::new(), |bans| bans.iter().cloned().collect());
            let mut expected = plain.bans.clone();
            expected.sort_by_key(|ban| ban.user);
            assert_eq!(bans, expected);
        }
        assert_eq!(self.partition.next_deadline(), deadlines.into_iter().min());
    }

    fn numbered(&mut self, event: EventId, actor: Actor, kind: CommandKind) -> Command {
        self.numbers += 1;
        Command { id: command_id(self.numbers), digest: 0, event, actor, kind }
    }

    fn due_tick(&mut self) -> Command {
        let now = Timestamp::from_millis(self.now);
        let due: Vec<_> = self.partition.due(now).collect();
        let (event, seq, deadline) = *self.chance.pick(&due);
        let id = CommandId::of_tick(&event, seq, deadline.as_millis());
        let people_max = self.step_people();
        let kind = CommandKind::Tick { deadline, people_max };
        Command { id, digest: 0, event, actor: Actor::System, kind }
    }

    fn create(&mut self) -> Command {
        let capacity = [1, 1, 2, 3, 5, 9, 600, 0];
        let mut fields = fields(*self.chance.pick(&capacity));
        fields.start_time = self.moment(3 * DAY);
        fields.end_time = self.moment(4 * DAY);
        fields.waitlist_limit = *self.chance.pick(&[None, None, Some(0), Some(3), Some(5_000)]);
        if self.has_crowds {
            fields.waitlist_limit = Some(5_000);
        }
        let actor = self.actor();
        let mut command =
            self.numbered(EventId::from_bytes([0; 16]), actor, CommandKind::Create(fields.into()));
        command.event = EventId::of_create(&command.id);
        if self.chance.one_in(20) && !self.events.is_empty() {
            command.event = *self.chance.pick(&self.events);
        }
        command
    }

    fn command(&mut self) -> Command {
        let event = match self.chance.one_in(60) {
            true => EventId::from_bytes([3; 16]),
            false => *self.chance.pick(&self.events),
        };
        let Some(known) = self.plain.events.iter().find(|known| known.event.id == event) else {
            let actor = self.actor();
            return self.numbered(event, actor, CommandKind::Join);
        };
        let (owner, status) = (known.event.owner, known.event.status);
        let version = known.event.version;
        let whom = user(self.number());
        let soon = self.moment(DAY);
        let kind = match self.chance.below(100) {
            _ if status == EventStatus::Draft && self.chance.one_in(2) => CommandKind::Publish,
            0..38 => CommandKind::Join,
            38..52 => CommandKind::Leave,
            52..57 => CommandKind::Kick { user: whom, reason: None },
            57..64 => CommandKind::Ban {
                user: whom,
                reason: None,
                expires_at: (!self.chance.one_in(3)).then_some(soon),
            },
            64..69 => CommandKind::Unban { user: whom },
            69..75 => CommandKind::CheckIn { user: whom },
            75..77 => CommandKind::Unpublish { reason: Some("later".into()) },
            77 => CommandKind::Cancel { reason: Some("rain".into()) },
            78..80 => CommandKind::Message {
                to: Audience::All,
                subject: if self.chance.one_in(4) { String::new() } else { "hello".into() },
                text: "there".into(),
            },
            80..84 => CommandKind::Tick { deadline: soon, people_max: self.step_people() },
            84 => CommandKind::Publish,
            _ => CommandKind::Update {
                patch: Box::new(self.patch()),
                expected_version: self
                    .chance
                    .one_in(3)
                    .then(|| version - u32::from(self.chance.one_in(4) && version > 1)),
            },
        };
        let actor = match &kind {
            CommandKind::Join | CommandKind::Leave => self.actor(),
            CommandKind::Tick { .. } if !self.chance.one_in(5) => Actor::System,
            _ if self.chance.one_in(10) => self.actor(),
            _ => Actor::Person { user: owner, role: Role::User },
        };
        self.numbered(event, actor, kind)
    }

    fn number(&mut self) -> u64 {
        match self.has_crowds && self.chance.one_in(2) {
            true => 100 + self.chance.below(CROWD),
            false => self.chance.below(PEOPLE),
        }
    }

    fn patch(&mut self) -> EventPatch {
        let mut patch = EventPatch::default();
        match self.chance.below(12) {
            0..5 => {
                let places = [1, 2, 3, 4, 6, 10, 700, 2_000, 0];
                patch.capacity = Some(Capacity::from_wire(*self.chance.pick(&places)));
            }
            5 => patch.waitlist_limit = Some(*self.chance.pick(&[None, Some(0), Some(2)])),
            6 => patch.opens_at = Some(self.chance.one_in(2).then_some(self.moment(HOUR))),
            7 => patch.end_time = Some(self.moment(5 * DAY)),
            8 => patch.start_time = Some(self.moment(3 * DAY)),
            9 => patch.title = Some(if self.chance.one_in(3) { "" } else { "New" }.into()),
            10 => patch.city = Some("Halle".into()),
            _ => {}
        }
        patch
    }

    fn actor(&mut self) -> Actor {
        if self.chance.one_in(200) {
            return Actor::System;
        }
        let number = self.number();
        let role = match number {
            8 => Role::Moderator,
            9 => Role::Admin,
            _ => Role::User,
        };
        Actor::Person { user: user(number), role }
    }

    fn step_people(&mut self) -> u16 {
        *self.chance.pick(&[0, 1, 50, 499, 500, u16::MAX])
    }

    /// Mostly ahead, sometimes behind.
    fn moment(&mut self, ahead: i64) -> Timestamp {
        let distance = self.chance.below(ahead as u64) as i64;
        Timestamp::from_millis(self.now + distance - ahead / 20)
    }
}
