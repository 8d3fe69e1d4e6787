//! What can go wrong with tables.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::scylla::SchemaError;

/// Why a call on a table did not do what was asked.
#[derive(Debug, Error)]
pub enum ViewsError {
    /// Another process has the folder open.
    #[error(
        "folder {dir} is in use by {}: stop that process first, or give this one another folder",
        holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// The process, if it left its number.
        holder: Option<u32>,
    },
    /// The folder has something else in it.
    #[error("folder {dir} has files but no tables of ours in it: give an empty or a new folder")]
    ForeignFolder {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder was written by a newer program.
    #[error(
        "folder {dir} has format {found} and this program knows formats up to {known}: \
         use a newer program, or give a new folder and rebuild the tables from the log"
    )]
    NewerFolder {
        /// The folder.
        dir: PathBuf,
        /// The format that it has.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The folder's format marker cannot be read.
    #[error(
        "the format marker {file} is damaged: restore the folder from a backup, or give a new one \
         and rebuild the tables from the log"
    )]
    DamagedMarker {
        /// The marker's file.
        file: PathBuf,
    },
    /// A row was written by a newer program.
    #[error(
        "a row of table {table} has version {found} and this program knows versions up to {known}: \
         use a newer program"
    )]
    NewerRow {
        /// The table.
        table: &'static str,
        /// The version that the row has.
        found: u8,
        /// The newest version that this program knows.
        known: u8,
    },
    /// A row cannot be read.
    #[error("a row of table {table} is damaged ({detail}): rebuild the tables from the log")]
    DamagedRow {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The files in the folder make no sense.
    #[error("the tables in {dir} are damaged: discard the rows and rebuild them from the log")]
    DamagedFiles {
        /// The folder.
        dir: PathBuf,
    },
    /// The disk is full.
    #[error("no space left for the tables in {dir}: make room and start again")]
    DiskFull {
        /// The folder.
        dir: PathBuf,
    },
    /// Reading or writing a file failed.
    #[error("cannot {action} {file}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file or folder.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The storage engine failed.
    #[error(
        "the tables in {dir} failed ({source}): start again; if that does not help, discard the rows \
         and rebuild them from the log"
    )]
    Engine {
        /// The folder.
        dir: PathBuf,
        /// What the engine says.
        source: fjall::Error,
    },
    /// The tables cannot be reached now; the same call may succeed later.
    #[error("the tables cannot be reached now: {detail}")]
    Unavailable {
        /// What is known of it.
        detail: String,
        /// When it is worth trying again, where that is known.
        retry_after: Option<Duration>,
    },
    /// The database answered that it will not do what was asked.
    #[error("the database refuses a statement ({detail}): see its log, and the version it has")]
    Refused {
        /// What the database says.
        detail: String,
    },
    /// The database does not have the tables as this program needs them.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl ViewsError {
    /// A bounded word for metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "in_use",
            Self::ForeignFolder { .. } => "foreign_folder",
            Self::NewerFolder { .. } => "newer_folder",
            Self::DamagedMarker { .. } => "damaged_marker",
            Self::NewerRow { .. } => "newer_row",
            Self::DamagedRow { .. } => "damaged_row",
            Self::DamagedFiles { .. } => "damaged_files",
            Self::DiskFull { .. } => "disk_full",
            Self::File { .. } => "file",
            Self::Engine { .. } => "engine",
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
            Self::Schema(error) => error.kind(),
        }
    }

    /// Whether the same call may succeed later without anybody doing something.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Schema(error) => error.is_transient(),
            _ => false,
        }
    }

    /// When it is worth trying again, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The tables cannot be reached now, and nobody knows for how long.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::Unavailable { detail: detail.into(), retry_after: None }
    }
}
