//! Pictures: avatars and covers of events, from the moment that somebody asks to bring one to the
//! moment that nobody uses it any more.
//!
//! A picture is brought to an address that is good once and for minutes (`uploads`), and is never
//! shown as it came: it is decoded, turned, cut and written anew in the sizes that pages need
//! (`work`, `process`), so that nothing of what came with it is left. What is shown never changes and
//! lies under addresses that follow from the picture's id ([`cityevents_kit::pictures`]).
//!
//! - What became of a picture is a record of the tables, changed by compare and set, so that any
//!   instance answers. The bytes are in an object store; what the record does not speak of there is
//!   waste.
//! - Whatever is to be done with a picture at some time, deciding included whether anybody still uses
//!   it, stands in one list by time, which every instance sweeps (`sweep`). Who works on a picture
//!   holds a lease; what a killed instance left is taken up when that has run out.
//! - An event takes covers before it is known whether the command that names them will be accepted
//!   (`covers`). So a picture is used if an event says so, and a mark on the picture only tells which
//!   events to ask.

mod avatars;
mod covers;
mod format;
mod metrics;
mod process;
mod record;
mod routes;
mod store;
mod sweep;
mod uploads;
mod work;

use std::sync::Arc;
use std::time::Duration;

use cityevents_kit::Config;
use cityevents_kit::pictures::PictureAddresses;
use cityevents_kit::seal::{CursorSealer, UploadTokens};
use cityevents_runtime::log::clock::Clock;
use cityevents_views::Views;
use tokio::sync::{Notify, Semaphore};

pub use self::covers::{CoverError, Covers};
pub use self::metrics::MediaMetrics;
pub use self::routes::{route_policy, router};
pub use self::store::{PictureStore, StoreError};

use crate::identity::store::Store;
use crate::threads::Pool;

/// Memory is shared in parts of this size.
const MEMORY_PART: u64 = 1 << 20;

/// Pictures. Cheap to clone.
#[derive(Clone)]
pub struct Media {
    shared: Arc<Shared>,
}

struct Shared {
    records: Store,
    views: Views,
    store: PictureStore,
    addresses: PictureAddresses,
    tokens: UploadTokens,
    /// Under which this service is reached.
    site: String,
    options: MediaOptions,
    pool: Pool,
    /// Room for pictures that are received.
    uploads: Semaphore,
    /// Room for pictures that are worked on, in parts.
    memory: Semaphore,
    memory_parts: u32,
    /// There is something to do at once.
    work: Notify,
    metrics: MediaMetrics,
}

/// Limits.
#[derive(Debug, Clone, Copy)]
struct MediaOptions {
    upload_bytes_max: u64,
    upload_ttl: Duration,
    unused_after: Duration,
    threads: usize,
}

/// What pictures are made of.
pub struct MediaParts {
    /// The tables.
    pub views: Views,
    /// Where the bytes are.
    pub store: PictureStore,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Tokens of uploads come from its secret.
    pub sealer: CursorSealer,
    /// Figures.
    pub metrics: MediaMetrics,
}

impl Media {
    /// Of parts, with the settings of the instance.
    ///
    /// # Errors
    /// When the threads that work on pictures cannot be started.
    pub fn new(parts: MediaParts, config: &Config) -> std::io::Result<Self> {
        let MediaParts { views, store, clock, sealer, metrics } = parts;
        let media = &config.media;
        let options = MediaOptions {
            upload_bytes_max: media.upload_max,
            upload_ttl: media.upload_ttl,
            unused_after: media.unused_after,
            threads: media.threads as usize,
        };
        let memory_parts = u32::try_from(media.memory / MEMORY_PART).unwrap_or(u32::MAX);
        let shared = Shared {
            records: Store::new(views.records.clone(), clock),
            views,
            store,
            addresses: PictureAddresses::of(config),
            tokens: UploadTokens::new(sealer),
            site: config.public_url(),
            options,
            pool: Pool::start("pictures", options.threads)?,
            uploads: Semaphore::new(media.uploads_at_once as usize),
            memory: Semaphore::new(memory_parts as usize),
            memory_parts,
            work: Notify::new(),
            metrics,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Writes the addresses of pictures.
    pub fn addresses(&self) -> &PictureAddresses {
        &self.shared.addresses
    }
}
