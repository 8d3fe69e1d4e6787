//! A folder of the text index whose small files are checked as well.
//!
//! The index checks its large files by sums of its own. What ties them together, and the progress
//! beside it, stands in small files that are replaced as a whole; here they get a sum too. What a
//! large file says of itself behind its contents is looked at to the letter. So no damage goes
//! unseen, wherever it is.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{DirectoryLock, FileHandle, Lock, WatchCallback, WatchHandle, WritePtr};

/// Of a sum.
const SUM_BYTES: usize = 32;
/// What the library writes behind the contents of a file takes no more.
const ENDING_BYTES_MAX: usize = 512;
/// The last thing in each of its files.
const MARK: u32 = 1_337;

/// A directory with sums. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Checked(Box<dyn Directory>);

impl Checked {
    pub(super) fn new(directory: Box<dyn Directory>) -> Self {
        Self(directory)
    }

    /// Whether a large file ends as this version of the library ends its files: with the version,
    /// a sum, the length of both and a mark. The library compares the sum, and does not mind what
    /// stands beside it.
    pub(super) fn ends_well(&self, path: &Path) -> Result<bool, OpenReadError> {
        let file = self.0.get_file_handle(path)?;
        let of_length = |error: io::Error| OpenReadError::wrap_io_error(error, path.to_owned());
        let version = serde_json::to_string(tantivy::version())
            .map_err(|error| of_length(io::Error::other(error)))?;
        let begin = format!("{{\"version\":{version},\"crc\":");
        let length = file.len();
        let end = file.read_bytes(length.saturating_sub(ENDING_BYTES_MAX)..length);
        let end = end.map_err(of_length)?;
        let Some((text, marks)) = end.split_last_chunk::<8>() else { return Ok(false) };
        let found = text.windows(begin.len()).rposition(|part| part == begin.as_bytes());
        let Some(at) = found else { return Ok(false) };
        let text = &text[at..];
        let Some((b"}", digits)) = text[begin.len()..].split_last_chunk::<1>().map(|(d, e)| (e, d))
        else {
            return Ok(false);
        };
        let written = (text.len() as u32).to_le_bytes();
        Ok(digits.iter().all(u8::is_ascii_digit)
            && marks[..4] == written
            && marks[4..] == MARK.to_le_bytes())
    }
}

impl Directory for Checked {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.0.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.0.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.0.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.0.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let mut data = self.0.atomic_read(path)?;
        let sum = data.split_off(data.len().saturating_sub(SUM_BYTES));
        if blake3::hash(&data).as_bytes() == sum.as_slice() {
            return Ok(data);
        }
        let error = io::Error::new(io::ErrorKind::InvalidData, "its sum is wrong");
        Err(OpenReadError::wrap_io_error(error, path.to_owned()))
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.0.atomic_write(path, &[data, blake3::hash(data).as_bytes()].concat())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.0.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.0.watch(callback)
    }
}
