//! What people were shown and looked at: `POST /api/feed/track`.
//!
//! - A signal goes to the log as it is, keyed by its event, and the answer comes when the log has it:
//!   what was answered with 202 is never lost, and may come twice when somebody sends it again. A
//!   person's views of an event count once a day, so that does no harm.
//! - Whose signal it is, nobody can choose: a bearer says it, or a cookie that this service signed.
//!   Signals under a cookie that proves nothing are dropped and counted.
//! - Whether there is such an event is not known here; who folds the signals drops the others.
//!
//! The records have no CloudEvents headers: they would be longer than what they describe.

mod limits;
mod log;
mod metrics;
mod routes;
mod signals;

use std::sync::Arc;

use cityevents_kit::config::Limits;
use cityevents_kit::seal::VisitorCookies;
use utoipa_axum::router::OpenApiRouter;

pub use self::log::{EngagementLog, TrackError};
pub use self::metrics::TrackMetrics;
pub use self::signals::{SIGNALS_MAX, parse};

use self::limits::TrackLimits;

/// What the call needs. Cheap to clone.
#[derive(Clone)]
pub struct Track {
    inner: Arc<Inner>,
}

struct Inner {
    log: EngagementLog,
    visitors: VisitorCookies,
    limits: TrackLimits,
    metrics: TrackMetrics,
}

impl Track {
    /// Puts it together.
    pub fn new(
        log: EngagementLog,
        visitors: VisitorCookies,
        limits: &Limits,
        metrics: TrackMetrics,
    ) -> Self {
        let limits = TrackLimits::new(limits);
        Self { inner: Arc::new(Inner { log, visitors, limits, metrics }) }
    }
}

/// The call.
pub fn router(track: Track) -> OpenApiRouter {
    routes::router(track)
}
