//! Tables: what the log says, as rows that answer by key.
//!
//! Narrow traits per table ([`tables`]), with two adapters here: [`embedded`] on an LSM tree in a
//! folder, and [`memory`]. Both pass one contract suite (feature `testing`), and so must any later
//! one. The contract is written so that it fits CQL too:
//!
//! - A table is a partition key, a clustering key and a row. Nothing is joined, and nothing is
//!   scanned but a range of clustering keys.
//! - A [`row::Mutation`] carries a whole row and a write timestamp; the highest timestamp wins, row
//!   by row. So mutations may come twice, late, in any order and from two writers at once.
//! - Nothing is deleted: rows have states. What expires says when, and readers pass the time.
//! - Listings follow from the rows alone. A registration moves among those of its event when it is
//!   joined anew; a mutation does not say from where, since its writer keeps no state. The embedded
//!   adapter looks at the row before and takes the old place away in the same batch. An adapter that
//!   cannot do that (CQL: a read before a write races) writes the new place only and lets readers
//!   check each place against its row: a place that its row does not confirm is skipped, and taken
//!   away with its own timestamp.
//! - The one thing that is decided by who comes first, the key of a person, has a table of its own
//!   that is never written otherwise ([`tables::PersonKeys`]).
//!
//! Rows can be rebuilt from the log at any time, so writing them waits for no disk; the keys of
//! persons cannot, so writing those does.

pub mod codec;
pub mod embedded;
mod error;
pub mod memory;
mod query;
pub mod records;
pub mod row;
pub mod scylla;
pub mod staff_acts;
mod switch;
pub mod tables;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;

use std::path::Path;
use std::sync::Arc;

use cityevents_kit::Breaker;
use cityevents_kit::telemetry::MetricsRegistry;
pub use error::ViewsError;
pub use query::{
    OwnEventPosition, OwnEventsQuery, OwnJoinPosition, Page, ParticipantPosition, ParticipantsQuery,
};
pub use records::Records;
pub use row::{
    BanRow, CountersRow, EventRow, Mutation, OutcomeRow, OutcomeVerdict, PersonKey, ProfileRow,
    ProfileSignal, ProgressRow, RegistrationRow, Row, TrendEntry, TrendRow, WriteTimestamp,
};
pub use switch::{Current, Switch};
pub use tables::{
    BoxFuture, PersonKeys, ReadBans, ReadCounters, ReadEvents, ReadOutcomes, ReadProfiles,
    ReadProgress, ReadRegistrations, ReadTrends, WriteTables,
};

/// All tables of one adapter. Cheap to clone.
#[derive(Clone)]
pub struct Views {
    /// Writes every table but the keys of persons.
    pub write: Arc<dyn WriteTables>,
    /// Events, and those of one person.
    pub events: Arc<dyn ReadEvents>,
    /// Registrations, by event, by person, and the line.
    pub registrations: Arc<dyn ReadRegistrations>,
    /// Who is kept out.
    pub bans: Arc<dyn ReadBans>,
    /// What the registrations of an event add up to.
    pub counters: Arc<dyn ReadCounters>,
    /// What came of a command.
    pub outcomes: Arc<dyn ReadOutcomes>,
    /// The keys that seal free text about persons.
    pub person_keys: Arc<dyn PersonKeys>,
    /// How far projections have come.
    pub progress: Arc<dyn ReadProgress>,
    /// What is talked about.
    pub trends: Arc<dyn ReadTrends>,
    /// What people like.
    pub profiles: Arc<dyn ReadProfiles>,
    /// Accounts, sessions, and what else people change and no log says.
    pub records: Arc<dyn Records>,
}

impl Views {
    /// Tables in a folder of their own, made if it is not there.
    pub fn embedded(dir: &Path, options: embedded::Options) -> Result<Self, ViewsError> {
        embedded::EmbeddedViews::open(dir, options).map(Self::of)
    }

    /// Tables in ScyllaDB or Apache Cassandra, which must have them: see [`scylla::migrate`]. To be
    /// called within a tokio runtime, which then does all the work, whoever polls the answers.
    pub async fn scylla(
        options: scylla::ScyllaOptions,
        breaker: Breaker,
        metrics: &MetricsRegistry,
    ) -> Result<Self, ViewsError> {
        scylla::ScyllaViews::connect(options, breaker, metrics).await.map(Self::of)
    }

    /// Tables in memory, empty.
    pub fn memory() -> Self {
        Self::of(memory::MemoryViews::default())
    }

    /// The tables of an adapter that has them all.
    pub fn of<T>(adapter: T) -> Self
    where
        T: WriteTables
            + ReadEvents
            + ReadRegistrations
            + ReadBans
            + ReadCounters
            + ReadOutcomes
            + PersonKeys
            + ReadProgress
            + ReadTrends
            + ReadProfiles
            + Records
            + 'static,
    {
        Self::of_shared(Arc::new(adapter))
    }

    /// The tables of an adapter that somebody else has too.
    pub fn of_shared<T>(adapter: Arc<T>) -> Self
    where
        T: WriteTables
            + ReadEvents
            + ReadRegistrations
            + ReadBans
            + ReadCounters
            + ReadOutcomes
            + PersonKeys
            + ReadProgress
            + ReadTrends
            + ReadProfiles
            + Records
            + 'static,
    {
        Self {
            write: adapter.clone(),
            events: adapter.clone(),
            registrations: adapter.clone(),
            bans: adapter.clone(),
            counters: adapter.clone(),
            outcomes: adapter.clone(),
            person_keys: adapter.clone(),
            progress: adapter.clone(),
            trends: adapter.clone(),
            profiles: adapter.clone(),
            records: adapter,
        }
    }
}
