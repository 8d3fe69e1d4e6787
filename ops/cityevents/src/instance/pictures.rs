//! Pictures: where they are kept, and which of them events may take.

use std::time::Duration;

use cityevents_api::media::{CoverError, Covers, PictureStore};
use cityevents_domain::ids::{EventId, ImageId, UserId};
use cityevents_ingest::TakeCovers;
use cityevents_kit::config::SecretSource;
use cityevents_kit::{Config, Problem};
use cityevents_runtime::snapshot::SnapshotOptions;
use cityevents_views::BoxFuture;

/// When it is worth asking again after the tables could not be reached.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The store of a configuration.
///
/// # Errors
/// When its address or its secret cannot be used.
pub(super) fn store(config: &Config) -> anyhow::Result<PictureStore> {
    let media = &config.media;
    let Some(url) = &media.url else {
        return Ok(PictureStore::folder(&config.data.dir.join("pictures"))?);
    };
    let file = media.secret_access_key_file.as_ref();
    let secret = SecretSource::of(media.secret_access_key.as_ref(), file)
        .map(|source| source.current())
        .transpose()?;
    let options = SnapshotOptions {
        endpoint: media.endpoint.clone(),
        region: media.region.clone(),
        access_key_id: media.access_key_id.clone(),
        secret_access_key: secret.map(|secret| secret.expose().to_owned()),
        request_timeout: media.request_timeout,
    };
    Ok(PictureStore::at(url, &options)?)
}

/// Looks whether the place of the pictures answers, and may be read; tells what it is called.
///
/// # Errors
/// When it does not.
pub fn check_pictures(config: &Config) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(store(config)?.check())?;
    Ok(config.media.url.clone().unwrap_or_default())
}

/// Lets events take covers.
pub(super) struct Gate(pub(super) Covers);

impl TakeCovers for Gate {
    fn take(
        &self,
        caller: UserId,
        event: EventId,
        covers: Vec<ImageId>,
    ) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move {
            self.0.take(&caller, &event, &covers).await.map_err(|error| match error {
                CoverError::NotThere(_) | CoverError::TooOften(_) => {
                    Problem::invalid("cover_image_ids", error.to_string())
                }
                CoverError::Tables(error) => {
                    tracing::warn!(%error, "covers cannot be looked up: {error}");
                    Problem::unavailable("covers cannot be looked up now", RETRY_AFTER)
                }
            })
        })
    }
}
