//! A small file that other processes may replace, and the value that it means.

use std::path::{Path, PathBuf};
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

/// The file and its value.
pub(super) struct Followed<T> {
    path: PathBuf,
    parse: Parse<T>,
    value: ArcSwap<T>,
    generation: AtomicU64,
    content: Mutex<Vec<u8>>,
}

impl<T> Followed<T> {
    /// Reads the file; it must exist.
    pub(super) fn open(path: PathBuf, parse: Parse<T>) -> Result<Self, KeysError> {
        let content = std::fs::read(&path).map_err(KeysError::io(&path))?;
        let value =
            parse(&content).map_err(|reason| KeysError::Damaged { path: path.clone(), reason })?;
        Ok(Self {
            path,
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

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn reload(&self) -> Result<(), KeysError> {
        let content = std::fs::read(&self.path).map_err(KeysError::io(&self.path))?;
        let mut known = self.content.lock();
        if *known == content {
            return Ok(());
        }
        let damaged = |reason| KeysError::Damaged { path: self.path.clone(), reason };
        self.value.store(Arc::new((self.parse)(&content).map_err(damaged)?));
        self.generation.fetch_add(1, Ordering::AcqRel);
        *known = content;
        Ok(())
    }

    /// Changes the file while no other process does, and reads it back.
    pub(super) fn change<R>(
        &self,
        change: impl FnOnce(&T) -> Result<(Vec<u8>, R), KeysError>,
    ) -> Result<R, KeysError> {
        let lock = self.path.with_extension("lock");
        let held = files::lock_exclusive(&lock).map_err(KeysError::io(lock))?;
        self.reload()?;
        let (content, result) = change(&self.current())?;
        files::replace_private(&self.path, &content).map_err(KeysError::io(&self.path))?;
        self.reload()?;
        drop(held);
        Ok(result)
    }
}
