//! The disk guard: refuses writes while the disk still has room, because a disk that is full stops
//! everything on the machine, and a storage engine that meets it half-way through a write is lost.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::options::LocalOptions;
use crate::log::{LogError, LogErrorKind};

/// How long a measurement holds.
const FRESH: Duration = Duration::from_millis(50);

/// What a byte appended costs on the disk before background work has tidied up: once in the
/// journal, once in a table.
const BYTES_WRITTEN_PER_BYTE: u64 = 2;

/// Tells how much room a file system has.
pub trait SpaceProbe: Send + Sync {
    /// Bytes that an ordinary process may still write below this folder.
    ///
    /// # Errors
    /// When the file system cannot be asked.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;
}

/// Asks the file system itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl SpaceProbe for FileSystem {
    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let statistics = rustix::fs::statvfs(folder)?;
        Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }
}

pub(super) struct DiskGuard {
    probe: Arc<dyn SpaceProbe>,
    folder: PathBuf,
    reserve_bytes: u64,
    fresh: Duration,
    measured: Mutex<Option<Measured>>,
}

struct Measured {
    at: Instant,
    free_bytes: u64,
}

impl DiskGuard {
    pub(super) fn new(folder: &Path, options: &LocalOptions) -> Self {
        Self {
            probe: options.space.clone(),
            folder: folder.to_owned(),
            reserve_bytes: options.disk_reserve_bytes,
            fresh: FRESH,
            measured: Mutex::new(None),
        }
    }

    /// Whether `bytes` more may be written now.
    pub(super) fn check(&self, bytes: u64) -> Result<(), LogError> {
        self.admit(bytes, false)
    }

    /// As [`Self::check`], and counts the bytes as written.
    pub(super) fn take(&self, bytes: u64) -> Result<(), LogError> {
        self.admit(bytes, true)
    }

    fn admit(&self, bytes: u64, count: bool) -> Result<(), LogError> {
        let mut measured = self.measured.lock();
        let now = Instant::now();
        let known = measured.take().filter(|known| now.duration_since(known.at) < self.fresh);
        let mut known = match known {
            Some(known) => known,
            None => Measured { at: now, free_bytes: self.measure()? },
        };
        let cost = bytes.saturating_mul(BYTES_WRITTEN_PER_BYTE);
        let free_bytes = known.free_bytes;
        let left = free_bytes.checked_sub(cost).filter(|left| *left >= self.reserve_bytes);
        if let (Some(left), true) = (left, count) {
            known.free_bytes = left;
        }
        *measured = Some(known);
        if left.is_some() {
            return Ok(());
        }
        let message = format!(
            "the disk of {} has {free_bytes} bytes left and {} are kept in reserve: free some \
             space, writes go on by themselves",
            self.folder.display(),
            self.reserve_bytes
        );
        Err(LogError::new(LogErrorKind::DiskFull, message))
    }

    fn measure(&self) -> Result<u64, LogError> {
        self.probe.free_bytes(&self.folder).map_err(|error| {
            let message =
                format!("cannot tell how much room {} has left: {error}", self.folder.display());
            LogError::new(LogErrorKind::Unavailable, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);

    impl SpaceProbe for Fixed {
        fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
            Ok(self.0)
        }
    }

    fn guard(free_bytes: u64, reserve_bytes: u64) -> DiskGuard {
        let space = Arc::new(Fixed(free_bytes));
        let options =
            LocalOptions { space, disk_reserve_bytes: reserve_bytes, ..LocalOptions::default() };
        DiskGuard::new(Path::new("/anywhere"), &options)
    }

    #[test]
    fn writes_stop_while_the_reserve_is_whole() {
        let guard = guard(1_000, 600);
        assert!(guard.check(200).is_ok());
        let refused = guard.check(201).unwrap_err();
        assert_eq!(refused.kind(), LogErrorKind::DiskFull);
        assert!(refused.to_string().contains("1000 bytes left"), "{refused}");
    }

    #[test]
    fn what_was_written_since_the_measurement_counts() {
        let mut guard = guard(1_100, 0);
        guard.fresh = Duration::from_secs(3_600);
        assert_eq!((0..1_000).take_while(|_| guard.take(100).is_ok()).count(), 5);
        assert!(guard.check(50).is_ok());
        assert!(guard.check(51).is_err());
        guard.fresh = Duration::ZERO;
        assert!(guard.check(550).is_ok(), "measured anew");
    }

    #[test]
    fn the_file_system_of_the_working_folder_has_a_size() {
        assert!(FileSystem.free_bytes(Path::new(".")).is_ok());
    }
}
