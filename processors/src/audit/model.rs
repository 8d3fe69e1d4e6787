//! A plain model of the rules, written from the sentences of the invariants and sharing no code
//! with what decides: lists, maps and counting. It looks at one fact after the other and says what
//! is wrong with it.

use std::collections::{BTreeMap, HashMap, HashSet};

use cityevents_domain::event::{Capacity, EventStatus};
use cityevents_domain::fact::{Change, EventCause, Fact};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::invariants::Invariant;
use cityevents_domain::registration::{Registration, RegistrationCause, RegistrationStatus};
use cityevents_domain::time::Timestamp;

/// People that one fact promotes at most; with so many, another step may be due.
const STEP_PEOPLE: usize = 500;
/// How long a command id may not have another fact.
const REMEMBERED_MS: i64 = 24 * 3_600_000;

/// What is wrong, in a sentence.
pub type Wrong = (Invariant, String);

/// One event, plainly.
#[derive(Debug)]
pub struct PlainEvent {
    /// Number of the last fact.
    pub seq: u64,
    /// Who organises it.
    pub owner: UserId,
    /// Where it stands.
    pub status: EventStatus,
    /// Its places.
    pub capacity: Capacity,
    /// Who stands where.
    pub people: HashMap<UserId, RegistrationStatus>,
    /// The line by ticket, from its head on.
    pub line: BTreeMap<u32, UserId>,
    /// Who is kept out, and until when.
    pub bans: HashMap<UserId, Option<Timestamp>>,
    /// Who was removed, until that is lifted.
    pub removed: HashSet<UserId>,
    /// People with a place.
    pub active: u32,
    /// Whether a promotion step is due.
    promotion_due: bool,
}

/// The events of one partition, plainly.
#[derive(Debug, Default)]
pub struct Model {
    events: HashMap<EventId, PlainEvent>,
    facts: HashMap<CommandId, Timestamp>,
}

impl Model {
    /// All events.
    pub fn events(&self) -> impl Iterator<Item = (&EventId, &PlainEvent)> {
        self.events.iter()
    }

    /// One event.
    pub fn event(&self, event: &EventId) -> Option<&PlainEvent> {
        self.events.get(event)
    }

    /// Looks at the next fact.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn take(&mut self, fact: &Fact) -> Result<(), Wrong> {
        let is_person = fact.actor.user().is_some();
        if is_person
            && let Some(before) = self.facts.insert(fact.command, fact.at)
            && fact.at.as_millis() - before.as_millis() < REMEMBERED_MS
        {
            let wrong = format!("command {} has a fact already", fact.command);
            return Err((Invariant::OneFactPerCommand, wrong));
        }
        let known = self.events.get(&fact.event).map_or(0, |event| event.seq);
        if fact.event_seq != known + 1 {
            let wrong = format!("sequence {} follows {known}", fact.event_seq);
            return Err((Invariant::SequenceWithoutGap, wrong));
        }
        let created = fact.changes.iter().find_map(|change| match change {
            Change::Event { cause: EventCause::Created, event, .. } => Some(event),
            _ => None,
        });
        if let Some(event) = created {
            let plain = PlainEvent {
                seq: 0,
                owner: event.owner,
                status: event.status,
                capacity: event.fields.capacity,
                people: HashMap::new(),
                line: BTreeMap::new(),
                bans: HashMap::new(),
                removed: HashSet::new(),
                active: 0,
                promotion_due: false,
            };
            self.events.insert(fact.event, plain);
        }
        let Some(event) = self.events.get_mut(&fact.event) else {
            let wrong = format!("event {} has a fact before it was created", fact.event);
            return Err((Invariant::SequenceWithoutGap, wrong));
        };
        event.seq = fact.event_seq;
        event.take(fact)
    }
}

impl PlainEvent {
    fn take(&mut self, fact: &Fact) -> Result<(), Wrong> {
        let active_before = self.active;
        let mut promoted = 0;
        for change in &fact.changes {
            match change {
                Change::Event { event, .. } => {
                    self.status = event.status;
                    self.capacity = event.fields.capacity;
                }
                Change::Registration { cause, registration, position, .. } => {
                    promoted += usize::from(*cause == RegistrationCause::Promoted);
                    self.move_person(*cause, registration, *position, fact.at)?;
                }
                Change::Banned(ban) => {
                    self.bans.insert(ban.user, ban.expires_at);
                }
                Change::Unbanned { user } => {
                    self.bans.remove(user);
                }
                Change::Message { .. } => {}
            }
        }
        self.check_capacity(active_before)?;
        self.check_line(promoted)?;
        self.check_bans(fact)?;
        let waiting = self.line.len() as u32;
        if (fact.counters.active, fact.counters.waiting) != (self.active, waiting) {
            let wrong = format!(
                "the fact counts {} active and {} waiting, the registrations {} and {waiting}",
                fact.counters.active, fact.counters.waiting, self.active
            );
            return Err((Invariant::CountersAddUp, wrong));
        }
        Ok(())
    }

    fn move_person(
        &mut self,
        cause: RegistrationCause,
        row: &Registration,
        position: Option<u32>,
        at: Timestamp,
    ) -> Result<(), Wrong> {
        let user = row.user;
        let before = self.people.insert(user, row.status);
        let was_in_line = before == Some(RegistrationStatus::Waitlisted);
        if cause == RegistrationCause::Promoted {
            let head = self.line.first_key_value().map(|(_, head)| *head);
            if head != Some(user) {
                let wrong = format!("{user} was promoted, the head of the line is {head:?}");
                return Err((Invariant::FirstInFirstOut, wrong));
            }
        }
        if cause == RegistrationCause::Joined {
            self.check_join(before, row, position, at)?;
        }
        match cause {
            RegistrationCause::Kicked => {
                self.removed.insert(user);
            }
            // From here on only the ban counts.
            RegistrationCause::Banned | RegistrationCause::Lifted => {
                self.removed.remove(&user);
            }
            _ => {}
        }
        if was_in_line {
            self.line.retain(|_, waiting| *waiting != user);
        }
        if before == Some(RegistrationStatus::Active) {
            self.active -= 1;
        }
        match (row.status, row.ticket) {
            (RegistrationStatus::Active, None) => self.active += 1,
            (RegistrationStatus::Waitlisted, Some(ticket)) => {
                self.line.insert(ticket, user);
            }
            (RegistrationStatus::Active | RegistrationStatus::Waitlisted, ticket) => {
                let wrong = format!("{user} is {} with ticket {ticket:?}", row.status.as_str());
                return Err((Invariant::FirstInFirstOut, wrong));
            }
            _ => {}
        }
        Ok(())
    }

    fn check_join(
        &self,
        before: Option<RegistrationStatus>,
        row: &Registration,
        position: Option<u32>,
        at: Timestamp,
    ) -> Result<(), Wrong> {
        let user = row.user;
        if before.is_some_and(RegistrationStatus::is_living) {
            let wrong = format!("{user} joined and had a registration already");
            return Err((Invariant::OneRegistration, wrong));
        }
        let ban = self.bans.get(&user);
        if ban.is_some_and(|expiry| expiry.is_none_or(|expiry| at < expiry)) {
            return Err((Invariant::KeptOut, format!("{user} joined and is banned")));
        }
        if self.removed.contains(&user) {
            return Err((Invariant::KeptOut, format!("{user} joined and was removed")));
        }
        if row.status == RegistrationStatus::Active && !self.line.is_empty() {
            let wrong = format!("{user} got a place past {} people waiting", self.line.len());
            return Err((Invariant::FirstInFirstOut, wrong));
        }
        if row.status == RegistrationStatus::Waitlisted {
            let last = self.line.last_key_value().map(|(ticket, _)| *ticket);
            let is_last = row.ticket > last;
            if !is_last || position != Some(self.line.len() as u32 + 1) {
                let wrong = format!(
                    "{user} joined {} people in the line with ticket {:?} at position {position:?}",
                    self.line.len(),
                    row.ticket
                );
                return Err((Invariant::FirstInFirstOut, wrong));
            }
        }
        Ok(())
    }

    fn free(&self) -> u32 {
        match self.capacity {
            Capacity::Unlimited => u32::MAX,
            Capacity::Limited(places) => places.saturating_sub(self.active),
        }
    }

    fn check_capacity(&self, active_before: u32) -> Result<(), Wrong> {
        match self.capacity {
            Capacity::Limited(places) if self.active > places && self.active > active_before => {
                let wrong = format!("{} people have one of {places} places", self.active);
                Err((Invariant::WithinCapacity, wrong))
            }
            _ => Ok(()),
        }
    }

    /// Somebody waits beside a free place only while a step is due, and only a full step or a
    /// change of the places makes the next one due.
    fn check_line(&mut self, promoted: usize) -> Result<(), Wrong> {
        let is_over = matches!(self.status, EventStatus::Canceled | EventStatus::Ended);
        let waits_in_vain = !is_over && self.free() > 0 && !self.line.is_empty();
        if waits_in_vain && promoted < STEP_PEOPLE && !self.promotion_due {
            let wrong = format!("{} wait beside {} free places", self.line.len(), self.free());
            return Err((Invariant::NobodyWaitsInVain, wrong));
        }
        self.promotion_due = waits_in_vain;
        Ok(())
    }

    fn check_bans(&self, fact: &Fact) -> Result<(), Wrong> {
        let banned = fact.changes.iter().find_map(|change| match change {
            Change::Banned(ban) => Some(ban.user),
            _ => None,
        });
        let kicked = fact.changes.iter().find_map(|change| match change {
            Change::Registration { cause: RegistrationCause::Kicked, registration, .. } => {
                Some(registration.user)
            }
            _ => None,
        });
        let inside = [banned, kicked]
            .into_iter()
            .flatten()
            .find(|user| self.people.get(user).is_some_and(|status| status.is_living()));
        match inside {
            Some(user) => Err((Invariant::KeptOut, format!("{user} is kept out and still in"))),
            None => Ok(()),
        }
    }
}
