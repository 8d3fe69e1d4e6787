//! Decisions: one command against the state, in log order. Nothing here changes state.
//!
//! One file per group of commands. Every file checks in the order of precedence that
//! [`Refusal`] lists; `tests/it/precedence.rs` has a row for each reason.

mod door;
mod joining;
mod lifecycle;
mod removal;
mod tick;

use crate::actor::Actor;
use crate::command::{Command, CommandKind};
use crate::event::{Counters, Event, EventStatus, REASON_CHARACTERS_MAX};
use crate::fact::{Change, Fact, Outcome, STEP_PEOPLE_MAX, Verdict};
use crate::ids::{EventId, UserId};
use crate::refusal::Refusal;
use crate::registration::{
    Registration, RegistrationCause, RegistrationStatus, SEALED_TEXT_BYTES_MAX, SealedText,
};
use crate::state::{Entry, EventState, Partition, Remembered, Slot, Standing};
use crate::time::Timestamp;

impl Partition {
    /// Decides a command that the log stamped with `stamped_at`.
    pub fn decide(&self, command: &Command, stamped_at: Timestamp) -> Verdict {
        let at = stamped_at.max(self.log_time());
        match self.dedup().find(command, at) {
            Some(Remembered::Same(outcome)) => return Verdict::Unchanged(outcome),
            Some(Remembered::OtherBody) => {
                return Verdict::Refused(Refusal::IdempotencyKeyMismatch);
            }
            None => {}
        }
        let asked = Asked { command, at };
        let verdict = match &command.kind {
            CommandKind::Create(fields) => lifecycle::create(self, asked, fields),
            kind => self.open_for(asked, needs_manager(kind)).and_then(|state| match kind {
                CommandKind::Create(_) => Err(Refusal::InvalidState),
                CommandKind::Update { patch, expected_version } => {
                    lifecycle::update(state, asked, patch, *expected_version)
                }
                CommandKind::Publish => lifecycle::publish(state, asked),
                CommandKind::Unpublish { reason } => lifecycle::unpublish(state, asked, reason),
                CommandKind::Cancel { reason } => lifecycle::cancel(state, asked, reason),
                CommandKind::Join => joining::join(state, asked),
                CommandKind::Leave => joining::leave(state, asked),
                CommandKind::Kick { user, reason } => removal::kick(state, asked, user, reason),
                CommandKind::Ban { user, reason, expires_at } => {
                    removal::ban(state, asked, user, reason, *expires_at)
                }
                CommandKind::Unban { user } => removal::unban(state, asked, user),
                CommandKind::Tick { people_max, .. } => {
                    tick::tick(state, asked, usize::from(*people_max))
                }
                CommandKind::CheckIn { user } => door::check_in(state, asked, user),
                CommandKind::Message { to, subject, text } => {
                    door::message(state, asked, *to, subject, text)
                }
            }),
        };
        verdict.unwrap_or_else(Verdict::Refused)
    }

    /// The event, if this actor may ask this of it now. A tick passes the check of the end: it is
    /// what brings the end about.
    fn open_for(&self, asked: Asked<'_>, manager: bool) -> Result<&EventState, Refusal> {
        let actor = &asked.command.actor;
        let slot = self.find(&asked.command.event).ok_or(Refusal::EventNotFound)?;
        let (owner, status, was_published) = match slot {
            Slot::Open(state) => {
                let event = state.event();
                (&event.owner, event.status, event.published_at.is_some())
            }
            Slot::Closed(stub) => (&stub.owner, stub.status, stub.was_published),
        };
        if !was_published && !actor.manages(owner) {
            return Err(Refusal::EventNotFound);
        }
        // Ticks come from the platform, and nothing else does.
        let is_tick = matches!(asked.command.kind, CommandKind::Tick { .. });
        if is_tick != (*actor == Actor::System) || (manager && !actor.manages(owner)) {
            return Err(Refusal::Forbidden);
        }
        match (slot, status) {
            (Slot::Open(state), _) if is_tick => Ok(state),
            (_, EventStatus::Canceled) => Err(Refusal::EventCanceled),
            (_, EventStatus::Ended) | (Slot::Closed(_), _) => Err(Refusal::EventEnded),
            (Slot::Open(state), EventStatus::Published)
                if state.event().fields.end_time <= asked.at =>
            {
                Err(Refusal::EventEnded)
            }
            (Slot::Open(state), _) => Ok(state),
        }
    }
}

/// Whether only owner and staff (and the platform itself) may ask this.
const fn needs_manager(kind: &CommandKind) -> bool {
    !matches!(kind, CommandKind::Join | CommandKind::Leave)
}

/// A command and the log time at which it counts.
#[derive(Clone, Copy)]
struct Asked<'a> {
    command: &'a Command,
    at: Timestamp,
}

impl Asked<'_> {
    /// The person who asks.
    fn person(&self) -> Result<UserId, Refusal> {
        self.command.actor.user().ok_or(Refusal::Forbidden)
    }
}

/// Puts a fact together: what changes, and what the counters come to.
struct Draft<'a> {
    asked: Asked<'a>,
    seq: u64,
    counters: Counters,
    changes: Vec<Change>,
}

impl<'a> Draft<'a> {
    fn new(asked: Asked<'a>, state: &EventState) -> Self {
        Self {
            asked,
            seq: state.seq() + 1,
            counters: state.counters(),
            changes: Vec::with_capacity(1),
        }
    }

    fn first(asked: Asked<'a>) -> Self {
        Self { asked, seq: 1, counters: Counters::default(), changes: Vec::with_capacity(1) }
    }

    fn finish(self, outcome: Outcome) -> Verdict {
        let command = self.asked.command;
        Verdict::Fact(Box::new(Fact {
            event: command.event,
            event_seq: self.seq,
            command: command.id,
            command_digest: command.digest,
            at: self.asked.at,
            actor: command.actor,
            changes: self.changes,
            counters: self.counters,
            outcome,
        }))
    }

    /// Finishes with what became of one registration as outcome.
    fn finish_with(self, row: &Registration, position: Option<u32>) -> Verdict {
        let outcome = Outcome::Registration {
            user: row.user,
            status: row.status,
            position,
            updated_at: row.updated_at,
        };
        self.finish(outcome)
    }

    /// Finishes with the event's new row as outcome.
    fn finish_event(self, event: Event) -> Verdict {
        let counters = self.counters;
        self.finish(Outcome::Event { event: Box::new(event), counters })
    }

    /// Moves somebody who has a registration, and keeps the counters right.
    fn change(
        &mut self,
        entry: &Entry,
        status: RegistrationStatus,
        cause: RegistrationCause,
        reason: Option<SealedText>,
    ) -> Registration {
        match entry.standing() {
            Standing::Active => self.counters.active -= 1,
            Standing::Waitlisted => self.counters.waiting -= 1,
            _ => {}
        }
        if entry.is_checked_in() {
            self.counters.checked_in -= 1;
        }
        if status == RegistrationStatus::Active {
            self.counters.active += 1;
        }
        let row = Registration { status, ticket: None, updated_at: self.asked.at, ..entry.row() };
        self.changes.push(Change::Registration {
            cause,
            registration: row,
            position: None,
            reason,
        });
        row
    }

    /// Gives free places to the head of the line, as many as one fact may. `without` stands in the
    /// line and is about to leave it.
    fn promote(&mut self, state: &EventState, event: &Event, without: Option<&UserId>) {
        self.promote_some(state, event, without, STEP_PEOPLE_MAX);
    }

    /// Gives at most so many free places to the head of the line.
    fn promote_some(
        &mut self,
        state: &EventState,
        event: &Event,
        without: Option<&UserId>,
        people_max: usize,
    ) {
        let free = event.fields.capacity.free(self.counters.active) as usize;
        if free == 0 || state.line().is_empty() {
            return;
        }
        let heads = state.line().iter().filter_map(|(_, slot)| state.registrations().at(slot));
        let heads = heads.filter(|entry| without != Some(&entry.user()));
        for entry in heads.take(free.min(people_max)) {
            self.change(entry, RegistrationStatus::Active, RegistrationCause::Promoted, None);
        }
    }
}

/// What somebody is told who asks for what they have already.
fn current(state: &EventState, entry: &Entry) -> Verdict {
    let row = entry.row();
    Verdict::Unchanged(Outcome::Registration {
        user: row.user,
        status: row.status,
        position: row.ticket.and_then(|ticket| state.line().position(ticket)),
        updated_at: row.updated_at,
    })
}

/// What somebody is told of an event that stays as it is.
fn unchanged_event(state: &EventState) -> Verdict {
    Verdict::Unchanged(Outcome::Event {
        event: Box::new(state.event().clone()),
        counters: state.counters(),
    })
}

/// The event that a command to create one makes: its id follows from the command's.
pub(crate) fn is_created_by(event: &EventId, command: &Command) -> bool {
    *event == EventId::of_create(&command.id)
}

/// Whether a reason that somebody gave is short enough.
fn is_brief(reason: Option<&String>) -> bool {
    has_characters(reason.map_or("", String::as_str), 0, REASON_CHARACTERS_MAX)
}

/// Whether a sealed reason is short enough.
fn is_brief_sealed(reason: Option<&SealedText>) -> bool {
    reason.is_none_or(|reason| reason.0.len() <= SEALED_TEXT_BYTES_MAX)
}

fn has_characters(text: &str, least: usize, most: usize) -> bool {
    // No character has more than four bytes, so a huge text is not walked through.
    text.len() <= most * 4 && (least..=most).contains(&text.chars().count())
}
