//! What the log says of the events of one load: every verdict by command, and what a plain count of
//! places and lines finds wrong with the facts, in the order of the log.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::ensure;
use cityevents_domain::event::Capacity;
use cityevents_domain::fact::{Change, Fact, Outcome};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::{Registration, RegistrationCause, RegistrationStatus};
use cityevents_runtime::follower::Follower;
use cityevents_runtime::log::{PollLimit, TopicPartition};
use cityevents_schemas::message::{Closed, ClosedVerdict, decode_link};

use crate::admin::Context;

const READ: PollLimit = PollLimit { records: 8_192, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(1);
/// Time for the log to give what is below its watermark, brokers just restarted.
const GIVEN_WITHIN: Duration = Duration::from_secs(60);
/// A refusal because of which nobody may have been able to join.
const FULL: &str = "event_full";

/// A command that was carried out.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub(super) outcome: Outcome,
    pub(super) place: Place,
}

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: u32,
    pub(super) offset: u64,
}

/// A command without effect, once: it may have been given several times.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) place: Place,
}

/// What the log says.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) accepted: HashMap<CommandId, Accepted>,
    pub(super) refused: HashMap<CommandId, Vec<Refused>>,
    /// Records of the facts that do not count.
    pub(super) unlinked: u64,
    /// Commands that have no verdict yet.
    pub(super) undecided: u64,
    /// Next offset of the facts of each partition.
    pub(super) ends: Vec<u64>,
    /// Somebody got a place, or a position, twice.
    pub(super) doubled: u64,
    /// More people with a place than places.
    pub(super) oversold: u64,
    /// Somebody got past the line, or was refused while there was room.
    pub(super) overtaken: u64,
    events: HashMap<EventId, Plain>,
}

/// One event, plainly.
#[derive(Debug, Default)]
struct Plain {
    places: Option<u32>,
    line_max: usize,
    active: HashSet<UserId>,
    line: BTreeMap<u32, UserId>,
}

impl History {
    /// Reads everything that the log has now, and keeps what concerns these events.
    pub(super) fn read(context: &Context, events: &HashSet<EventId>) -> anyhow::Result<Self> {
        let mut history = Self::default();
        for partition in 0..context.partitions {
            history.read_partition(context, partition, events)?;
        }
        Ok(history)
    }

    fn read_partition(
        &mut self,
        context: &Context,
        partition: u32,
        events: &HashSet<EventId>,
    ) -> anyhow::Result<()> {
        let source = &context.source;
        let facts = TopicPartition::new(source.facts.clone(), partition);
        let commands = TopicPartition::new(source.commands.clone(), partition);
        let decided_up_to = source.log.watermarks(&commands)?.high;
        let high = source.log.watermarks(&facts)?.high;
        let metrics = source.metrics.follower("chaos");
        let mut follower =
            Follower::open(&*source.log, &facts, None, source.clock.clone(), metrics)?;
        let mut links = Vec::new();
        let mut given_at = Instant::now();
        while follower.offset() < high {
            links.clear();
            let records = follower.poll(READ, READ_WAIT, &mut links)?.records;
            if records > 0 {
                given_at = Instant::now();
            }
            ensure!(given_at.elapsed() < GIVEN_WITHIN, "{facts} gives nothing below {high}");
            self.unlinked += (records - links.len()) as u64;
            for linked in &links {
                let link = decode_link(linked.record.value.as_deref().unwrap_or_default())?;
                let place = Place { partition, offset: linked.record.offset };
                for closed in &link.closed {
                    if closed.event.is_some_and(|event| events.contains(&event)) {
                        self.take_closed(closed, place);
                    }
                }
                if let Some(fact) = link.fact.filter(|fact| events.contains(&fact.event)) {
                    self.take_fact(fact, place);
                }
            }
        }
        let next = follower.position().map_or(0, |position| position.cursor.next_command());
        self.undecided += decided_up_to.saturating_sub(next);
        self.ends.push(high);
        Ok(())
    }

    fn take_closed(&mut self, closed: &Closed, place: Place) {
        let Some(command) = closed.command else { return };
        match &closed.verdict {
            ClosedVerdict::Refused(refusal) => {
                let code = refusal.code();
                self.refused.entry(command).or_default().push(Refused { code, place });
                let event = closed.event.and_then(|event| self.events.get(&event));
                if code == FULL && event.is_some_and(Plain::has_room) {
                    self.overtaken += 1;
                }
            }
            ClosedVerdict::Unchanged(_) | ClosedVerdict::Undecodable => {}
        }
    }

    fn take_fact(&mut self, fact: Fact, place: Place) {
        let event = self.events.entry(fact.event).or_default();
        for change in &fact.changes {
            match change {
                Change::Event { event: row, .. } => {
                    event.places = match row.fields.capacity {
                        Capacity::Unlimited => None,
                        Capacity::Limited(places) => Some(places),
                    };
                    event.line_max = row.fields.waitlist_limit() as usize;
                }
                Change::Registration { cause, registration, .. } => {
                    let wrong = event.take(*cause, registration);
                    self.doubled += u64::from(wrong == Some(Wrong::Doubled));
                    self.oversold += u64::from(wrong == Some(Wrong::Oversold));
                    self.overtaken += u64::from(wrong == Some(Wrong::Overtaken));
                }
                Change::Banned(_) | Change::Unbanned { .. } | Change::Message { .. } => {}
            }
        }
        let is_person = fact.actor.user().is_some();
        let accepted = Accepted { outcome: fact.outcome, place };
        if self.accepted.insert(fact.command, accepted).is_some() && is_person {
            self.doubled += 1;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Doubled,
    Oversold,
    Overtaken,
}

impl Plain {
    fn free(&self) -> bool {
        self.places.is_none_or(|places| self.active.len() < places as usize)
    }

    fn has_room(&self) -> bool {
        (self.free() && self.line.is_empty()) || self.line.len() < self.line_max
    }

    fn take(&mut self, cause: RegistrationCause, row: &Registration) -> Option<Wrong> {
        let mut wrong = None;
        let ticket =
            self.line.iter().find(|(_, user)| **user == row.user).map(|(ticket, _)| *ticket);
        match cause {
            RegistrationCause::Joined => {
                if self.active.contains(&row.user) || ticket.is_some() {
                    wrong = Some(Wrong::Doubled);
                } else if row.status == RegistrationStatus::Active && !self.line.is_empty() {
                    wrong = Some(Wrong::Overtaken);
                }
                let last = self.line.last_key_value().map(|(ticket, _)| *ticket);
                if row.status == RegistrationStatus::Waitlisted && row.ticket <= last {
                    wrong = Some(Wrong::Overtaken);
                }
            }
            RegistrationCause::Promoted => {
                let head = self.line.first_key_value().map(|(_, head)| *head);
                if head != Some(row.user) {
                    wrong = Some(Wrong::Overtaken);
                }
            }
            _ => {}
        }
        if let Some(ticket) = ticket {
            self.line.remove(&ticket);
        }
        self.active.remove(&row.user);
        match (row.status, row.ticket) {
            (RegistrationStatus::Active, _) => {
                if !self.free() {
                    wrong = Some(Wrong::Oversold);
                }
                self.active.insert(row.user);
            }
            (RegistrationStatus::Waitlisted, Some(ticket)) => {
                self.line.insert(ticket, row.user);
            }
            _ => {}
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use cityevents_domain::time::Timestamp;

    use super::*;

    fn row(user: u8, status: RegistrationStatus, ticket: Option<u32>) -> Registration {
        let at = Timestamp::from_millis(0);
        Registration {
            user: UserId::from_bytes([user; 16]),
            status,
            joined_at: at,
            updated_at: at,
            ticket,
            checked_in_at: None,
        }
    }

    #[test]
    fn whoever_gets_too_much_or_comes_too_early_is_found() {
        use RegistrationCause::{Joined, Left, Promoted};
        use RegistrationStatus::{Active, Canceled, Waitlisted};
        let mut event = Plain { places: Some(1), line_max: 2, ..Plain::default() };
        assert!(event.has_room());
        assert_eq!(event.take(Joined, &row(1, Active, None)), None);
        assert_eq!(event.take(Joined, &row(1, Active, None)), Some(Wrong::Doubled));
        assert_eq!(event.take(Joined, &row(2, Waitlisted, Some(0))), None);
        assert_eq!(event.take(Joined, &row(3, Waitlisted, Some(1))), None);
        assert!(!event.has_room());
        assert_eq!(event.take(Left, &row(1, Canceled, None)), None);
        assert_eq!(event.take(Promoted, &row(3, Active, None)), Some(Wrong::Overtaken));
        assert_eq!(event.take(Promoted, &row(2, Active, None)), Some(Wrong::Oversold));
        let mut event = Plain { places: Some(2), line_max: 2, ..Plain::default() };
        assert_eq!(event.take(Joined, &row(1, Waitlisted, Some(5))), None);
        assert_eq!(event.take(Joined, &row(2, Active, None)), Some(Wrong::Overtaken));
        assert_eq!(event.take(Joined, &row(3, Waitlisted, Some(4))), Some(Wrong::Overtaken));
    }
}
