//! One event: its counters, and its line if anybody waits.

use std::collections::HashMap;

use cityevents_domain::event::{Counters, EventStatus};
use cityevents_domain::fact::{Change, Fact};
use cityevents_domain::ids::UserId;
use cityevents_domain::registration::Registration;
use cityevents_domain::state::Line;

use super::series::{Minute, Series};

/// What is kept of an event. Millions of them fit, so that most have no line at all.
#[derive(Debug)]
pub(super) struct EventLine {
    partition: u32,
    status: EventStatus,
    counters: Counters,
    /// Of the fact that changed the event itself last.
    changed_seq: u64,
    /// Of the event itself.
    version: u32,
    waiting: Option<Box<Waiting>>,
    series: Option<Box<Series>>,
}

/// Who waits, by ticket and by person.
#[derive(Debug, Default)]
struct Waiting {
    line: Line,
    tickets: HashMap<UserId, u32>,
}

impl EventLine {
    /// An event that was just made.
    pub(super) fn new(partition: u32) -> Self {
        Self {
            partition,
            status: EventStatus::Draft,
            counters: Counters::default(),
            changed_seq: 0,
            version: 0,
            waiting: None,
            series: None,
        }
    }

    /// Which partition tells of it.
    pub(super) fn partition(&self) -> u32 {
        self.partition
    }

    /// What its registrations add up to.
    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// Which fact changed the event itself last.
    pub(super) fn changed_seq(&self) -> u64 {
        self.changed_seq
    }

    /// The version of the event itself.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// Whether it took place, and is over.
    pub(super) fn has_ended(&self) -> bool {
        self.status == EventStatus::Ended
    }

    /// The 1-based position of somebody who waits.
    pub(super) fn position(&self, user: &UserId) -> Option<u32> {
        let waiting = self.waiting.as_deref()?;
        waiting.line.position(*waiting.tickets.get(user)?)
    }

    /// What happened each minute.
    pub(super) fn minutes(&self) -> Vec<Minute> {
        self.series.as_deref().map(Series::minutes).unwrap_or_default()
    }

    /// How many stand in the line.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting.as_deref().map_or(0, |waiting| waiting.line.len())
    }

    /// Bytes of the line and of the way into it.
    pub(super) fn line_bytes(&self) -> usize {
        self.waiting.as_deref().map_or(0, |waiting| {
            // One byte of control beside each place of the table.
            let place = size_of::<(UserId, u32)>() + 1;
            let tickets = waiting.tickets.capacity() * 8 / 7 * place;
            size_of::<Waiting>() + waiting.line.heap_bytes() + tickets
        })
    }

    /// Folds a fact. Returns whether the event is over, so that nothing will be asked of its line.
    pub(super) fn apply(&mut self, fact: &Fact) -> bool {
        for change in &fact.changes {
            match change {
                Change::Event { event, .. } => {
                    self.status = event.status;
                    self.changed_seq = fact.event_seq;
                    self.version = event.version;
                }
                Change::Registration { cause, registration, .. } => {
                    self.put(registration);
                    self.series.get_or_insert_default().count(*cause, fact.at);
                }
                Change::Banned(_) | Change::Unbanned { .. } | Change::Message { .. } => {}
            }
        }
        self.counters = fact.counters;
        match self.status {
            EventStatus::Draft | EventStatus::Published => false,
            EventStatus::Ended => true,
            EventStatus::Canceled => self.counters.active + self.counters.waiting == 0,
        }
    }

    fn put(&mut self, row: &Registration) {
        if let Some(waiting) = self.waiting.as_deref_mut()
            && let Some(ticket) = waiting.tickets.remove(&row.user)
        {
            waiting.line.remove(ticket);
        }
        if let Some(ticket) = row.ticket {
            let waiting = self.waiting.get_or_insert_default();
            waiting.line.push(ticket, 0);
            waiting.tickets.insert(row.user, ticket);
        }
        match self.waiting.as_deref_mut() {
            Some(waiting) if waiting.line.is_empty() => self.waiting = None,
            Some(waiting) => waiting.shrink(),
            None => {}
        }
    }
}

impl Waiting {
    /// After a drop most of the table is empty: gives the memory back, seldom enough to cost
    /// nothing.
    fn shrink(&mut self) {
        const SLACK: usize = 64;
        if self.tickets.capacity() > SLACK + 4 * self.tickets.len() {
            self.tickets.shrink_to(2 * self.tickets.len());
        }
    }
}
