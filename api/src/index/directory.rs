//! A folder of the text index whose small files are checked as well.
//!
//! The index checks its large files by sums of its own. What ties them together, and the progress
//! beside it, stands in small files that are replaced as a whole; here they get a sum too, so that
//! no damage goes unseen.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{DirectoryLock, FileHandle, Lock, WatchCallback, WatchHandle, WritePtr};

/// Of a sum.
const SUM_BYTES: usize = 32;

/// A directory with sums. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Checked(Box<dyn Directory>);

impl Checked {
    pub(super) fn new(directory: Box<dyn Directory>) -> Self {
        Self(directory)
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
