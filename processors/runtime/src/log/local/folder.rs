//! The data folder: which version wrote it, and who has it open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::log::{LogError, LogErrorKind};

/// Raised when a program of before could not read what a program of now writes.
const VERSION: &str = "1";

const MARKER: &str = "format";
const MARKER_NAME: &str = "cityevents-log";
const LOCK: &str = "lock";
const STORE: &str = "store";

/// A folder that is ours as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder where it is missing, locks it and checks its version.
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let cannot = |error: io::Error| {
            let message = format!("cannot use {} for the log: {error}", path.display());
            LogError::new(LogErrorKind::Unavailable, message)
        };
        std::fs::create_dir_all(path).map_err(cannot)?;
        let lock = lock(path)?;
        let marker = path.join(MARKER);
        match std::fs::read_to_string(&marker) {
            Ok(found) => check_version(path, &found)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.join(STORE).try_exists().map_err(cannot)? {
                    let message = format!(
                        "{} holds the data of a log, but the file {MARKER} that tells its version \
                         is missing; restore the folder from a backup",
                        path.display()
                    );
                    return Err(LogError::new(LogErrorKind::Corrupt, message));
                }
                let text = format!("{MARKER_NAME} {VERSION}\n");
                replace(&marker, text.as_bytes()).map_err(cannot)?;
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => check_version(path, "?")?,
            Err(error) => return Err(cannot(error)),
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// Bytes that the folder takes up on the disk.
    pub(super) fn disk_bytes(&self) -> io::Result<u64> {
        let mut total = 0;
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                // Files come and go while we look.
                match entry.metadata() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                    Ok(known) if known.is_dir() => folders.push(entry.path()),
                    Ok(known) => total += std::os::unix::fs::MetadataExt::blocks(&known) * 512,
                }
            }
        }
        Ok(total)
    }
}

/// Replaces a file as a whole, durably.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn lock(path: &Path) -> Result<File, LogError> {
    let place = path.join(LOCK);
    let cannot = |error: io::Error| {
        let message = format!("cannot lock {}: {error}", place.display());
        LogError::new(LogErrorKind::Unavailable, message)
    };
    let mut options = OpenOptions::new();
    let mut file =
        options.create(true).truncate(false).read(true).write(true).open(&place).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder = if known { holder.trim() } else { "?" };
            let message = format!(
                "{} is in use by the process {holder}: stop it, or choose another data folder",
                path.display()
            );
            return Err(LogError::new(LogErrorKind::InUse, message));
        }
    }
    file.set_len(0).map_err(cannot)?;
    file.rewind().map_err(cannot)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(cannot)?;
    Ok(file)
}

fn check_version(path: &Path, found: &str) -> Result<(), LogError> {
    let version = found.trim().strip_prefix(MARKER_NAME).map(str::trim);
    match version {
        Some(VERSION) => Ok(()),
        Some(version) if !version.is_empty() => {
            let message = format!(
                "{} is a data folder of version {version}, this program reads version {VERSION}: \
                 use the program that wrote it, or another data folder",
                path.display()
            );
            Err(LogError::new(LogErrorKind::Configuration, message))
        }
        _ => {
            let message = format!(
                "the file {MARKER} in {} does not name a version; restore the folder from a backup",
                path.display()
            );
            Err(LogError::new(LogErrorKind::Corrupt, message))
        }
    }
}
