//! What the handlers share.

use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::event::{Counters, Event};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_kit::keys::{KeyRing, Standings};
use cityevents_kit::pictures::PictureAddresses;
use cityevents_kit::seal::CursorSealer;
use cityevents_kit::{Problem, Shutdown};
use cityevents_runtime::log::clock::Clock;
use cityevents_views::{Views, ViewsError};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::identity::Names;
use crate::index::{Index, SearchError};
use crate::lines::Lines;
use crate::live::STREAMS_MAX;
use crate::metrics::ApiMetrics;
use crate::progress::ProjectionProgress;
use crate::written::{Ingredients, Written, WrittenCards};

/// When it is worth asking again after tables could not be reached.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether this process gave a person the id of a command that may not be decided yet. It is asked
/// only where no outcome is stored, so it need not know when a command was decided; it should know
/// an id for as long as outcomes are kept, within a bound.
///
/// The id of a command is derived from the request and registered nowhere, so an undecided command
/// cannot be told from one that never was, but by whoever took it in and by the receipt it gave
/// ([`cityevents_kit::seal::Receipts`]). An id that is unknown here, has no outcome and comes
/// without receipt answers `not_found`; the same write sent again under its key is always safe,
/// and tells.
pub type IsPending = dyn Fn(&CommandId, &UserId) -> bool + Send + Sync;

/// What the reads are made of.
#[derive(Clone)]
pub struct ReadsParts {
    /// The tables.
    pub views: Views,
    /// What organisers want to be called.
    pub names: Names,
    /// The public events.
    pub index: Arc<Index>,
    /// The waiting lines.
    pub lines: Arc<Lines>,
    /// How far the rows have come.
    pub progress: Arc<ProjectionProgress>,
    /// The name of the projection that writes the rows.
    pub projection: String,
    /// Seals cursors.
    pub cursors: CursorSealer,
    /// Signs tickets.
    pub keys: KeyRing,
    /// How accounts stand: a stream of somebody who is locked out ends.
    pub standings: Arc<dyn Standings>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long a read waits for rows to pass its token.
    pub consistency_wait: Duration,
    /// See [`IsPending`].
    pub is_pending: Arc<IsPending>,
    /// Given when the process is going to stop: streams end then.
    pub draining: Shutdown,
    /// Writes the addresses of covers.
    pub pictures: PictureAddresses,
    /// Figures.
    pub metrics: ApiMetrics,
}

/// The reads: what [`crate::router`] is built on. Cheap to clone.
#[derive(Clone)]
pub struct Reads {
    parts: Arc<ReadsParts>,
    /// Room for streams.
    pub(crate) streams: Arc<Semaphore>,
    cards: Arc<WrittenCards>,
}

impl Reads {
    /// Puts the parts together.
    pub fn new(parts: ReadsParts) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        Self { parts: Arc::new(parts), streams, cards: Arc::default() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.parts.clock.now_ms())
    }

    /// The newest counters: those of the line, which follows the facts by itself, and of an event
    /// that is over, those of its row.
    pub(crate) async fn counters(&self, event: EventId) -> Result<Counters, Problem> {
        if let Some(counters) = self.parts.lines.counters(&event) {
            return Ok(counters);
        }
        let row = self.parts.views.counters.counters(event).await;
        let row = row.map_err(|error| self.failed(&error))?;
        Ok(row.map(|row| row.counters).unwrap_or_default())
    }

    /// The counters of an event of the index. They come from the lines alone: a list asks nothing of
    /// the tables, and what the lines do not know has nobody.
    pub(crate) fn shown_counters(&self, event: &EventId) -> Counters {
        self.parts.lines.last_counters(event).unwrap_or_default()
    }

    /// Everything that a list shows of an event of the index.
    pub(crate) async fn shown(&self, event: Arc<Event>, now: Timestamp) -> Ingredients {
        let counters = self.shown_counters(&event.id);
        let organizer = self.names.name(&event.owner).await;
        Ingredients::new(event, counters, organizer, now)
    }

    /// An item of a list of the index as JSON, as `write` writes it unless that is known already.
    pub(crate) fn written(
        &self,
        made_of: Ingredients,
        write: impl FnOnce(&Ingredients) -> serde_json::Result<Box<RawValue>>,
    ) -> Result<Written, Problem> {
        self.cards.of(made_of, write).map_err(|error| not_written(&error))
    }

    /// The newest counters of an event that is shown by itself.
    pub(crate) async fn event_counters(&self, event: &Event) -> Result<Counters, Problem> {
        // What lists may show the lines have known, if it ever had anybody.
        match self.index.event(&event.id) {
            Some(_) => Ok(self.shown_counters(&event.id)),
            None => self.counters(event.id).await,
        }
    }

    /// A search without an answer. The cause goes to the log, once, here.
    pub(crate) fn not_searched(&self, error: &SearchError) -> Problem {
        match error {
            SearchError::TooManyWords => Problem::invalid("q", error.to_string()),
            SearchError::NotReady => Problem::unavailable("the index is not ready", RETRY_AFTER),
            SearchError::Unreadable(_) => {
                tracing::error!("{error}");
                Problem::unavailable("the index cannot be read now", RETRY_AFTER)
            }
        }
    }

    /// A failure of the tables as an answer. The cause goes to the log, once, here.
    pub(crate) fn failed(&self, error: &ViewsError) -> Problem {
        self.parts.metrics.failed(error.kind());
        tracing::error!(error.kind = error.kind(), "tables cannot be read: {error}");
        if error.is_transient() {
            let retry_after = error.retry_after().unwrap_or(RETRY_AFTER);
            Problem::unavailable("the tables cannot be reached now", retry_after)
        } else {
            Problem::internal()
        }
    }
}

/// What cannot be written as JSON. The cause goes to the log, once, here.
pub(crate) fn not_written(error: &serde_json::Error) -> Problem {
    tracing::error!("an answer cannot be written: {error}");
    Problem::internal()
}

impl std::ops::Deref for Reads {
    type Target = ReadsParts;

    fn deref(&self) -> &ReadsParts {
        &self.parts
    }
}
