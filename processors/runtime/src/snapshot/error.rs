//! What goes wrong with snapshots, and whether the store answered.

/// A failure of the snapshot store.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store cannot be reached or refuses.
    #[error("snapshot store: {0}")]
    Store(#[from] object_store::Error),
    /// The store is not asked at the moment, since it did not answer before.
    #[error("snapshot store: {0}")]
    Away(String),
    /// The store's address or options are wrong.
    #[error("the snapshot store {url} cannot be used: {reason}")]
    Location {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder cannot be used.
    #[error("snapshot folder: {0}")]
    Folder(#[from] std::io::Error),
    /// The file is no good snapshot.
    #[error("snapshot {name} is damaged: {reason}; it is skipped")]
    Damaged {
        /// Which file.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl SnapshotError {
    /// Whether the store did not answer, rather than that something is wrong with what was asked.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Store(error) => is_outage(error),
            Self::Away(_) => true,
            Self::Location { .. } | Self::Folder(_) | Self::Damaged { .. } => false,
        }
    }
}

/// A missing object or a missing right is an answer. Of some requests the library tells the status
/// in its words only.
pub(super) fn is_outage(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    match error {
        E::Generic { source, .. } => !answered_no(&source.to_string()),
        E::JoinError { .. } => true,
        _ => false,
    }
}

fn answered_no(words: &str) -> bool {
    let status = words.split_once("non-2xx status code: ").map(|(_, rest)| rest);
    status.is_some_and(|status| {
        status.starts_with('4') && !status.starts_with("408") && !status.starts_with("429")
    })
}
