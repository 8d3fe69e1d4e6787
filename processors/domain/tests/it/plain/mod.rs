//! The rules once more, as plainly as they can be written: lists, searched from end to end, nothing
//! kept that could be counted. Shares the types of commands and facts with the domain, and no rule.

mod making;
mod rules;

use cityevents_domain::actor::Actor;
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, Counters, Event, EventFields, EventStatus};
use cityevents_domain::fact::{Change, EventCause, Fact, Outcome, Verdict};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::{
    Ban, Registration, RegistrationCause as Cause, RegistrationStatus as Status,
};
use cityevents_domain::time::{Millis, Timestamp};

use self::making::Making;
use self::rules::rule;

/// Everybody and everything.
#[derive(Default)]
pub struct Plain {
    pub events: Vec<PlainEvent>,
    answered: Vec<(CommandId, u64, Timestamp, Outcome)>,
    time: Option<Timestamp>,
}

pub struct PlainEvent {
    pub event: Event,
    pub seq: u64,
    /// In the order of first joining; whether a rejected one was banned stands beside.
    pub people: Vec<(Registration, bool)>,
    /// The line, from its head.
    pub line: Vec<UserId>,
    pub bans: Vec<Ban>,
    tickets: u32,
    pub step_since: Option<Timestamp>,
}

impl PlainEvent {
    pub fn counters(&self) -> Counters {
        let count = |test: &dyn Fn(&Registration) -> bool| {
            self.people.iter().filter(|(row, _)| test(row)).count() as u32
        };
        Counters {
            active: count(&|row| row.status == Status::Active),
            waiting: count(&|row| row.status == Status::Waitlisted),
            checked_in: count(&|row| row.status == Status::Active && row.checked_in_at.is_some()),
        }
    }

    pub fn is_over(&self) -> bool {
        match self.event.status {
            EventStatus::Ended => true,
            EventStatus::Canceled => self.counters().active + self.counters().waiting == 0,
            _ => false,
        }
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        if self.is_over() {
            return None;
        }
        let mut deadlines: Vec<Timestamp> = self.bans.iter().filter_map(|b| b.expires_at).collect();
        deadlines.extend(self.step_since);
        if self.event.status == EventStatus::Published {
            deadlines.push(self.event.fields.end_time);
        }
        deadlines.into_iter().min()
    }

    pub fn position(&self, user: UserId) -> Option<u32> {
        let index = self.line.iter().position(|waiting| *waiting == user)?;
        Some(index as u32 + 1)
    }

    fn person(&self, user: UserId) -> Option<&(Registration, bool)> {
        self.people.iter().find(|(row, _)| row.user == user)
    }

    fn free_places(&self) -> u64 {
        match self.event.fields.capacity {
            Capacity::Unlimited => u64::MAX,
            Capacity::Limited(places) => {
                u64::from(places).saturating_sub(u64::from(self.counters().active))
            }
        }
    }

    fn line_limit(&self) -> u64 {
        match (self.event.fields.waitlist_limit, self.event.fields.capacity) {
            (Some(limit), _) => u64::from(limit),
            (None, Capacity::Unlimited) => 100,
            (None, Capacity::Limited(places)) => u64::from(places.clamp(20, 100)),
        }
    }

    /// Whether somebody in the line would fit, or somebody of a canceled event is left.
    fn has_work(&self) -> bool {
        match self.event.status {
            EventStatus::Canceled => self.people.iter().any(|(row, _)| row.status.is_living()),
            EventStatus::Ended => false,
            _ => !self.line.is_empty() && self.free_places() > 0,
        }
    }

    fn answer(&self, user: UserId) -> Outcome {
        let (row, _) = self.person(user).expect("somebody known");
        Outcome::Registration {
            user,
            status: row.status,
            position: self.position(user),
            updated_at: row.updated_at,
        }
    }
}

enum Answer {
    Done,
    Event,
    Person(UserId),
}

enum No {
    Refused(Refusal),
    Unchanged(Outcome),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Plain {
    /// Decides a command and does what was decided.
    pub fn give(&mut self, command: &Command, stamped_at: Timestamp) -> Verdict {
        let at = self.time.map_or(stamped_at, |time| time.max(stamped_at));
        let before = self.answered.iter().rev().find(|(id, _, answered_at, _)| {
            *id == command.id && at.as_millis() - answered_at.as_millis() < 24 * 3_600_000
        });
        if let (Some((_, digest, _, outcome)), Actor::Person { .. }) = (before, command.actor) {
            return match *digest == command.digest {
                true => Verdict::Unchanged(outcome.clone()),
                false => Verdict::Refused(Refusal::IdempotencyKeyMismatch),
            };
        }
        let decided = match &command.kind {
            CommandKind::Create(fields) => self.create(command, fields, at),
            _ => self.change(command, at),
        };
        match decided {
            Ok(fact) => {
                self.time = Some(at);
                if matches!(command.actor, Actor::Person { .. }) {
                    let outcome = fact.outcome.clone();
                    self.answered.push((command.id, command.digest, at, outcome));
                }
                Verdict::Fact(Box::new(fact))
            }
            Err(No::Refused(refusal)) => Verdict::Refused(refusal),
            Err(No::Unchanged(outcome)) => Verdict::Unchanged(outcome),
        }
    }

    fn create(
        &mut self,
        command: &Command,
        fields: &EventFields,
        at: Timestamp,
    ) -> Result<Fact, No> {
        let Actor::Person { user, .. } = command.actor else {
            return Err(Refusal::Forbidden.into());
        };
        let is_known = self.events.iter().any(|known| known.event.id == command.event);
        let is_own_id = EventId::of_create(&command.id) == command.event;
        if is_known || !is_own_id || fields.start_time >= fields.end_time {
            return Err(Refusal::InvalidState.into());
        }
        let event = Event {
            id: command.event,
            owner: user,
            fields: fields.clone(),
            status: EventStatus::Draft,
            version: 1,
            created_at: at,
            updated_at: at,
            published_at: None,
            canceled_at: None,
        };
        let mut plain = PlainEvent {
            event,
            seq: 0,
            people: Vec::new(),
            line: Vec::new(),
            bans: Vec::new(),
            tickets: 0,
            step_since: None,
        };
        let event = Box::new(plain.event.clone());
        let changes = vec![Change::Event { cause: EventCause::Created, event, reason: None }];
        let fact = seal(&mut plain, command, at, changes, Answer::Event);
        self.events.push(plain);
        Ok(fact)
    }

    fn change(&mut self, command: &Command, at: Timestamp) -> Result<Fact, No> {
        let found = self.events.iter_mut().find(|known| known.event.id == command.event);
        let plain = found.ok_or(Refusal::EventNotFound)?;
        let event = &plain.event;
        let is_tick = matches!(command.kind, CommandKind::Tick { .. });
        let (actor, is_allowed) = match command.actor {
            Actor::System => (None, true),
            Actor::Person { user, role } => (Some(user), user == event.owner || role.is_staff()),
        };
        let is_for_all = matches!(command.kind, CommandKind::Join | CommandKind::Leave);
        if event.published_at.is_none() && !is_allowed {
            return Err(Refusal::EventNotFound.into());
        }
        if actor.is_none() != is_tick || (!is_for_all && !is_allowed) {
            return Err(Refusal::Forbidden.into());
        }
        let is_past = event.fields.end_time <= at;
        if event.status == EventStatus::Canceled && (!is_tick || plain.is_over()) {
            return Err(Refusal::EventCanceled.into());
        }
        let has_ended = event.status == EventStatus::Published && is_past && !is_tick;
        if event.status == EventStatus::Ended || has_ended {
            return Err(Refusal::EventEnded.into());
        }
        let actor = actor.unwrap_or(UserId::from_bytes([0; 16]));
        let mut making = Making { plain, at, changes: Vec::new() };
        let answer = rule(&mut making, command, actor)?;
        let changes = making.changes;
        Ok(seal(plain, command, at, changes, answer))
    }
}

fn seal(
    plain: &mut PlainEvent,
    command: &Command,
    at: Timestamp,
    changes: Vec<Change>,
    answer: Answer,
) -> Fact {
    plain.seq += 1;
    // Due since the first moment, and after a step since that step.
    let was_due = plain.step_since.filter(|_| command.actor != Actor::System);
    plain.step_since = plain.has_work().then(|| was_due.unwrap_or(at));
    let counters = plain.counters();
    let outcome = match answer {
        Answer::Done => Outcome::Done { at },
        Answer::Event => Outcome::Event { event: Box::new(plain.event.clone()), counters },
        Answer::Person(user) => plain.answer(user),
    };
    Fact {
        event: plain.event.id,
        event_seq: plain.seq,
        command: command.id,
        command_digest: command.digest,
        at,
        actor: command.actor,
        changes,
        counters,
        outcome,
    }
}

/// A day of log time, in which a command is remembered.
pub const MEMORY: Millis = Millis(24 * 3_600_000);
