//! Where objects are kept: a folder, or a bucket with a prefix.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::driver::Driver;
use super::{SnapshotError, SnapshotStore};

/// What is read or written in one request: small enough for a slow line within its timeout. S3
/// wants at least 5 MiB.
pub(super) const PART_BYTES: usize = 16 << 20;
/// Further attempts of one request.
const RETRIES_MAX: usize = 2;
/// Pauses between them.
const BACKOFF: BackoffConfig = BackoffConfig {
    init_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_secs(1),
    base: 2.0,
};

/// How an S3 store is reached.
#[derive(Clone)]
pub struct SnapshotOptions {
    /// Another server than Amazon's: `http://host:port` or `https://host:port`.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// With the secret: whose requests these are. Without them they are looked for where Amazon's
    /// own tools look: environment, web identity, metadata of the machine.
    pub access_key_id: Option<String>,
    /// The secret.
    pub secret_access_key: Option<String>,
    /// Longest wait for one request, of which a large snapshot needs many.
    pub request_timeout: Duration,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: "us-east-1".to_owned(),
            access_key_id: None,
            secret_access_key: None,
            request_timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for SnapshotOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SnapshotOptions")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}

impl SnapshotStore {
    /// The store of an address: `file:///folder`, or `s3://bucket/prefix`. Makes no request to S3.
    ///
    /// # Errors
    /// When the address or the options are wrong, or the folder cannot be made.
    pub fn at(url: &str, options: &SnapshotOptions) -> Result<Self, SnapshotError> {
        let wrong = |reason: String| SnapshotError::Location { url: url.to_owned(), reason };
        if let Some(folder) = url.strip_prefix("file://") {
            return match folder.starts_with('/') {
                true => Self::folder(std::path::Path::new(folder)),
                false => Err(wrong("a folder is given by its whole path: file:///folder".into())),
            };
        }
        let store = Self::with(bucket(url, options).map_err(wrong)?, Driver::on_own_thread()?);
        Ok(Self { in_parts: true, url: Arc::from(url), ..store })
    }
}

/// The store of an address, for other objects than snapshots. As [`SnapshotStore::at`], and every
/// object of a folder is on the disk when its write returns.
///
/// # Errors
/// As there.
pub fn object_store_at(
    url: &str,
    options: &SnapshotOptions,
) -> Result<Arc<dyn ObjectStore>, SnapshotError> {
    let wrong = |reason: String| SnapshotError::Location { url: url.to_owned(), reason };
    match url.strip_prefix("file://") {
        Some(folder) if folder.starts_with('/') => {
            std::fs::create_dir_all(folder)?;
            let folder = LocalFileSystem::new_with_prefix(folder)?;
            Ok(Arc::new(folder.with_fsync(true).with_automatic_cleanup(true)))
        }
        Some(_) => Err(wrong("a folder is given by its whole path: file:///folder".into())),
        None => bucket(url, options).map_err(wrong),
    }
}

fn bucket(url: &str, options: &SnapshotOptions) -> Result<Arc<dyn ObjectStore>, String> {
    let Some(place) = url.strip_prefix("s3://") else {
        return Err("it is neither file:///folder nor s3://bucket/prefix".to_owned());
    };
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    if bucket.is_empty() {
        return Err("the bucket is missing: s3://bucket/prefix".to_owned());
    }
    let prefix = Path::parse(prefix.trim_end_matches('/'))
        .map_err(|error| format!("its prefix cannot be used: {error}"))?;
    let bucket = s3(bucket, options)?;
    Ok(match prefix.as_ref().is_empty() {
        true => Arc::new(bucket),
        false => Arc::new(PrefixStore::new(bucket, prefix)),
    })
}

fn s3(bucket: &str, options: &SnapshotOptions) -> Result<impl ObjectStore + use<>, String> {
    let client = ClientOptions::new()
        .with_timeout(options.request_timeout)
        .with_connect_timeout(options.request_timeout);
    let retry = RetryConfig {
        backoff: BACKOFF,
        max_retries: RETRIES_MAX,
        // After a request that took all its time there is no other.
        retry_timeout: options.request_timeout,
    };
    let keys = (&options.access_key_id, &options.secret_access_key);
    let mut builder = match keys {
        (Some(id), Some(secret)) => {
            AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(secret)
        }
        (None, None) => AmazonS3Builder::from_env(),
        _ => return Err("an access key has an id and a secret: give both or none".to_owned()),
    };
    if let Some(endpoint) = &options.endpoint {
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(format!("the endpoint {endpoint} does not begin with http:// or https://"));
        }
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    let is_plain = options.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http:"));
    builder
        .with_bucket_name(bucket)
        .with_region(&options.region)
        .with_retry(retry)
        .with_client_options(client.with_allow_http(is_plain))
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str, options: &SnapshotOptions) -> String {
        let store = SnapshotStore::at(url, options).map(drop);
        store.expect_err("it should have been refused").to_string()
    }

    #[test]
    fn an_address_that_names_no_store_says_what_one_looks_like() {
        let usual = SnapshotOptions::default();
        for (url, expected) in [
            ("snapshots", "file:///folder"),
            ("/var/snapshots", "file:///folder"),
            ("file://snapshots", "whole path"),
            ("gs://bucket", "s3://bucket/prefix"),
            ("s3://", "bucket is missing"),
            ("s3:///prefix", "bucket is missing"),
            ("s3://bucket/a//b", "prefix cannot be used"),
        ] {
            let reason = refusal(url, &usual);
            assert!(reason.contains(expected) && reason.contains(url), "{url}: {reason}");
        }
        let half = SnapshotOptions { access_key_id: Some("id".into()), ..usual.clone() };
        assert!(refusal("s3://bucket", &half).contains("give both or none"));
        let endpoint = SnapshotOptions { endpoint: Some("host:9000".into()), ..usual };
        assert!(refusal("s3://bucket", &endpoint).contains("http://"));
    }

    #[test]
    fn a_folder_is_made_and_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down");
        let url = format!("file://{}", path.display());
        SnapshotStore::at(&url, &SnapshotOptions::default()).unwrap();
        assert!(path.is_dir());
    }

    #[test]
    fn options_are_shown_without_the_secret() {
        let secret_access_key = Some("hidden".to_owned());
        let shown = format!("{:?}", SnapshotOptions { secret_access_key, ..Default::default() });
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
