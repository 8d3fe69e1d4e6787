//! The rows, one struct a table, and how they are written.

use cityevents_domain::event::{Counters, Event};
use cityevents_domain::fact::Outcome;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::{
    Ban, Registration, RegistrationCause, RegistrationStatus, SealedText,
};
use cityevents_domain::time::Timestamp;

/// Which of two writes of one row counts: the higher. Its unit is the writer's business, as long as
/// it rises with the history of the row: `event_seq` for rows from facts, the offset of the command
/// for outcomes, the offset of the fact for progress. No clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteTimestamp(pub u64);

/// One row to be written. Two mutations of one row with equal timestamps have the same row, by
/// contract; where they have not, the one whose encoded row is the greater counts, so that all
/// replicas of a table still agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// The whole row.
    pub row: Row,
    /// Which write of it counts.
    pub timestamp: WriteTimestamp,
}

impl Mutation {
    /// A row and its timestamp.
    pub fn new(row: impl Into<Row>, timestamp: WriteTimestamp) -> Self {
        Self { row: row.into(), timestamp }
    }
}

/// A row of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Key: event.
    Event(Box<EventRow>),
    /// Key: event, user.
    Registration(RegistrationRow),
    /// Key: event, user.
    Ban(BanRow),
    /// Key: event.
    Counters(CountersRow),
    /// Key: command.
    Outcome(Box<OutcomeRow>),
    /// Key: projection, partition.
    Progress(ProgressRow),
    /// Key: list, partition, slot.
    Trend(Box<TrendRow>),
    /// Key: person.
    Profile(ProfileRow),
}

macro_rules! into_row {
    ($($name:ident($row:ty) = $wrap:expr;)*) => {
        $(impl From<$row> for Row {
            fn from(row: $row) -> Self {
                Self::$name($wrap(row))
            }
        })*
    };
}

into_row! {
    Event(EventRow) = Box::new;
    Registration(RegistrationRow) = std::convert::identity;
    Ban(BanRow) = std::convert::identity;
    Counters(CountersRow) = std::convert::identity;
    Outcome(OutcomeRow) = Box::new;
    Progress(ProgressRow) = std::convert::identity;
    Trend(TrendRow) = Box::new;
    Profile(ProfileRow) = std::convert::identity;
}

/// An event. Its owner and the time of its creation never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The event, without counters.
    pub event: Event,
    /// Of the fact that changed the row last.
    pub event_seq: u64,
}

/// What the registrations of an event add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountersRow {
    /// Which event.
    pub event: EventId,
    /// The sums.
    pub counters: Counters,
    /// Of the fact that changed the row last.
    pub event_seq: u64,
}

/// Where a person stands with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationRow {
    /// Which event.
    pub event: EventId,
    /// The registration.
    pub registration: Registration,
    /// What changed it last.
    pub cause: RegistrationCause,
    /// While waiting: the position at the time of the fact that changed the row last. The person
    /// has moved up since then, so it is a bound and not the position now.
    pub position: Option<u32>,
    /// Why it changed, sealed with the person's key.
    pub reason: Option<SealedText>,
}

impl RegistrationRow {
    /// The ticket in the line, if the person is in it.
    pub fn line_ticket(&self) -> Option<u32> {
        let waits = self.registration.status == RegistrationStatus::Waitlisted;
        self.registration.ticket.filter(|_| waits)
    }
}

/// Whether a person is kept out of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanRow {
    /// Which event.
    pub event: EventId,
    /// Who.
    pub user: UserId,
    /// The ban; `None` once it was lifted.
    pub ban: Option<Ban>,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeRow {
    /// Which command.
    pub command: CommandId,
    /// Its event, if that is known.
    pub event: Option<EventId>,
    /// Who gave it; the outcome is shown to nobody else.
    pub user: Option<UserId>,
    /// What came of it.
    pub verdict: OutcomeVerdict,
    /// Log time of the decision.
    pub at: Timestamp,
    /// From when on the row does not exist any more. Never falls from one write of a row to the
    /// next.
    pub expires_at: Timestamp,
}

/// The verdicts on a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeVerdict {
    /// Something changed.
    Accepted(Outcome),
    /// Success, and nothing changed.
    Unchanged(Outcome),
    /// Nothing changed, and why.
    Refused(Refusal),
    /// The command could not be read.
    Undecodable,
}

/// How far a projection has come in one partition: all rows of the facts before `next_offset` are
/// written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressRow {
    /// Which projection.
    pub projection: String,
    /// Which partition of its source.
    pub partition: u32,
    /// The offset to be read next.
    pub next_offset: u64,
    /// Where the chain stands, in the words of the one who reads it.
    pub cursor: String,
}

/// One slot of a list of what is talked about. Each partition of the source has slots of its own in
/// each list, so many and no more; they are overwritten and never deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrendRow {
    /// The city of the list, folded; empty for the list of all cities.
    pub list: String,
    /// Which partition of the source.
    pub partition: u32,
    /// Which slot. Slots are no ranks.
    pub slot: u32,
    /// What stands in it; `None` while it is empty.
    pub entry: Option<TrendEntry>,
}

/// How much an event is talked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrendEntry {
    /// Which event.
    pub event: EventId,
    /// Its category.
    pub category: String,
    /// When it starts.
    pub start_time: Timestamp,
    /// When it ends.
    pub end_time: Timestamp,
    /// Its score, in millionths.
    pub score: u64,
    /// Who joined within 24 hours and is still there.
    pub joins_24h: u32,
    /// Who joined within 7 days and is still there.
    pub joins_7d: u32,
    /// Who looked at it within 24 hours.
    pub views_24h: u32,
    /// When it was worked out.
    pub updated_at: Timestamp,
}

/// What somebody, with or without an account, did lately that tells of what they like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRow {
    /// Who.
    pub person: [u8; 16],
    /// What they did, in the order of time.
    pub signals: Vec<ProfileSignal>,
    /// The latest time of a signal.
    pub at: Timestamp,
    /// From when on the row does not exist any more.
    pub expires_at: Timestamp,
}

/// Something that a person did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileSignal {
    /// When.
    pub at: Timestamp,
    /// Whether they joined; else they looked.
    pub is_join: bool,
    /// Stands for the event: the last bytes of its id.
    pub event: [u8; 8],
    /// The category that the event had then.
    pub category: String,
}

/// The key that seals free text about one person.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PersonKey(pub [u8; 32]);

impl std::fmt::Debug for PersonKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PersonKey(…)")
    }
}
