//! The traits, one a table and direction. All can be used as trait objects.
//!
//! The embedded adapter and the one in memory do their work when a future is polled first, on the
//! thread that polls it, and never wait for anything but the disk.

use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;

pub use futures::future::BoxFuture;

use crate::error::ViewsError;
use crate::query::{
    OwnEventPosition, OwnEventsQuery, OwnJoinPosition, Page, ParticipantPosition, ParticipantsQuery,
};
use crate::row::{
    BanRow, CountersRow, EventRow, Mutation, OutcomeRow, PersonKey, ProfileRow, ProgressRow,
    RegistrationRow, TrendEntry,
};

/// Most rows that one page looks at.
pub const SCANNED_ROWS_MAX: usize = 10_000;

/// How many items a page may have: at least one, and no more than it may look at.
pub(crate) fn page_limit(asked: usize) -> usize {
    asked.clamp(1, SCANNED_ROWS_MAX)
}

/// An expired row stays this much longer at least: the clocks of readers may lag behind log time,
/// and until they have passed the expiry they must find it.
pub const EXPIRY_SLACK_MS: i64 = 3_600_000;

/// Writing.
pub trait WriteTables: Send + Sync {
    /// Writes rows. Idempotent, and free of order: what a table says afterwards depends only on
    /// which mutations were written, not on when, how often and in which calls.
    ///
    /// When this has returned, readers see all of it. On an error some of it may be written, and
    /// writing all of it again is right.
    fn write(&self, mutations: Vec<Mutation>) -> BoxFuture<'_, Result<(), ViewsError>>;

    /// Makes durable what was written before. Nobody has to: rows can be rebuilt from the log, and
    /// progress never becomes durable before the rows that were written before it.
    fn flush(&self) -> BoxFuture<'_, Result<(), ViewsError>>;
}

/// Events, and those of one person. What is public is listed by an index elsewhere.
pub trait ReadEvents: Send + Sync {
    /// One event, in any state.
    fn event(&self, event: EventId) -> BoxFuture<'_, Result<Option<EventRow>, ViewsError>>;

    /// The events of one person in any state, the newest first.
    fn own_events(
        &self,
        query: OwnEventsQuery,
    ) -> BoxFuture<'_, Result<Page<EventRow, OwnEventPosition>, ViewsError>>;
}

/// Registrations.
pub trait ReadRegistrations: Send + Sync {
    /// Where one person stands with one event.
    fn registration(
        &self,
        event: EventId,
        user: UserId,
    ) -> BoxFuture<'_, Result<Option<RegistrationRow>, ViewsError>>;

    /// The people of an event in the order of joining, then by id.
    fn participants(
        &self,
        query: ParticipantsQuery,
    ) -> BoxFuture<'_, Result<Page<RegistrationRow, ParticipantPosition>, ViewsError>>;

    /// The registrations of one person, the last joined first.
    fn own_joins(
        &self,
        user: UserId,
        after: Option<OwnJoinPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Page<RegistrationRow, OwnJoinPosition>, ViewsError>>;

    /// The line of an event from its head, behind the ticket `after`.
    fn waitlist(
        &self,
        event: EventId,
        after: Option<u32>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Page<RegistrationRow, u32>, ViewsError>>;
}

/// Bans.
pub trait ReadBans: Send + Sync {
    /// Whether one person is kept out of one event; `None` as well once it was lifted. A ban may
    /// have run out: the reader compares `expires_at`.
    fn ban(
        &self,
        event: EventId,
        user: UserId,
    ) -> BoxFuture<'_, Result<Option<BanRow>, ViewsError>>;

    /// Those kept out of an event, by id, behind `after`.
    fn bans(
        &self,
        event: EventId,
        after: Option<UserId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Page<BanRow, UserId>, ViewsError>>;
}

/// Counters.
pub trait ReadCounters: Send + Sync {
    /// What the registrations of an event add up to.
    fn counters(&self, event: EventId) -> BoxFuture<'_, Result<Option<CountersRow>, ViewsError>>;
}

/// Outcomes of commands.
pub trait ReadOutcomes: Send + Sync {
    /// What came of a command, unless that has expired at `now`.
    fn outcome(
        &self,
        command: CommandId,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<OutcomeRow>, ViewsError>>;
}

/// How far projections have come.
pub trait ReadProgress: Send + Sync {
    /// One partition of one projection.
    fn progress(
        &self,
        projection: String,
        partition: u32,
    ) -> BoxFuture<'_, Result<Option<ProgressRow>, ViewsError>>;
}

/// What is talked about.
pub trait ReadTrends: Send + Sync {
    /// What stands in the slots of a city's list, or of the list of all cities, of all partitions
    /// together and in no particular order.
    fn trends(&self, city: Option<String>) -> BoxFuture<'_, Result<Vec<TrendEntry>, ViewsError>>;
}

/// What people like.
pub trait ReadProfiles: Send + Sync {
    /// What somebody did lately, unless that has expired at `now`.
    fn profile(
        &self,
        person: [u8; 16],
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<ProfileRow>, ViewsError>>;
}

/// The keys that seal free text about persons. Durable when a call returns: they are nowhere else.
pub trait PersonKeys: Send + Sync {
    /// The key of a person; `None` if there is none, or if it was erased.
    fn person_key(&self, user: UserId) -> BoxFuture<'_, Result<Option<PersonKey>, ViewsError>>;

    /// Gives a person `key` unless there is one, and returns the key that counts. `None`: the
    /// person was erased and never gets a key again, so there is nothing to seal with.
    fn insert_person_key_if_absent(
        &self,
        user: UserId,
        key: PersonKey,
    ) -> BoxFuture<'_, Result<Option<PersonKey>, ViewsError>>;

    /// Erases the key of a person: nothing that it sealed can be read any more.
    fn erase_person_key(&self, user: UserId) -> BoxFuture<'_, Result<(), ViewsError>>;
}
