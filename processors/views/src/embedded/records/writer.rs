//! The thread that makes all changes of records. Callers run on threads that serve many, which must
//! not stand still until something is on the disk; and what comes while the disk is busy is made
//! durable together, in one round.

use std::collections::HashMap;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use fjall::{Database, Keyspace, PersistMode};
use tokio::sync::{mpsc, oneshot};

use super::{decode, encode, expiry_key, record_key, stored};
use crate::embedded::engine_error;
use crate::error::ViewsError;
use crate::records::{Change, Record};

/// Callers whose writes are made durable together, at most.
const ROUND_MAX: usize = 256;
/// Callers that wait for the next round, at most; more of them wait until there is room.
const WAITING_MAX: usize = 1_024;
/// Expired records that a caller's changes take away besides: more than one, so that none are left in
/// the long run.
const EXPIRED_TAKEN_MAX: usize = 4;
/// Readers' clocks may lag behind this one.
const EXPIRY_SLACK_MS: i64 = 3_600_000;

/// The thread, which ends when it is dropped.
pub(super) struct Writer {
    /// Nothing when it is being dropped.
    writes: Option<mpsc::Sender<Write>>,
    thread: Option<JoinHandle<()>>,
}

/// What a caller asks for, and where they wait for the answer.
type Write = (Work, oneshot::Sender<Result<Vec<Changed>, ViewsError>>);

enum Work {
    /// By compare and set, one after the other.
    Changes(Vec<Change>),
    /// A place in a list, there or not.
    Place { key: Vec<u8>, is_there: bool },
}

/// What became of one change: whether the record was as expected, or why nobody can tell.
type Changed = Result<bool, ViewsError>;

impl Writer {
    /// Starts the thread for a tree of the tables in `views`.
    pub(super) fn start(
        database: Database,
        tree: Keyspace,
        views: PathBuf,
    ) -> Result<Self, fjall::Error> {
        let (writes, waiting) = mpsc::channel(WAITING_MAX);
        let target = Target { database, tree, views };
        let thread = std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || target.write_rounds(waiting))?;
        Ok(Self { writes: Some(writes), thread: Some(thread) })
    }

    /// Makes changes; they are on the disk when the answer is there. Whoever stops waiting does not
    /// stop them.
    pub(super) async fn change(&self, changes: Vec<Change>) -> Result<Vec<Changed>, ViewsError> {
        self.ask(Work::Changes(changes)).await
    }

    /// Puts a place into a list, or takes it away.
    pub(super) async fn put_place(&self, key: Vec<u8>, is_there: bool) -> Result<(), ViewsError> {
        self.ask(Work::Place { key, is_there }).await.map(drop)
    }

    async fn ask(&self, work: Work) -> Result<Vec<Changed>, ViewsError> {
        let ended = || ViewsError::unavailable("the thread that writes records has ended");
        let writes = self.writes.as_ref().ok_or_else(ended)?;
        let (answer, answered) = oneshot::channel();
        writes.send((work, answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.writes = None;
        if let Some(thread) = self.thread.take() {
            // The folder is free when the thread has let go of the tree. A panic was logged.
            let _panicked = thread.join();
        }
    }
}

/// What the thread works on.
struct Target {
    database: Database,
    tree: Keyspace,
    views: PathBuf,
}

impl Target {
    fn write_rounds(&self, mut waiting: mpsc::Receiver<Write>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut writes = vec![first];
            while writes.len() < ROUND_MAX
                && let Ok(next) = waiting.try_recv()
            {
                writes.push(next);
            }
            self.write(writes);
        }
    }

    /// One round, and its answers, which nobody may be waiting for any more.
    fn write(&self, writes: Vec<Write>) {
        let (works, answers): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        match self.make(works) {
            Ok(made) => {
                for (answer, changed) in answers.into_iter().zip(made) {
                    let _gone = answer.send(Ok(changed));
                }
            }
            Err(source) => {
                let error = engine_error(&self.views, source);
                tracing::error!(%error, "records: {error}");
                for answer in answers {
                    let _gone = answer.send(Err(same(&error)));
                }
            }
        }
    }

    /// What became of each, when all is on the disk.
    fn make(&self, works: Vec<Work>) -> Result<Vec<Vec<Changed>>, fjall::Error> {
        let expired_max = works.len() * EXPIRED_TAKEN_MAX;
        let mut round = Round { tree: &self.tree, written: HashMap::new() };
        let made = works.into_iter().map(|work| round.make(work)).collect::<Result<_, _>>()?;
        round.commit(&self.database, expired_max)?;
        Ok(made)
    }
}

/// The error of a round, for each of its callers. Whether anything of the round was made is not known.
pub(super) fn same(error: &ViewsError) -> ViewsError {
    match error {
        ViewsError::DiskFull { dir } => ViewsError::DiskFull { dir: dir.clone() },
        error => ViewsError::unavailable(error.to_string()),
    }
}

/// Writes on their way to the disk: what comes later in a round finds what came earlier.
struct Round<'a> {
    tree: &'a Keyspace,
    /// By key, what is to be there, or that nothing is.
    written: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Round<'_> {
    fn make(&mut self, work: Work) -> Result<Vec<Changed>, fjall::Error> {
        match work {
            Work::Changes(changes) => {
                changes.into_iter().map(|change| self.change(change)).collect()
            }
            Work::Place { key, is_there } => {
                self.written.insert(key, is_there.then(Vec::new));
                Ok(Vec::new())
            }
        }
    }

    fn change(&mut self, change: Change) -> Result<Changed, fjall::Error> {
        let key = record_key(&change.key);
        let present = match self.record(&key)? {
            Ok(present) => present,
            Err(error) => return Ok(Err(error)),
        };
        if present.as_ref().map(|record| record.revision) != change.expected {
            return Ok(Ok(false));
        }
        if let Some(at) = present.and_then(|record| record.value.expires_at) {
            self.written.insert(expiry_key(at.as_millis(), &key), None);
        }
        if let Some(at) = change.value.as_ref().and_then(|value| value.expires_at) {
            self.written.insert(expiry_key(at.as_millis(), &key), Some(Vec::new()));
        }
        let value = change.value.map(|value| encode(change.revision, &value));
        self.written.insert(key, value);
        Ok(Ok(true))
    }

    fn record(&self, key: &[u8]) -> Result<Result<Option<Record>, ViewsError>, fjall::Error> {
        match self.written.get(key) {
            Some(written) => Ok(written.as_deref().map(decode).transpose()),
            None => stored(self.tree, key),
        }
    }

    /// Takes some of what expired long ago away, but not what was changed.
    fn take_expired(&mut self, count_max: usize) -> Result<(), fjall::Error> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = i64::try_from(since.as_millis()).unwrap_or(0).saturating_sub(EXPIRY_SLACK_MS);
        let range = expiry_key(0, &[])..expiry_key(before, &[]);
        for entry in self.tree.range(range).take(count_max) {
            let expiry = entry.key()?;
            let key = expiry.get(9..).unwrap_or_default();
            if self.written.contains_key(key) {
                continue;
            }
            self.written.insert(key.to_vec(), None);
            self.written.insert(expiry.to_vec(), None);
        }
        Ok(())
    }

    /// On the disk when it returns.
    fn commit(mut self, database: &Database, expired_max: usize) -> Result<(), fjall::Error> {
        if self.written.is_empty() {
            return Ok(());
        }
        self.take_expired(expired_max)?;
        let mut batch = database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in self.written {
            match value {
                Some(value) => batch.insert(self.tree, key, value),
                None => batch.remove(self.tree, key),
            }
        }
        batch.commit()
    }
}

#[cfg(test)]
mod tests {
    use cityevents_domain::time::Timestamp;

    use super::*;
    use crate::records::{RecordKey, RecordKind, RecordValue, Revision};

    /// A time that does not come.
    const FAR_MS: i64 = i64::MAX / 2;

    fn key() -> RecordKey {
        RecordKey::new(RecordKind::Session, b"one".as_slice())
    }

    fn change(expected: Option<u8>, revision: u8, expires_ms: Option<i64>) -> Change {
        let revision_of = |number| Revision([number; 16]);
        let expires_at = expires_ms.map(Timestamp::from_millis);
        let value = RecordValue { content: vec![revision], expires_at };
        let (expected, revision) = (expected.map(revision_of), revision_of(revision));
        Change { key: key(), expected, revision, value: Some(value) }
    }

    fn keys(tree: &Keyspace) -> Vec<Vec<u8>> {
        tree.iter().map(|entry| entry.key().unwrap().to_vec()).collect()
    }

    #[test]
    fn changes_of_one_record_in_one_round_see_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::builder(folder.path()).open().unwrap();
        let tree = database.keyspace("records", fjall::KeyspaceCreateOptions::default).unwrap();
        let mut round = Round { tree: &tree, written: HashMap::new() };
        let mut made = |change| round.change(change).unwrap().unwrap();
        assert!(made(change(None, 1, Some(FAR_MS))));
        assert!(!made(change(None, 2, None)), "there is one already");
        assert!(made(change(Some(1), 3, Some(FAR_MS + 1))));
        assert!(!made(change(Some(1), 4, None)), "it was replaced");
        assert_eq!(keys(&tree), Vec::<Vec<u8>>::new(), "nothing is there before the end");
        round.commit(&database, EXPIRED_TAKEN_MAX).unwrap();
        let record = record_key(&key());
        assert_eq!(keys(&tree), [record.clone(), expiry_key(FAR_MS + 1, &record)]);
        let kept = decode(&tree.get(&record).unwrap().unwrap()).unwrap();
        assert_eq!(kept.revision, Revision([3; 16]));
    }

    #[test]
    fn what_was_changed_in_a_round_is_not_taken_away_as_expired() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::builder(folder.path()).open().unwrap();
        let tree = database.keyspace("records", fjall::KeyspaceCreateOptions::default).unwrap();
        let write = |changes: Vec<Change>| {
            let mut round = Round { tree: &tree, written: HashMap::new() };
            for change in changes {
                assert!(round.change(change).unwrap().unwrap());
            }
            round.commit(&database, EXPIRED_TAKEN_MAX).unwrap();
        };
        write(vec![change(None, 1, Some(1))]);
        // Long past, and changed: it stays, with its new time.
        write(vec![change(Some(1), 2, Some(2)), change(Some(2), 3, Some(3))]);
        let record = record_key(&key());
        assert_eq!(keys(&tree), [record.clone(), expiry_key(3, &record)]);
        // Whatever is changed next takes it away.
        let other = RecordKey::new(RecordKind::Session, b"two".as_slice());
        write(vec![Change { key: other.clone(), ..change(None, 1, None) }]);
        assert_eq!(keys(&tree), [record_key(&other)]);
    }
}
