//! A small file, or another place, whose content other processes may replace, and the value that it
//! means.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::KeysError;
use crate::files;
use crate::lifecycle::Component;

/// How often files are looked at: a change is known everywhere within a second.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Something that is read again when its file has changed.
pub trait Follow: Send + Sync {
    /// Reads the file; on failure what was read before stays good.
    fn reload(&self) -> Result<(), KeysError>;
}

/// Reads the files again whenever they change, in a thread of its own, until the component is told
/// to stop. A file that cannot be read makes the component degraded, not dead.
pub fn follow(
    component: Component,
    files: Vec<Arc<dyn Follow>>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
        let mut degraded = None;
        component.ready();
        while !component.shutdown().wait_timeout(POLL_INTERVAL) {
            let failed = files.iter().find_map(|file| file.reload().err());
            let failed = failed.map(|error| error.to_string());
            if failed == degraded {
                continue;
            }
            match &failed {
                Some(reason) => {
                    tracing::error!("the keys read before stay in use: {reason}");
                    component.degraded(reason.clone());
                }
                None => component.ready(),
            }
            degraded = failed;
        }
        component.finished();
    })
}

/// What a file's content means, or why it makes no sense.
pub(super) type Parse<T> = fn(&[u8]) -> Result<T, String>;

/// Where content is kept that several processes read and change.
pub(super) trait Kept: Send + Sync {
    /// Its name, for errors.
    fn name(&self) -> PathBuf;

    /// The content.
    fn read(&self) -> Result<Vec<u8>, KeysError>;

    /// Replaces the content, unless it is another one than `before` by now. Says whether it did.
    fn replace(&self, before: &[u8], content: &[u8]) -> Result<bool, KeysError>;
}

/// A file.
struct KeptFile(PathBuf);

impl Kept for KeptFile {
    fn name(&self) -> PathBuf {
        self.0.clone()
    }

    fn read(&self) -> Result<Vec<u8>, KeysError> {
        std::fs::read(&self.0).map_err(KeysError::io(&self.0))
    }

    fn replace(&self, before: &[u8], content: &[u8]) -> Result<bool, KeysError> {
        let lock = self.0.with_extension("lock");
        let _held = files::lock_exclusive(&lock).map_err(KeysError::io(lock))?;
        if self.read()? != before {
            return Ok(false);
        }
        files::replace_private(&self.0, content).map_err(KeysError::io(&self.0))?;
        Ok(true)
    }
}

/// The content and its value.
pub(super) struct Followed<T> {
    kept: Box<dyn Kept>,
    parse: Parse<T>,
    value: ArcSwap<T>,
    generation: AtomicU64,
    content: Mutex<Vec<u8>>,
}

impl<T> Followed<T> {
    /// Reads a file; it must exist.
    pub(super) fn open(path: PathBuf, parse: Parse<T>) -> Result<Self, KeysError> {
        Self::of(Box::new(KeptFile(path)), parse)
    }

    /// Reads what is kept; it must be there.
    pub(super) fn of(kept: Box<dyn Kept>, parse: Parse<T>) -> Result<Self, KeysError> {
        let content = kept.read()?;
        let value =
            parse(&content).map_err(|reason| KeysError::Damaged { path: kept.name(), reason })?;
        Ok(Self {
            kept,
            parse,
            value: ArcSwap::from_pointee(value),
            generation: AtomicU64::new(0),
            content: Mutex::new(content),
        })
    }

    /// The value as it was read last.
    pub(super) fn current(&self) -> arc_swap::Guard<Arc<T>> {
        self.value.load()
    }

    /// Raised with every change, after the value is in place.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn name(&self) -> PathBuf {
        self.kept.name()
    }

    pub(super) fn reload(&self) -> Result<(), KeysError> {
        let content = self.kept.read()?;
        let mut known = self.content.lock();
        if *known == content {
            return Ok(());
        }
        let damaged = |reason| KeysError::Damaged { path: self.kept.name(), reason };
        self.value.store(Arc::new((self.parse)(&content).map_err(damaged)?));
        self.generation.fetch_add(1, Ordering::AcqRel);
        *known = content;
        Ok(())
    }

    /// Changes the content, however often other processes do so meanwhile, and reads it back.
    pub(super) fn change<R>(
        &self,
        change: impl Fn(&T) -> Result<(Vec<u8>, R), KeysError>,
    ) -> Result<R, KeysError> {
        loop {
            // Read and held against what it is when it is replaced: the one is the other's value.
            let before = self.kept.read()?;
            let damaged = |reason| KeysError::Damaged { path: self.kept.name(), reason };
            let value = (self.parse)(&before).map_err(damaged)?;
            let (content, result) = change(&value)?;
            if self.kept.replace(&before, &content)? {
                self.reload()?;
                return Ok(result);
            }
        }
    }
}
