//! The rules once more, as plainly as they can be written: lists, searched from end to end, nothing
//! kept that could be counted. Shares the types of commands and facts with the domain, and no rule.

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

/// One decision while it is made: changes are applied as they are found.
struct Making<'a> {
    plain: &'a mut PlainEvent,
    at: Timestamp,
    changes: Vec<Change>,
}

impl Making<'_> {
    fn event(&mut self, cause: EventCause, reason: Option<&String>, edit: impl FnOnce(&mut Event)) {
        edit(&mut self.plain.event);
        self.plain.event.updated_at = self.at;
        if cause != EventCause::Ended {
            self.plain.event.version += 1;
        }
        let event = Box::new(self.plain.event.clone());
        self.changes.push(Change::Event { cause, event, reason: reason.cloned() });
    }

    fn person(&mut self, user: UserId, cause: Cause, edit: impl FnOnce(&mut Registration)) {
        let at = self.at;
        let is_banned = cause == Cause::Banned;
        let new = Registration {
            user,
            status: Status::Canceled,
            joined_at: at,
            updated_at: at,
            ticket: None,
            checked_in_at: None,
        };
        let index = match self.plain.people.iter().position(|(row, _)| row.user == user) {
            Some(index) => index,
            None => {
                self.plain.people.push((new, false));
                self.plain.people.len() - 1
            }
        };
        let (row, banned) = &mut self.plain.people[index];
        row.updated_at = at;
        row.ticket = None;
        edit(row);
        *banned = is_banned;
        if row.status == Status::Waitlisted {
            row.ticket = Some(self.plain.tickets);
            self.plain.tickets += 1;
            self.plain.line.push(user);
        } else {
            self.plain.line.retain(|waiting| *waiting != user);
        }
        let registration = *row;
        let position = self.plain.position(user);
        let change = Change::Registration { cause, registration, position, reason: None };
        self.changes.push(change);
    }

    fn set(&mut self, user: UserId, cause: Cause, status: Status) {
        self.person(user, cause, |row| row.status = status);
    }

    /// Free places go to the head of the line, five hundred in one fact.
    fn promote(&mut self) {
        for _ in 0..500 {
            if self.plain.line.is_empty() || self.plain.free_places() == 0 {
                return;
            }
            let head = self.plain.line[0];
            self.set(head, Cause::Promoted, Status::Active);
        }
    }

    fn lift_ban(&mut self, user: UserId) -> bool {
        let before = self.plain.bans.len();
        self.plain.bans.retain(|ban| ban.user != user);
        let is_lifted = self.plain.bans.len() < before;
        if is_lifted {
            self.changes.push(Change::Unbanned { user });
        }
        is_lifted
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

/// The rule of each command, for an event that is neither canceled nor ended and an actor who may.
fn rule(making: &mut Making<'_>, command: &Command, actor: UserId) -> Result<Answer, No> {
    let at = making.at;
    let status = making.plain.event.status;
    let owner = making.plain.event.owner;
    match &command.kind {
        CommandKind::Create(_) => unreachable!("has no event yet"),
        CommandKind::Update { patch, expected_version } => {
            let version = making.plain.event.version;
            if expected_version.is_some_and(|expected| expected != version) {
                return Err(Refusal::VersionConflict { current: version }.into());
            }
            let old = making.plain.event.fields.clone();
            let mut new = old.clone();
            if let Some(title) = &patch.title {
                new.title = title.clone();
            }
            if let Some(city) = &patch.city {
                new.city = city.clone();
            }
            if let Some(start_time) = patch.start_time {
                new.start_time = start_time;
            }
            if let Some(end_time) = patch.end_time {
                new.end_time = end_time;
            }
            if let Some(capacity) = patch.capacity {
                new.capacity = capacity;
            }
            if let Some(limit) = patch.waitlist_limit {
                new.waitlist_limit = limit;
            }
            if let Some(opens_at) = patch.opens_at {
                new.opens_at = opens_at;
            }
            if new == old {
                let counters = making.plain.counters();
                let event = Box::new(making.plain.event.clone());
                return Err(No::Unchanged(Outcome::Event { event, counters }));
            }
            let is_wrong = new.title.is_empty()
                || new.start_time >= new.end_time
                || new.opens_at.is_some_and(|opens_at| opens_at >= new.end_time)
                || (status == EventStatus::Published && new.end_time <= at);
            if is_wrong {
                return Err(Refusal::InvalidState.into());
            }
            let notable = making.plain.event.published_at.is_some()
                && (new.city != old.city
                    || new.start_time != old.start_time
                    || new.end_time != old.end_time);
            making.event(EventCause::Updated { notable }, None, |event| event.fields = new);
            making.promote();
            Ok(Answer::Event)
        }
        CommandKind::Publish => {
            let fields = &making.plain.event.fields;
            let is_late =
                fields.start_time.as_millis() < at.as_millis() - 300_000 || fields.end_time <= at;
            if status != EventStatus::Draft || is_late {
                return Err(Refusal::InvalidState.into());
            }
            making.event(EventCause::Published, None, |event| {
                event.status = EventStatus::Published;
                event.published_at = event.published_at.or(Some(at));
            });
            making.promote();
            Ok(Answer::Event)
        }
        CommandKind::Unpublish { reason } => {
            if status != EventStatus::Published {
                return Err(Refusal::InvalidState.into());
            }
            making.event(EventCause::Unpublished, reason.as_ref(), |event| {
                event.status = EventStatus::Draft;
            });
            Ok(Answer::Event)
        }
        CommandKind::Cancel { reason } => {
            if making.plain.event.fields.end_time <= at {
                return Err(Refusal::EventEnded.into());
            }
            making.event(EventCause::Canceled, reason.as_ref(), |event| {
                event.status = EventStatus::Canceled;
                event.canceled_at = Some(at);
            });
            Ok(Answer::Event)
        }
        CommandKind::Join => {
            if status != EventStatus::Published {
                return Err(Refusal::EventNotPublished.into());
            }
            if let Some(opens_at) = making.plain.event.fields.opens_at.filter(|opens| at < *opens) {
                return Err(Refusal::NotOpenYet { opens_at }.into());
            }
            if actor == owner {
                return Err(Refusal::IsOrganizer.into());
            }
            let ban = making.plain.bans.iter().find(|ban| ban.user == actor);
            if ban.is_some_and(|ban| ban.expires_at.is_none_or(|expiry| at < expiry)) {
                return Err(Refusal::Banned.into());
            }
            match making.plain.person(actor) {
                Some((row, false)) if row.status == Status::Rejected => {
                    return Err(Refusal::RemovedByOrganizer.into());
                }
                Some((row, _)) if row.status.is_living() => {
                    return Err(No::Unchanged(making.plain.answer(actor)));
                }
                _ => {}
            }
            let free = making.plain.free_places();
            let has_room = free > 0 && making.plain.line.is_empty();
            let room_in_line = making.plain.line_limit().saturating_add(free);
            if !has_room && making.plain.line.len() as u64 >= room_in_line {
                return Err(Refusal::EventFull.into());
            }
            making.person(actor, Cause::Joined, |row| {
                row.status = if has_room { Status::Active } else { Status::Waitlisted };
                row.joined_at = at;
                row.checked_in_at = None;
            });
            Ok(Answer::Person(actor))
        }
        CommandKind::Leave => {
            let Some((row, _)) = making.plain.person(actor) else {
                return Err(Refusal::NotJoined.into());
            };
            if !row.status.is_living() {
                return Err(No::Unchanged(making.plain.answer(actor)));
            }
            making.set(actor, Cause::Left, Status::Canceled);
            making.promote();
            Ok(Answer::Person(actor))
        }
        CommandKind::Kick { user, .. } => {
            if *user == owner {
                return Err(Refusal::IsOrganizer.into());
            }
            let Some((row, is_banned)) = making.plain.person(*user) else {
                return Err(Refusal::NotJoined.into());
            };
            if row.status == Status::Rejected && !is_banned {
                return Err(No::Unchanged(making.plain.answer(*user)));
            }
            making.set(*user, Cause::Kicked, Status::Rejected);
            making.promote();
            Ok(Answer::Person(*user))
        }
        CommandKind::Ban { user, expires_at, .. } => {
            if *user == owner {
                return Err(Refusal::IsOrganizer.into());
            }
            if expires_at.is_some_and(|expiry| expiry <= at) {
                return Err(Refusal::InvalidState.into());
            }
            let ban = Ban {
                user: *user,
                banned_by: actor,
                banned_at: at,
                expires_at: *expires_at,
                reason: None,
            };
            making.plain.bans.retain(|known| known.user != *user);
            making.plain.bans.push(ban.clone());
            making.changes.push(Change::Banned(ban));
            if making.plain.person(*user).is_some_and(|(row, _)| row.status.is_living()) {
                making.set(*user, Cause::Banned, Status::Rejected);
                making.promote();
            }
            Ok(Answer::Done)
        }
        CommandKind::Unban { user } => {
            let is_lifted = making.lift_ban(*user);
            let is_out =
                making.plain.person(*user).is_some_and(|(row, _)| row.status == Status::Rejected);
            if is_out {
                making.set(*user, Cause::Lifted, Status::Canceled);
            }
            match is_lifted || is_out {
                true => Ok(Answer::Done),
                false => Err(No::Unchanged(Outcome::Done { at })),
            }
        }
        CommandKind::Tick { .. } => tick(making),
        CommandKind::CheckIn { user } => {
            if status != EventStatus::Published {
                return Err(Refusal::EventNotPublished.into());
            }
            match making.plain.person(*user) {
                Some((row, _)) if row.status == Status::Active => {
                    if let Some(first_at) = row.checked_in_at {
                        return Err(Refusal::AlreadyCheckedIn { first_at }.into());
                    }
                }
                _ => return Err(Refusal::NotJoined.into()),
            }
            making.person(*user, Cause::CheckedIn, |row| row.checked_in_at = Some(at));
            Ok(Answer::Person(*user))
        }
        CommandKind::Message { to, subject, text } => {
            if making.plain.event.published_at.is_none() {
                return Err(Refusal::EventNotPublished.into());
            }
            if subject.is_empty() || text.is_empty() {
                return Err(Refusal::InvalidState.into());
            }
            let (subject, text) = (subject.clone(), text.clone());
            making.changes.push(Change::Message { to: *to, subject, text });
            Ok(Answer::Done)
        }
    }
}

fn tick(making: &mut Making<'_>) -> Result<Answer, No> {
    let at = making.at;
    let event = &making.plain.event;
    if event.status == EventStatus::Published && event.fields.end_time <= at {
        making.event(EventCause::Ended, None, |event| event.status = EventStatus::Ended);
        return Ok(Answer::Done);
    }
    if making.plain.has_work() && event.status == EventStatus::Canceled {
        let people = making.plain.people.iter().map(|(row, _)| row);
        let living: Vec<UserId> =
            people.filter(|row| row.status.is_living()).map(|row| row.user).take(500).collect();
        for user in living {
            making.set(user, Cause::EventCanceled, Status::Expired);
        }
        return Ok(Answer::Done);
    }
    if making.plain.has_work() {
        making.promote();
        return Ok(Answer::Done);
    }
    let mut expired: Vec<(Timestamp, UserId)> = making
        .plain
        .bans
        .iter()
        .filter_map(|ban| Some((ban.expires_at.filter(|expiry| *expiry <= at)?, ban.user)))
        .collect();
    expired.sort_unstable();
    for (_, user) in expired.iter().take(500) {
        making.lift_ban(*user);
        let is_out = making
            .plain
            .person(*user)
            .is_some_and(|(row, banned)| row.status == Status::Rejected && *banned);
        if is_out {
            making.set(*user, Cause::Lifted, Status::Canceled);
        }
    }
    match expired.is_empty() {
        true => Err(Refusal::InvalidState.into()),
        false => Ok(Answer::Done),
    }
}

/// A day of log time, in which a command is remembered.
pub const MEMORY: Millis = Millis(24 * 3_600_000);
