//! Records that people change: accounts, sessions, one-time tokens.
//!
//! What the log does not say is kept here, so nothing of it can be rebuilt: writes are durable when
//! they return. A record is changed only by whoever knows its present [`Revision`] (compare and
//! set), which decides who was first where two want the same. Beside the records there are lists of
//! places, which decide nothing: a place may be there without its record or speak of an older one,
//! and readers look at the record.

use cityevents_domain::time::Timestamp;
use futures::future::{BoxFuture, join_all};

use crate::error::ViewsError;

/// Longest key of a record, list or place, in bytes.
pub const KEY_BYTES_MAX: usize = 512;

/// What a record is of. Numbers are stored and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// An account, by its id.
    Account = 1,
    /// Whose an address is, by the address.
    Address = 2,
    /// Whose a subject of another identity provider is.
    Subject = 3,
    /// A session, by its id.
    Session = 4,
    /// A token that is good once, by the hash of its secret.
    OneTimeToken = 5,
    /// Who administers: one record.
    Administrators = 6,
    /// Something that somebody did to somebody, by time and id.
    AuditEntry = 7,
    /// What a person wants to be told.
    Notifications = 8,
    /// What was used of an allowance that all instances share, by a hash of who uses it.
    Allowance = 9,
    /// What became of a mail, by its id; and what whoever asks for mails has to remember.
    Mail = 10,
    /// An address that gets no mail, by its keyed hash.
    Suppression = 11,
    /// A sign-in at another provider that came back, by the hash of its secret.
    OauthFlow = 12,
    /// The ring of the keys that sign access tokens, sealed: one record.
    SigningKeys = 14,
    /// A picture that somebody brought or is going to bring, by its id.
    Picture = 15,
    /// Which tables are the live ones, and what tables beside them are made of.
    Tables = 17,
}

/// The key of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    kind: RecordKind,
    id: Vec<u8>,
}

impl RecordKey {
    /// Of a kind, under an id of at most [`KEY_BYTES_MAX`] bytes.
    pub fn new(kind: RecordKind, id: impl Into<Vec<u8>>) -> Self {
        Self { kind, id: id.into() }
    }

    /// The number of the kind.
    pub const fn kind(&self) -> u8 {
        self.kind as u8
    }

    /// The id.
    pub fn id(&self) -> &[u8] {
        &self.id
    }
}

/// A state of a record. Each change has another one, drawn by whoever made it, so that who made it
/// recognises it after a lost answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub [u8; 16]);

/// What a record says.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordValue {
    /// The bytes.
    pub content: Vec<u8>,
    /// From when on it may be thrown away.
    pub expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for RecordValue {
    /// Without the content, which may be secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RecordValue")
            .field("bytes", &self.content.len())
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// A record as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its state.
    pub revision: Revision,
    /// What it says.
    pub value: RecordValue,
}

/// A change of one record.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which record.
    pub key: RecordKey,
    /// The state it must have now; `None`: it must not be there.
    pub expected: Option<Revision>,
    /// The state it will have: drawn anew for each change.
    pub revision: Revision,
    /// What it will say; `None` takes it away.
    pub value: Option<RecordValue>,
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which list.
    pub list: Vec<u8>,
    /// Where in it: places are in the order of these bytes.
    pub position: Vec<u8>,
}

/// Which places are asked for.
#[derive(Debug, Clone)]
pub struct PlacesQuery {
    /// Which list.
    pub list: Vec<u8>,
    /// The greatest first.
    pub descending: bool,
    /// Only those behind this one, in the order asked for.
    pub after: Option<Vec<u8>>,
    /// Most places that come, at least one.
    pub limit: usize,
}

/// Records and places.
pub trait Records: Send + Sync {
    /// A record as it was decided last. One whose time has passed may still be there.
    fn record(&self, key: RecordKey) -> BoxFuture<'_, Result<Option<Record>, ViewsError>>;

    /// Changes a record if it has the expected state, and says whether it was so. Of many changes
    /// that expect the same state exactly one is made.
    ///
    /// # Errors
    /// On [`ViewsError::Unavailable`] nobody knows whether it was made; the record tells, by its
    /// revision, unless it was to be taken away. So what must happen once only is a change to
    /// another value.
    fn change(&self, change: Change) -> BoxFuture<'_, Result<bool, ViewsError>>;

    /// Makes many changes, each as [`Records::change`] does and none depending on another, with as
    /// few waits for the disk as possible. Answers in the order of the changes.
    fn change_all(&self, changes: Vec<Change>) -> BoxFuture<'_, Vec<Result<bool, ViewsError>>> {
        Box::pin(join_all(changes.into_iter().map(|change| self.change(change))))
    }

    /// Puts a place into a list. Of this and a removal the later one counts: by the order of calls
    /// in one process, and by `at` between processes that share a database.
    fn add_place(&self, place: Place, at: Timestamp) -> BoxFuture<'_, Result<(), ViewsError>>;

    /// Takes a place out of a list.
    fn remove_place(&self, place: Place, at: Timestamp) -> BoxFuture<'_, Result<(), ViewsError>>;

    /// Positions of a list, in order.
    fn places(&self, query: PlacesQuery) -> BoxFuture<'_, Result<Vec<Vec<u8>>, ViewsError>>;
}
