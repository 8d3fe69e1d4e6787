//! The state of one event.

use std::collections::{BTreeMap, BTreeSet};

use super::line::Line;
use super::registrations::{Entry, Registrations, Standing};
use crate::event::{Counters, Event, EventStatus};
use crate::ids::{EventId, UserId};
use crate::registration::{Ban, Registration, RegistrationCause, RegistrationStatus};
use crate::time::Timestamp;

/// Who is kept out, and when each runs out.
#[derive(Debug, Clone, Default)]
pub struct Bans {
    by_user: BTreeMap<UserId, Ban>,
    by_expiry: BTreeSet<(Timestamp, UserId)>,
}

impl Bans {
    /// The ban of a user that lives at `now`.
    pub fn living(&self, user: &UserId, now: Timestamp) -> Option<&Ban> {
        self.by_user.get(user).filter(|ban| ban.expires_at.is_none_or(|expiry| now < expiry))
    }

    /// The ban of a user, run out or not.
    pub fn find(&self, user: &UserId) -> Option<&Ban> {
        self.by_user.get(user)
    }

    /// All, by user.
    pub fn iter(&self) -> impl Iterator<Item = &Ban> {
        self.by_user.values()
    }

    /// Those that have run out at `now`, the earliest first.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = UserId> {
        self.by_expiry.iter().take_while(move |(expiry, _)| *expiry <= now).map(|(_, user)| *user)
    }

    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.by_expiry.first().map(|(expiry, _)| *expiry)
    }

    pub(super) fn insert(&mut self, ban: Ban) {
        self.remove(&ban.user);
        if let Some(expiry) = ban.expires_at {
            self.by_expiry.insert((expiry, ban.user));
        }
        self.by_user.insert(ban.user, ban);
    }

    pub(super) fn remove(&mut self, user: &UserId) {
        if let Some(expiry) = self.by_user.remove(user).and_then(|ban| ban.expires_at) {
            self.by_expiry.remove(&(expiry, *user));
        }
    }
}

/// An event that can still change.
#[derive(Debug, Clone)]
pub struct EventState {
    pub(super) event: Event,
    pub(super) seq: u64,
    pub(super) counters: Counters,
    pub(super) registrations: Registrations,
    pub(super) line: Line,
    pub(super) bans: Option<Box<Bans>>,
    pub(super) tickets_drawn: u32,
    /// Since when the next step of a long effect is due.
    pub(super) step_due: Option<Timestamp>,
    /// Every registration before this place was expired by the steps of a cancellation.
    pub(super) expired_before: u32,
    /// What the partition's timers hold for this event.
    pub(super) timer: Option<Timestamp>,
}

impl EventState {
    pub(super) fn new(event: Event) -> Self {
        Self {
            event,
            seq: 0,
            counters: Counters::default(),
            registrations: Registrations::default(),
            line: Line::default(),
            bans: None,
            tickets_drawn: 0,
            step_due: None,
            expired_before: 0,
            timer: None,
        }
    }

    /// Its row.
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// Number of its last fact.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// What its registrations add up to.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Its registrations.
    pub const fn registrations(&self) -> &Registrations {
        &self.registrations
    }

    /// Its waiting line; slots are places in [`EventState::registrations`].
    pub const fn line(&self) -> &Line {
        &self.line
    }

    /// Who is kept out.
    pub fn bans(&self) -> Option<&Bans> {
        self.bans.as_deref()
    }

    /// The number that the next person to enter the line draws.
    pub const fn next_ticket(&self) -> u32 {
        self.tickets_drawn
    }

    /// Since when the next step of a long effect is due.
    pub const fn step_due(&self) -> Option<Timestamp> {
        self.step_due
    }

    /// Whether the people in the line fit, or registrations of a canceled event are left.
    pub fn has_step(&self) -> bool {
        match self.event.status {
            EventStatus::Canceled => self.counters.active + self.counters.waiting > 0,
            EventStatus::Ended => false,
            EventStatus::Draft | EventStatus::Published => {
                !self.line.is_empty() && self.event.fields.capacity.free(self.counters.active) > 0
            }
        }
    }

    /// Living registrations that a canceled event still has, from the first on, with their places.
    pub fn unexpired(&self) -> impl Iterator<Item = &Entry> {
        self.registrations
            .iter()
            .skip(self.expired_before as usize)
            .filter(|entry| entry.standing().is_living())
    }

    /// Reads something of every part that decisions look at.
    pub(super) fn touch(&self) -> u64 {
        self.seq
            ^ u64::from(self.event.version)
            ^ u64::from(self.tickets_drawn)
            ^ self.event.fields.end_time.as_millis() as u64
            ^ u64::from(self.event.owner.as_bytes()[0])
    }

    /// The next moment at which time alone changes something.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let end =
            (self.event.status == EventStatus::Published).then_some(self.event.fields.end_time);
        let expiry = self.bans.as_ref().and_then(|bans| bans.next_expiry());
        [end, self.step_due, expiry].into_iter().flatten().min()
    }

    /// Puts a registration row where it belongs and keeps line and counters right.
    pub(super) fn put_registration(&mut self, cause: RegistrationCause, row: &Registration) {
        let standing = match (row.status, cause) {
            (RegistrationStatus::Active, _) => Standing::Active,
            (RegistrationStatus::Waitlisted, _) => Standing::Waitlisted,
            (RegistrationStatus::Canceled, _) => Standing::Canceled,
            (RegistrationStatus::Rejected, RegistrationCause::Banned) => Standing::Banned,
            (RegistrationStatus::Rejected, _) => Standing::Kicked,
            (RegistrationStatus::Expired, _) => Standing::Expired,
        };
        let entry = Entry::new(row, standing);
        let known = self.registrations.find(&row.user);
        let slot = match known.map(|(slot, before)| (slot, *before)) {
            Some((slot, before)) => {
                self.count(&before, false);
                if let Some(ticket) = before.ticket() {
                    self.line.remove(ticket);
                }
                self.registrations.replace(slot, entry);
                slot
            }
            None => self.registrations.push(entry),
        };
        self.count(&entry, true);
        if let Some(ticket) = row.ticket {
            self.line.push(ticket, slot);
            self.tickets_drawn = self.tickets_drawn.max(ticket.saturating_add(1));
        }
        if standing == Standing::Expired {
            self.expired_before = self.expired_before.max(slot + 1);
        }
    }

    pub(super) fn count(&mut self, entry: &Entry, comes: bool) {
        let counters = &mut self.counters;
        let mut change = |applies: bool, counter: fn(&mut Counters) -> &mut u32| {
            if applies {
                let value = counter(counters);
                *value = if comes { *value + 1 } else { *value - 1 };
            }
        };
        change(entry.standing() == Standing::Active, |counters| &mut counters.active);
        change(entry.standing() == Standing::Waitlisted, |counters| &mut counters.waiting);
        change(entry.is_checked_in(), |counters| &mut counters.checked_in);
    }
}

/// What is left of an event that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stub {
    /// Its id.
    pub id: EventId,
    /// The organiser.
    pub owner: UserId,
    /// Canceled or ended.
    pub status: EventStatus,
    /// Number of its last fact.
    pub seq: u64,
    /// Whether it was ever public.
    pub was_published: bool,
}
