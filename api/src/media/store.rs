//! Where the bytes of pictures are: a folder, or a bucket.
//!
//! `incoming/{id}/{attempt}` is what people brought, and is never shown; `media/{id}/{name}` are the
//! forms that are, under the very path of their addresses, so that a content delivery network may
//! read the bucket itself. Every object is written in one atomic step, and none is changed.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cityevents_domain::ids::ImageId;
use cityevents_kit::pictures::Shown;
use cityevents_kit::{ErrorCode, Problem};
use cityevents_runtime::snapshot::{SnapshotError, SnapshotOptions, object_store_at};
use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetResult, ObjectStore, ObjectStoreExt as _, PutOptions, PutPayload,
};

use super::record::Received;

/// When it is worth asking again after the store could not be reached.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// What is said of everything that is shown.
pub(super) const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("the store of pictures: {0}")]
pub struct StoreError(#[from] object_store::Error);

impl StoreError {
    /// The answer to a request that met it; what it was goes to the log.
    pub(super) fn into_problem(self) -> Problem {
        tracing::warn!(error = %self, "{self}");
        Problem::new(ErrorCode::Unavailable).with_retry_after(RETRY_AFTER)
    }
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct PictureStore {
    objects: Arc<dyn ObjectStore>,
    /// Whether it keeps what kind of bytes they are.
    keeps_kinds: bool,
}

impl PictureStore {
    /// The store of an address: `file:///folder`, or `s3://bucket/prefix`. Makes no request to S3.
    ///
    /// # Errors
    /// When the address or the options are wrong, or the folder cannot be made.
    pub fn at(url: &str, options: &SnapshotOptions) -> Result<Self, SnapshotError> {
        let keeps_kinds = url.starts_with("s3://");
        Ok(Self { objects: object_store_at(url, options)?, keeps_kinds })
    }

    /// A folder, which is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(folder: &FilePath) -> Result<Self, SnapshotError> {
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        Self::at(&format!("file://{}", folder.display()), &SnapshotOptions::default())
    }

    /// In memory, for tests.
    pub fn in_memory() -> Self {
        Self { objects: Arc::new(InMemory::new()), keeps_kinds: true }
    }

    /// Looks whether the store answers, and may be read.
    ///
    /// # Errors
    /// When it does not, or may not.
    pub async fn check(&self) -> Result<(), object_store::Error> {
        self.objects.list_with_delimiter(None).await.map(drop)
    }

    /// The objects, as others see them.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    pub(super) async fn put_incoming(
        &self,
        id: &ImageId,
        attempt: u64,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        self.objects.put(&incoming(id, attempt), PutPayload::from_bytes(bytes)).await?;
        Ok(())
    }

    /// What was brought; `None` where it is not there.
    pub(super) async fn incoming(
        &self,
        id: &ImageId,
        received: &Received,
    ) -> Result<Option<Bytes>, StoreError> {
        match self.objects.get(&incoming(id, received.attempt)).await {
            Ok(object) => Ok(Some(object.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn put_shown(
        &self,
        id: &ImageId,
        shown: Shown,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        let mut options = PutOptions::default();
        if self.keeps_kinds {
            options.attributes = Attributes::from_iter([
                (Attribute::ContentType, shown.format.content_type()),
                (Attribute::CacheControl, FOR_EVER),
            ]);
        }
        let path = shown_path(id, shown);
        self.objects.put_opts(&path, PutPayload::from_bytes(bytes), options).await?;
        Ok(())
    }

    /// A form of a picture; `None` where it is not there.
    pub(super) async fn shown(
        &self,
        id: &ImageId,
        shown: Shown,
    ) -> Result<Option<GetResult>, StoreError> {
        match self.objects.get(&shown_path(id, shown)).await {
            Ok(object) => Ok(Some(object)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes one attempt.
    pub(super) async fn delete_attempt(
        &self,
        id: &ImageId,
        attempt: u64,
    ) -> Result<(), StoreError> {
        self.delete(&incoming(id, attempt)).await
    }

    /// Deletes everything that was brought for a picture.
    pub(super) async fn delete_incoming(&self, id: &ImageId) -> Result<(), StoreError> {
        self.delete_all(&Path::from_iter(["incoming", &id.to_string()])).await
    }

    /// Deletes every form of a picture.
    pub(super) async fn delete_shown(&self, id: &ImageId) -> Result<(), StoreError> {
        self.delete_all(&Path::from_iter(["media", &id.to_string()])).await
    }

    async fn delete_all(&self, prefix: &Path) -> Result<(), StoreError> {
        let found: Vec<_> = self.objects.list(Some(prefix)).try_collect().await?;
        for object in found {
            self.delete(&object.location).await?;
        }
        Ok(())
    }

    async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn incoming(id: &ImageId, attempt: u64) -> Path {
    Path::from_iter(["incoming", &id.to_string(), &format!("{attempt:016x}")])
}

fn shown_path(id: &ImageId, shown: Shown) -> Path {
    Path::from_iter(["media", &id.to_string(), &shown.name()])
}
