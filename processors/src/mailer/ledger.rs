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
//! counted.
//!
//! Another process that has a claim may still be delivering. So whoever delivers renews the claim, and
//! stops delivering when it is [`LEASE`] old; whoever waits takes over what has been the same for that
//! long. Both count from a moment on their own side of the one write that both know: no clocks are
//! compared, and no process has to be known to be dead.
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
use tokio::time::Instant;

/// How long it is known what became of a mail: longer than it can lie among the dead letters.
const KEPT: Millis = Millis::hours(31 * 24);
/// How long a claim counts that is not renewed.
pub const LEASE: Duration = Duration::from_millis(LEASE_MS as u64);
const LEASE_MS: u32 = 20_000;
/// A claim of a program that renews none: when it is younger its process may still be at work.
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
    /// A claim counts for so long when it is not renewed, in milliseconds; 0: it never is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lease_ms: u32,
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
    /// Renewals of which it is not known whether they were made.
    unsure: Vec<Revision>,
    doubts: u32,
    /// Before it was made or renewed last.
    since: Instant,
    /// An earlier delivery is in doubt.
    pub is_again: bool,
}

impl Claim {
    /// From then on somebody else may deliver.
    pub fn ends_at(&self) -> Instant {
        self.since + LEASE
    }

    fn revisions(&self) -> impl Iterator<Item = Revision> {
        std::iter::once(self.revision).chain(self.unsure.iter().copied())
    }
}

/// Since when the claim of somebody else is the same, as one who waits has seen it.
#[derive(Debug, Default)]
pub struct Sighting(Option<(Revision, Instant)>);

impl Sighting {
    fn seen_for(&mut self, revision: Revision) -> Duration {
        match self.0 {
            Some((seen, since)) if seen == revision => since.elapsed(),
            _ => {
                self.0 = Some((revision, Instant::now()));
                Duration::ZERO
            }
        }
    }
}

/// What to do about a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Claim { is_again: bool },
    Settled(State),
    Wait(Duration),
}

/// What `me` does about a mail that has stood like this for a while.
fn step(entry: &Entry, me: &Holder, now_ms: i64, seen_for: Duration) -> Step {
    match entry.state {
        State::Sent | State::Dropped => Step::Settled(entry.state),
        State::Released => Step::Claim { is_again: false },
        State::Claimed if entry.by.member == me.member => Step::Claim { is_again: true },
        State::Claimed => {
            let left = match entry.lease_ms {
                0 => {
                    let left_ms = entry.at_ms.saturating_add(PATIENCE_MS).saturating_sub(now_ms);
                    Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
                }
                lease_ms => Duration::from_millis(lease_ms.into()).saturating_sub(seen_for),
            };
            if left.is_zero() { Step::Claim { is_again: true } } else { Step::Wait(left) }
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

    /// Claims a mail for delivery. Who is told to wait comes again with what it has seen.
    ///
    /// # Errors
    /// When the tables are away: whether it is claimed is not known then, and the next claim of it
    /// finds out.
    pub async fn claim(&self, id: &MailId, seen: &mut Sighting) -> Result<Claimed, LedgerError> {
        let mut entry = self.entry_of(State::Claimed, 0, None);
        let ours = |revision, doubts, since, is_again| {
            let (id, unsure) = (*id, Vec::new());
            Claimed::Ours(Claim { id, revision, unsure, doubts, since, is_again })
        };
        let (since, revision) = (Instant::now(), revision()?);
        if self.put(id, None, revision, &entry).await? {
            return Ok(ours(revision, 0, since, false));
        }
        let Some((expected, there)) = self.read(id).await? else {
            // It has expired in between.
            return Ok(Claimed::Busy(Duration::ZERO));
        };
        match step(&there, &self.me, self.clock.now_ms(), seen.seen_for(expected)) {
            Step::Settled(state) => Ok(Claimed::Settled(state)),
            Step::Wait(left) => Ok(Claimed::Busy(left)),
            Step::Claim { is_again } => {
                entry.doubts = there.doubts.saturating_add(u32::from(is_again));
                let (since, revision) = (Instant::now(), self::revision()?);
                if !self.put(id, Some(expected), revision, &entry).await? {
                    return Ok(Claimed::Busy(Duration::ZERO));
                }
                Ok(ours(revision, entry.doubts, since, is_again))
            }
        }
    }

    /// Goes on with a claim; `false`: somebody else has it. May be let go of at any moment.
    ///
    /// # Errors
    /// When the tables are away.
    pub async fn renew(&self, claim: &mut Claim) -> Result<bool, LedgerError> {
        let entry = self.entry_of(State::Claimed, claim.doubts, None);
        let (since, next) = (Instant::now(), revision()?);
        let known: Vec<_> = claim.revisions().collect();
        claim.unsure.push(next);
        for expected in known {
            if self.put(&claim.id, Some(expected), next, &entry).await? {
                (claim.revision, claim.since) = (next, since);
                claim.unsure.clear();
                return Ok(true);
            }
        }
        Ok(false)
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
        for expected in claim.revisions() {
            if self.put(&claim.id, Some(expected), revision()?, &entry).await? {
                break;
            }
        }
        // Where somebody else has claimed it since, theirs is the last word.
        Ok(())
    }

    fn entry_of(&self, state: State, doubts: u32, why: Option<String>) -> Entry {
        let lease_ms = if state == State::Claimed { LEASE_MS } else { 0 };
        Entry { state, at_ms: self.clock.now_ms(), by: self.me.clone(), doubts, why, lease_ms }
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
        let answers = records.change_all(changes).await;
        for (made, answer) in made.into_iter().zip(answers) {
            // Who asked may have been let go.
            let _gone = made.send(answer);
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
