//! Opening what is on the disk, and beginning anew where it is of no use.
//!
//! A commit of the text index carries how far the topic was read for it ([`Progress`]). What is
//! damaged, of another version of this program, of another topic, ahead of the topic's end, or too
//! old to have seen every deletion is thrown away, with a warning, and built again.

use std::collections::HashSet;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cityevents_runtime::log::Watermarks;
use serde::{Deserialize, Serialize};
use tantivy::directory::error::{LockError, OpenDirectoryError};
use tantivy::directory::{MmapDirectory, RamDirectory};
use tantivy::indexer::IndexWriterOptions;
use tantivy::{Directory, Index, IndexReader, IndexWriter, ReloadPolicy, TantivyError};

use super::directory::Checked;
use super::documents::{Fields, events, settings, tokenizers};
use super::segments::Segments;
use super::table::Table;
use crate::following::Failure;

/// Raised with every change of what documents hold, how texts are taken apart, or what progress
/// says.
const VERSION: u32 = 1;
/// Of everything that belongs to the index, within the folder that is given.
const SUBFOLDER: &str = "events";
/// The list of the files that belong to the index.
const FILES: &str = ".managed.json";
/// A log keeps deletions for a day; what was not read for longer may have missed some.
const RESUMED_WITHIN: Duration = Duration::from_secs(12 * 60 * 60);

/// Where the text index is.
#[derive(Debug, Clone)]
pub enum IndexPlace {
    /// In a folder, which only this process uses.
    Folder(PathBuf),
    /// In memory: built anew with every start.
    Memory,
    /// Wherever a test says.
    #[cfg(test)]
    Given(Box<dyn Directory>),
}

/// What a commit says of where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) version: u32,
    /// The topic's id.
    pub(super) topic: String,
    /// The next offset of each partition.
    pub(super) next: Vec<u64>,
    /// The number of the last change.
    pub(super) changes: u32,
    /// When, in milliseconds since 1970.
    pub(super) at_ms: i64,
}

impl Progress {
    /// Of a topic of which nothing was read.
    fn nothing(topic: &str, marks: &[Watermarks]) -> Self {
        let next = marks.iter().map(|marks| marks.low).collect();
        Self { version: VERSION, topic: topic.to_owned(), next, changes: 0, at_ms: 0 }
    }

    /// Why this cannot be gone on from, if so.
    fn problem(&self, topic: &str, marks: &[Watermarks], now_ms: i64) -> Option<String> {
        if self.version != VERSION {
            return Some(format!("it is of version {}, and this is {VERSION}", self.version));
        }
        if self.topic != topic || self.next.len() != marks.len() {
            return Some("it is of another topic".to_owned());
        }
        let is_ahead = |(next, marks): (&u64, &Watermarks)| *next > marks.high;
        if self.next.iter().zip(marks).any(is_ahead) {
            return Some("it is ahead of the topic, which has lost records".to_owned());
        }
        let age_ms = now_ms.saturating_sub(self.at_ms);
        if u128::try_from(age_ms).is_ok_and(|age| age > RESUMED_WITHIN.as_millis()) {
            return Some("it is so old that it may have missed deletions".to_owned());
        }
        None
    }
}

/// The text index, ready to be written and read.
pub(super) struct Opened {
    pub(super) writer: IndexWriter,
    pub(super) reader: IndexReader,
    pub(super) fields: Fields,
    pub(super) table: Table,
    pub(super) segments: Segments,
    pub(super) progress: Progress,
    /// Why it was not taken as it was found, if so.
    pub(super) rebuilt: Option<String>,
}

/// What the text index is opened with.
pub(super) struct Opening<'a> {
    pub(super) place: &'a IndexPlace,
    /// Memory of documents that are not on the disk yet.
    pub(super) memory_bytes: usize,
    /// The topic's id and what is in it.
    pub(super) topic: &'a str,
    pub(super) marks: &'a [Watermarks],
    pub(super) now_ms: i64,
}

/// Why it cannot be opened as it is.
enum Unusable {
    /// Nothing can be done here.
    Failed(Failure),
    /// It can be built again.
    Useless(String),
}

impl Opening<'_> {
    /// Opens what is there, or begins anew.
    pub(super) fn open(&self) -> Result<Opened, Failure> {
        let folder = match self.place {
            IndexPlace::Folder(folder) => folder.join(SUBFOLDER),
            IndexPlace::Memory => {
                let directory = Checked::new(Box::new(RamDirectory::create()));
                return self.open_in(directory, true).map_err(Unusable::into_failure);
            }
            #[cfg(test)]
            IndexPlace::Given(directory) => {
                let directory = Checked::new(directory.clone());
                return self.open_in(directory, false).map_err(Unusable::into_failure);
            }
        };
        let reason = match self.try_folder(&folder) {
            Ok(opened) => return Ok(opened),
            Err(Unusable::Failed(failure)) => return Err(failure),
            Err(Unusable::Useless(reason)) => reason,
        };
        let shown = folder.display();
        tracing::warn!("the index in {shown} is built anew: {reason}");
        std::fs::remove_dir_all(&folder).map_err(|error| {
            Failure::Again(format!("the useless index in {shown} cannot be removed: {error}"))
        })?;
        let opened = self.try_folder(&folder).map_err(Unusable::into_failure)?;
        Ok(Opened { rebuilt: Some(reason), ..opened })
    }

    fn try_folder(&self, folder: &Path) -> Result<Opened, Unusable> {
        let cannot = |error: &dyn std::fmt::Display| {
            let shown = folder.display();
            Unusable::Failed(Failure::Again(format!(
                "the index cannot be kept in {shown}: {error}; give another [index] folder"
            )))
        };
        std::fs::create_dir_all(folder).map_err(|error| cannot(&error))?;
        let directory =
            MmapDirectory::open(folder).map_err(|error: OpenDirectoryError| cannot(&error))?;
        let directory = Checked::new(Box::new(directory));
        // Where a library meets what it did not write, a panic is no surprise.
        let open = AssertUnwindSafe(|| self.open_in(directory, false));
        std::panic::catch_unwind(open)
            .unwrap_or_else(|_| Err(Unusable::Useless("reading it panicked".to_owned())))
    }

    fn open_in(&self, directory: Checked, is_new: bool) -> Result<Opened, Unusable> {
        let (fields, schema) = Fields::schema();
        let is_there = !is_new && Index::exists(&directory).map_err(unreadable)?;
        // Only what stands in the list of files is checked by its sum.
        let has_list = !is_new && directory.exists(Path::new(FILES)).map_err(unreadable)?;
        if is_there != has_list {
            return Err(Unusable::Useless(
                "the list of its files is missing, or all else".to_owned(),
            ));
        }
        let mut index = match is_there {
            true => Index::open(directory.clone())?,
            false => Index::create(directory.clone(), schema.clone(), settings())?,
        };
        if index.schema() != schema || *index.settings() != settings() {
            return Err(Unusable::Useless("it has other fields".to_owned()));
        }
        index.set_tokenizers(tokenizers());
        let mut progress = Progress::nothing(self.topic, self.marks);
        // The lock of the writer comes first: nobody else changes anything from here on.
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(self.memory_bytes)
            .build();
        let writer: IndexWriter = index.writer_with_options(options)?;
        if let Some(payload) = index.load_metas()?.payload {
            progress = serde_json::from_str(&payload).map_err(unreadable)?;
            if let Some(problem) = progress.problem(self.topic, self.marks, self.now_ms) {
                return Err(Unusable::Useless(problem));
            }
            let damaged: HashSet<PathBuf> = index.validate_checksum()?;
            if let Some(file) = damaged.iter().next() {
                return Err(Unusable::Useless(format!("{} is damaged", file.display())));
            }
            for file in index.load_metas()?.list_segment_files() {
                if directory.exists(&file).map_err(unreadable)?
                    && !directory.ends_well(&file).map_err(unreadable)?
                {
                    let shown = file.display();
                    return Err(Unusable::Useless(format!("{shown} ends as none of ours does")));
                }
            }
        }
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(0)
            .try_into()?;
        let searcher = reader.searcher();
        let rows = events(searcher.segment_readers())?;
        let table = Table::load(rows, progress.changes).map_err(unreadable)?;
        let segments = Segments::of(searcher, fields)?;
        Ok(Opened { writer, reader, fields, table, segments, progress, rebuilt: None })
    }
}

impl Unusable {
    fn into_failure(self) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Useless(reason) => Failure::Again(reason),
        }
    }
}

impl From<TantivyError> for Unusable {
    fn from(error: TantivyError) -> Self {
        match &error {
            TantivyError::LockFailure(LockError::LockBusy, _) => Self::Failed(Failure::Again(
                "another process uses the index; give each its own [index] folder".to_owned(),
            )),
            // Damage shows as many things, but not as these.
            TantivyError::IoError(io) if is_outside(io) => {
                Self::Failed(Failure::Again(format!("the index cannot be opened: {error}")))
            }
            _ => unreadable(error),
        }
    }
}

/// Whether a failure says something of the disk and nothing of what stands on it.
fn is_outside(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::StorageFull
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::OutOfMemory
    )
}

fn unreadable(error: impl std::fmt::Display) -> Unusable {
    Unusable::Useless(format!("it cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file of a small index, with every byte of it flipped in turn: it is never taken for
    /// what it was.
    #[test]
    fn a_flipped_byte_is_seen_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let place = IndexPlace::Folder(folder.path().to_owned());
        let marks = [Watermarks { low: 0, high: 5 }];
        let opening =
            Opening { place: &place, memory_bytes: 16 << 20, topic: "t", marks: &marks, now_ms: 1 };
        let opened = opening.open().unwrap_or_else(|_| panic!("it opens"));
        let mut writer = opened.writer;
        let event = crate::index::testing::event(1, "Fair 音楽");
        let document = opened.fields.document(&event, 1);
        assert!(document.len() > 3);
        writer.add_document(document).unwrap();
        let mut prepared = writer.prepare_commit().unwrap();
        let progress = Progress { next: vec![3], changes: 1, at_ms: 1, ..opened.progress };
        prepared.set_payload(&serde_json::to_string(&progress).unwrap());
        prepared.commit().unwrap();
        drop((writer, opened.reader, opened.segments));
        let inside = folder.path().join(SUBFOLDER);
        let reason = || match opening.try_folder(&inside) {
            Ok(opened) => {
                assert_eq!(opened.table.len(), 1);
                None
            }
            Err(Unusable::Useless(reason)) => Some(reason),
            Err(Unusable::Failed(_)) => panic!("nothing is wrong with the disk"),
        };
        assert_eq!(reason(), None);
        let mut files: Vec<_> = std::fs::read_dir(&inside)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_none_or(|extension| extension != "lock"))
            .collect();
        files.sort();
        assert!(files.len() >= 7, "{files:?}");
        for path in files {
            let whole = std::fs::read(&path).unwrap();
            for at in 0..whole.len() {
                let mut data = whole.clone();
                data[at] ^= 1 << (at % 8);
                std::fs::write(&path, &data).unwrap();
                assert!(reason().is_some(), "byte {at} of {} in {}", whole.len(), path.display());
            }
            std::fs::write(&path, &whole).unwrap();
        }
        assert_eq!(reason(), None);
    }

    #[test]
    fn progress_that_does_not_fit_is_named() {
        let marks = [Watermarks { low: 0, high: 5 }, Watermarks { low: 3, high: 9 }];
        let good = Progress { at_ms: 1_000, ..Progress::nothing("t", &marks) };
        assert_eq!(good.next, [0, 3]);
        let problem = |progress: &Progress| progress.problem("t", &marks, 2_000);
        assert_eq!(problem(&good), None);
        let at_the_end = Progress { next: vec![5, 9], ..good.clone() };
        assert_eq!(problem(&at_the_end), None);
        let hours = |hours: i64| 1_000 + hours * 60 * 60 * 1_000;
        assert_eq!(good.problem("t", &marks, hours(12)), None);
        for (progress, now_ms, word) in [
            (Progress { version: VERSION + 1, ..good.clone() }, 2_000, "version"),
            (Progress { topic: "u".into(), ..good.clone() }, 2_000, "another topic"),
            (Progress { next: vec![0], ..good.clone() }, 2_000, "another topic"),
            (Progress { next: vec![0, 10], ..good.clone() }, 2_000, "ahead"),
            (good, hours(13), "so old"),
        ] {
            let problem = progress.problem("t", &marks, now_ms).unwrap();
            assert!(problem.contains(word), "{problem}");
        }
    }
}
