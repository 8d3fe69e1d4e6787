//! A folder on this machine.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use cityevents_kit::{Component, Config, Lifecycle, Stage};
use cityevents_runtime::log::Log;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::snapshot::SnapshotStore;
use cityevents_views::Views;

use super::CLOSE_BUDGET;

/// Log and snapshots.
pub(super) fn open(config: &Config) -> anyhow::Result<(Arc<dyn Log>, SnapshotStore)> {
    let data = &config.data.dir;
    let local = &config.log.local;
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let options = LocalOptions {
        disk_reserve_bytes: local.disk_reserve,
        record_bytes_max: bytes(local.record_max),
        retention_check: local.retention_check,
        tombstone_retention: local.tombstone_retention,
        tail_bytes_max: bytes(local.tail),
        block_cache_bytes: local.cache,
        in_flight_bytes_max: bytes(local.in_flight_max),
        release_deadline: local.release_deadline,
        ..LocalOptions::default()
    };
    let log: Arc<dyn Log> = LocalLog::open(data.join("log"), options)?;
    Ok((log, SnapshotStore::folder(&data.join("snapshots"))?))
}

/// Tables, for who closes them by dropping them.
pub(super) fn open_views(config: &Config) -> anyhow::Result<Views> {
    open_tables(config, &config.data.dir.join("views"))
}

/// Tables in a folder of their own.
pub(super) fn open_tables(config: &Config, dir: &Path) -> anyhow::Result<Views> {
    std::fs::create_dir_all(dir)
        .with_context(|| format!("the folder {} cannot be made", dir.display()))?;
    let options = cityevents_views::embedded::Options {
        cache_bytes: config.views.cache,
        ..Default::default()
    };
    Ok(Views::embedded(dir, options)?)
}

/// Closes tables behind everybody who uses them.
pub(super) fn close_in_time(views: Views, lifecycle: &Lifecycle) {
    let storage = lifecycle.register("storage", Stage::Log, CLOSE_BUDGET);
    storage.ready();
    tokio::spawn(close(storage, views));
}

/// The log closes when the last handle on it is dropped; the tables are made durable here, so that
/// the next start has nothing to project again.
async fn close(storage: Component, views: Views) {
    storage.shutdown().wait().await;
    if let Err(error) = views.write.flush().await {
        tracing::warn!(%error, "the tables were not flushed: {error}");
    }
    storage.finished();
}
