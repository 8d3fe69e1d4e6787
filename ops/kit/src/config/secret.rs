//! Secrets: never printed, given in place or as the path of a file.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that neither `Debug` nor serialisation shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What is shown instead.
const REDACTED: &str = "[redacted]";

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Where a secret comes from, and what it is now.
#[derive(Debug)]
pub enum SecretSource {
    /// Written in the configuration.
    Given(Secret),
    /// In a file, which is read again when it has changed.
    File {
        /// The file.
        path: PathBuf,
        /// What was read last, and the file's time then.
        last: Mutex<Option<(SystemTime, Secret)>>,
    },
}

/// A file with a secret cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the secret file {}: {cause}; check that it exists and may be read", path.display())]
pub struct SecretFileError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system says.
    pub cause: std::io::Error,
}

impl SecretSource {
    /// The source of a secret of which `key` and `key_file` may be given; `key` counts more.
    pub fn of(given: Option<&Secret>, file: Option<&PathBuf>) -> Option<Self> {
        let from_file = || Some(Self::File { path: file?.clone(), last: Mutex::new(None) });
        given.cloned().map(Self::Given).or_else(from_file)
    }

    /// The secret as it is now. Line ends at the end of a file do not count. While the file is
    /// away, the last content stays good.
    pub fn current(&self) -> Result<Secret, SecretFileError> {
        let (path, last) = match self {
            Self::Given(secret) => return Ok(secret.clone()),
            Self::File { path, last } => (path, last),
        };
        let mut last = last.lock();
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
        if let (Ok(modified), Some((known, secret))) = (&modified, &*last)
            && modified == known
        {
            return Ok(secret.clone());
        }
        let read = modified.and_then(|modified| Ok((modified, fs::read_to_string(path)?)));
        match (read, &*last) {
            (Ok((modified, text)), _) => {
                let secret = Secret::new(text.trim_end_matches(['\r', '\n']));
                *last = Some((modified, secret.clone()));
                Ok(secret)
            }
            (Err(_), Some((_, secret))) => Ok(secret.clone()),
            (Err(cause), None) => Err(SecretFileError { path: path.clone(), cause }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"[redacted]\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_secret_file_is_read_again_when_it_changes_and_kept_while_it_is_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let source = SecretSource::of(None, Some(&path)).unwrap();
        assert!(source.current().unwrap_err().to_string().contains("secret"));
        fs::write(&path, "one\n").unwrap();
        assert_eq!(source.current().unwrap().expose(), "one");
        fs::write(&path, "two").unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert_eq!(source.current().unwrap().expose(), "two");
        fs::remove_file(&path).unwrap();
        assert_eq!(source.current().unwrap().expose(), "two");
    }
}
