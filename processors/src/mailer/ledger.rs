//! What became of each mail, by its id: so that one that was sent is never sent again.
//!
//! ```text
//!            claim               outcome
//! (nothing) ───────▶ claimed ───────────────▶ sent            it was delivered
//!                      │  ▲                    released        it certainly was not
//!                      │  └── claim ────────── released
//!                      └──── no outcome: whoever claims it next delivers it again, as the same mail
//! (nothing) ───────▶ dropped                                   nobody is to get it, and why
//! ```
//!
//! A claim says who made it. One of a process that is gone, or of an earlier try of one's own, is in
//! doubt: the mail may have been delivered. It is delivered again with the same `Message-ID`, and
//! counted. Another process that has a claim for a moment only may still be delivering: that is
//! waited for.
//!
//! Changes are compare and set, gathered from many mails at once, so that they share waits for the
//! disk.

use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::time::{Millis, Timestamp};
use cityevents_mail::MailId;
use cityevents_runtime::log::clock::Clock;
use cityevents_views::ViewsError;
use cityevents_views::records::{Change, RecordKey, RecordKind, RecordValue, Records, Revision};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// How long it is known what became of a mail: longer than it can lie among the dead letters.
const KEPT: Millis = Millis::hours(31 * 24);
/// A claim of another process that is younger may still be at work.
const PATIENCE_MS: i64 = 420_000;
/// Changes made at once.
const BATCH_MAX: usize = 512;
/// Changes that wait to be gathered.
const WAITING_MAX: usize = 8_192;

/// What is known of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How it stands.
    pub state: State,
    /// Since when, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who says so.
    pub by: Holder,
    /// How often it was claimed when an earlier delivery was in doubt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub doubts: u32,
    /// Why it was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Somebody delivers it, or did when they ended.
    Claimed,
    /// A try has failed, and nothing was delivered.
    Released,
    /// It was delivered.
    Sent,
    /// It is not to be delivered.
    Dropped,
}

/// Who delivers: a process, and which run of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The name of the process, which no two have at the same time.
    pub member: String,
    /// Drawn at its start.
    pub run: u64,
}

/// What a claim came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It is to be delivered now.
    Ours(Claim),
    /// It was delivered, or is not to be.
    Settled(State),
    /// Somebody else may be delivering it.
    Busy(Duration),
}

/// The right to deliver a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    id: MailId,
    revision: Revision,
    doubts: u32,
    /// An earlier delivery is in doubt.
    pub is_again: bool,
}

/// What to do about a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Claim { is_again: bool },
    Settled(State),
    Wait(Duration),
}

/// What `me` does about a mail that stands like this.
fn step(entry: &Entry, me: &Holder, now_ms: i64) -> Step {
    match entry.state {
        State::Sent | State::Dropped => Step::Settled(entry.state),
        State::Released => Step::Claim { is_again: false },
        State::Claimed => {
            let left_ms = entry.at_ms.saturating_add(PATIENCE_MS).saturating_sub(now_ms);
            match u64::try_from(left_ms) {
                Ok(left_ms) if left_ms > 0 && entry.by.member != me.member => {
                    Step::Wait(Duration::from_millis(left_ms))
                }
                _ => Step::Claim { is_again: true },
            }
        }
    }
}

/// The ledger is away, or makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The tables did not do what was asked.
    #[error(transparent)]
    Tables(#[from] ViewsError),
    /// An entry cannot be read.
    #[error("the ledger has an entry that is damaged or of a newer version: {0}")]
    Damaged(#[from] serde_json::Error),
    /// The machine gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The process ends.
    #[error("the ledger is closed: the process ends")]
    Closed,
}

/// The ledger. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    me: Holder,
    changes: mpsc::Sender<Job>,
}

struct Job {
    change: Change,
    made: oneshot::Sender<Result<bool, ViewsError>>,
}

impl Ledger {
    /// In the records of the tables. `member` names this process. To be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn start(
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
        member: &str,
    ) -> Result<Self, getrandom::Error> {
        let me = Holder { member: member.to_owned(), run: getrandom::u64()? };
        let (changes, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(gather(Arc::clone(&records), waiting));
        Ok(Self { records, clock, me, changes })
    }

    /// What is known of a mail.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn entry(&self, id: &MailId) -> Result<Option<Entry>, LedgerError> {
        Ok(self.read(id).await?.map(|(_, entry)| entry))
    }

    /// Claims a mail for delivery.
    ///
    /// # Errors
    /// When the tables are away: whether it is claimed is not known then, and the next claim of it
    /// finds out.
    pub async fn claim(&self, id: &MailId) -> Result<Claimed, LedgerError> {
        let mut entry = self.entry_of(State::Claimed, 0, None);
        let revision = revision()?;
        if self.put(id, None, revision, &entry).await? {
            return Ok(Claimed::Ours(Claim { id: *id, revision, doubts: 0, is_again: false }));
        }
        let Some((expected, there)) = self.read(id).await? else {
            // It has expired in between.
            return Ok(Claimed::Busy(Duration::ZERO));
        };
        match step(&there, &self.me, self.clock.now_ms()) {
            Step::Settled(state) => Ok(Claimed::Settled(state)),
            Step::Wait(left) => Ok(Claimed::Busy(left)),
            Step::Claim { is_again } => {
                entry.doubts = there.doubts.saturating_add(u32::from(is_again));
                let revision = self::revision()?;
                if !self.put(id, Some(expected), revision, &entry).await? {
                    return Ok(Claimed::Busy(Duration::ZERO));
                }
                let claim = Claim { id: *id, revision, doubts: entry.doubts, is_again };
                Ok(Claimed::Ours(claim))
            }
        }
    }

    /// It was delivered.
    ///
    /// # Errors
    /// When the tables are away.
    pub async fn sent(&self, claim: &Claim) -> Result<(), LedgerError> {
        self.end(claim, State::Sent).await
    }

    /// It certainly was not.
    ///
    /// # Errors
    /// When the tables are away.
    pub async fn release(&self, claim: &Claim) -> Result<(), LedgerError> {
        self.end(claim, State::Released).await
    }

    /// It is not to be delivered.
    ///
    /// # Errors
    /// When the tables are away.
    pub async fn drop_mail(&self, id: &MailId, why: &str) -> Result<(), LedgerError> {
        let entry = self.entry_of(State::Dropped, 0, Some(why.to_owned()));
        let present = self.read(id).await?;
        if present.as_ref().is_some_and(|(_, entry)| entry.state == State::Sent) {
            return Ok(());
        }
        let expected = present.map(|(revision, _)| revision);
        self.put(id, expected, revision()?, &entry).await.map(drop)
    }

    async fn end(&self, claim: &Claim, state: State) -> Result<(), LedgerError> {
        let entry = self.entry_of(state, claim.doubts, None);
        // Where somebody else has claimed it since, theirs is the last word.
        self.put(&claim.id, Some(claim.revision), revision()?, &entry).await.map(drop)
    }

    fn entry_of(&self, state: State, doubts: u32, why: Option<String>) -> Entry {
        Entry { state, at_ms: self.clock.now_ms(), by: self.me.clone(), doubts, why }
    }

    async fn read(&self, id: &MailId) -> Result<Option<(Revision, Entry)>, LedgerError> {
        let now = Timestamp::from_millis(self.clock.now_ms());
        let Some(record) = self.records.record(key(id)).await? else { return Ok(None) };
        let has_expired = record.value.expires_at.is_some_and(|at| at <= now);
        let entry: Entry = serde_json::from_slice(&record.value.content)?;
        let entry = match has_expired {
            // Whoever claims it has to replace it.
            true => Entry { state: State::Released, ..entry },
            false => entry,
        };
        Ok(Some((record.revision, entry)))
    }

    async fn put(
        &self,
        id: &MailId,
        expected: Option<Revision>,
        revision: Revision,
        entry: &Entry,
    ) -> Result<bool, LedgerError> {
        let expires_at = Some(Timestamp::from_millis(entry.at_ms) + KEPT);
        let value = Some(RecordValue { content: serde_json::to_vec(entry)?, expires_at });
        let (made, answer) = oneshot::channel();
        let job = Job { change: Change { key: key(id), expected, revision, value }, made };
        self.changes.send(job).await.map_err(|_| LedgerError::Closed)?;
        Ok(answer.await.map_err(|_| LedgerError::Closed)??)
    }
}

fn key(id: &MailId) -> RecordKey {
    RecordKey::new(RecordKind::Mail, id.as_bytes().as_slice())
}

fn revision() -> Result<Revision, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(Revision(bytes))
}

/// Makes changes as they come, those that wait meanwhile together.
async fn gather(records: Arc<dyn Records>, mut waiting: mpsc::Receiver<Job>) {
    let mut jobs = Vec::new();
    while waiting.recv_many(&mut jobs, BATCH_MAX).await > 0 {
        let (changes, made): (Vec<_>, Vec<_>) =
            jobs.drain(..).map(|job| (job.change, job.made)).unzip();
        let records = Arc::clone(&records);
        // The embedded tables wait for the disk on the thread that asks.
        let change = move || futures::executor::block_on(records.change_all(changes));
        let Ok(answers) = tokio::task::spawn_blocking(change).await else { continue };
        for (made, answer) in made.into_iter().zip(answers) {
            // Who asked may have been let go.
            let _gone = made.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use cityevents_runtime::log::clock::ManualClock;
    use cityevents_views::Views;

    use super::*;

    const ID: MailId = MailId::from_bytes([7; 16]);

    fn entry(state: State, member: &str, run: u64) -> Entry {
        let by = Holder { member: member.to_owned(), run };
        Entry { state, at_ms: 1_000, by, doubts: 0, why: None }
    }

    #[test]
    fn a_claim_in_doubt_is_taken_over_and_another_process_is_waited_for() {
        let me = Holder { member: "a".into(), run: 1 };
        let rows = [
            (entry(State::Sent, "a", 1), Step::Settled(State::Sent)),
            (entry(State::Dropped, "b", 2), Step::Settled(State::Dropped)),
            (entry(State::Released, "b", 2), Step::Claim { is_again: false }),
            (entry(State::Claimed, "a", 1), Step::Claim { is_again: true }),
            (entry(State::Claimed, "a", 2), Step::Claim { is_again: true }),
            (entry(State::Claimed, "b", 2), Step::Wait(Duration::from_millis(419_000))),
        ];
        for (entry, expected) in rows {
            assert_eq!(step(&entry, &me, 2_000), expected, "{entry:?}");
        }
        let late = entry(State::Claimed, "b", 2);
        assert_eq!(step(&late, &me, 421_000), Step::Claim { is_again: true });
    }

    fn ledger(views: &Views, clock: &ManualClock, member: &str) -> Ledger {
        Ledger::start(views.records.clone(), Arc::new(clock.clone()), member).unwrap()
    }

    async fn ours(ledger: &Ledger) -> Claim {
        match ledger.claim(&ID).await.unwrap() {
            Claimed::Ours(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_sent_is_settled_for_everybody() {
        let (views, clock) = (Views::memory(), ManualClock::new(1_000));
        let (one, other) = (ledger(&views, &clock, "a"), ledger(&views, &clock, "b"));
        let claim = ours(&one).await;
        assert!(!claim.is_again);
        assert!(matches!(other.claim(&ID).await.unwrap(), Claimed::Busy(_)));
        one.release(&claim).await.unwrap();
        let claim = ours(&other).await;
        assert!(!claim.is_again, "it certainly was not delivered");
        other.sent(&claim).await.unwrap();
        assert_eq!(one.claim(&ID).await.unwrap(), Claimed::Settled(State::Sent));
        one.drop_mail(&ID, "erased").await.unwrap();
        assert_eq!(one.entry(&ID).await.unwrap().unwrap().state, State::Sent);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_later_run_takes_over_at_once_and_counts_the_doubt() {
        let (views, clock) = (Views::memory(), ManualClock::new(1_000));
        let first = ledger(&views, &clock, "a");
        let lost = ours(&first).await;
        let second = ledger(&views, &clock, "a");
        let claim = ours(&second).await;
        assert!(claim.is_again);
        second.sent(&claim).await.unwrap();
        // The first one wakes up, and has nothing to say any more.
        first.release(&lost).await.unwrap();
        let entry = second.entry(&ID).await.unwrap().unwrap();
        assert_eq!((entry.state, entry.doubts), (State::Sent, 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_claims_at_once_one_is_ours() {
        let (views, clock) = (Views::memory(), ManualClock::new(1_000));
        let ledgers: Vec<_> =
            ["a", "b", "c", "d"].iter().map(|name| ledger(&views, &clock, name)).collect();
        let claims = futures::future::join_all(ledgers.iter().map(|one| one.claim(&ID))).await;
        let ours = claims.iter().filter(|claim| matches!(claim, Ok(Claimed::Ours(_)))).count();
        assert_eq!(ours, 1);
    }
}
