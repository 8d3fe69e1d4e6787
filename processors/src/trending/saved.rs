//! The state of a partition in the store of snapshots, so that a takeover need not read all facts
//! that ever were. A snapshot saves time and is never the truth.
//!
//! It is taken right behind a batch that counts, so what it has, the group has too. Beside the facts'
//! offset, which is in its description, it begins with the next offset of the engagements.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cityevents_domain::time::Timestamp;
use cityevents_runtime::follower::Position;
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::TopicPartition;
use cityevents_runtime::snapshot::{Description, SnapshotStore};
use cityevents_runtime::standby::Source;

use super::NAME;
use super::snapshot::FOLD_VERSION;
use super::state::Trending;

/// Where the state of one partition is kept.
#[derive(Clone)]
pub(super) struct Place {
    store: Option<SnapshotStore>,
    facts_id: String,
    engagement_id: String,
    partition: u32,
}

impl Place {
    pub(super) fn new(
        source: &Source,
        facts: &TopicPartition,
        engagement: &TopicPartition,
    ) -> Result<Self, TaskError> {
        Ok(Self {
            store: source.snapshots.clone(),
            facts_id: source.log.describe(&facts.topic)?.id,
            engagement_id: source.log.describe(&engagement.topic)?.id,
            partition: facts.partition,
        })
    }

    /// The newest good snapshot of these topics that is not beyond where the group stands, where it
    /// stands itself, and the next offset of the engagements.
    pub(super) fn restore(&self, committed: Option<u64>) -> Option<(Trending, Position, u64)> {
        let committed = committed?;
        let store = self.store.as_ref()?;
        let listed = match store.list(NAME, self.partition) {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(%error, "snapshots of {NAME} cannot be listed: {error}");
                return None;
            }
        };
        for one in listed.iter().filter(|one| one.fact_offset <= committed) {
            match store.get(&one.name) {
                Ok((description, state)) if self.is_ours(&description) => {
                    let read = description.position().zip(read_state(&state));
                    if let Some((position, (next, state))) = read {
                        return Some((state, position, next));
                    }
                    tracing::warn!("snapshot {} cannot be read: the one before is tried", one.name);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "snapshot {}: {error}", one.name),
            }
        }
        None
    }

    fn is_ours(&self, description: &Description) -> bool {
        description.fold_version == FOLD_VERSION
            && description.fact_topic_id == self.facts_id
            && description.command_topic_id == self.engagement_id
    }
}

fn read_state(bytes: &[u8]) -> Option<(u64, Trending)> {
    let (next, state) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*next), Trending::decode(state).ok()?))
}

/// Writes snapshots beside the work, one at a time.
pub(super) struct Saver {
    place: Place,
    every: Duration,
    saved_at: Instant,
    saving: Option<JoinHandle<()>>,
}

impl Saver {
    pub(super) fn new(place: Place, every: Duration) -> Self {
        Self { place, every, saved_at: Instant::now(), saving: None }
    }

    /// Writes the state down if it is time.
    pub(super) fn save_if_due(
        &mut self,
        state: &Trending,
        position: Position,
        next_engagement: u64,
        now: Timestamp,
    ) {
        let is_busy = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        let Some(store) = self.place.store.clone() else { return };
        if is_busy || self.saved_at.elapsed() < self.every {
            return;
        }
        self.saved_at = Instant::now();
        let mut bytes = next_engagement.to_be_bytes().to_vec();
        bytes.extend_from_slice(&state.encode());
        let description = Description {
            topology: NAME.to_owned(),
            fold_version: FOLD_VERSION,
            command_topic_id: self.place.engagement_id.clone(),
            fact_topic_id: self.place.facts_id.clone(),
            partition: self.place.partition,
            fact_offset: position.offset,
            cursor: position.cursor.to_text(),
            taken_at_ms: now.as_millis(),
            state_bytes: bytes.len() as u64,
        };
        let save = move || match store.put(&description, &bytes) {
            Ok(name) => tracing::debug!("took snapshot {name}"),
            Err(error) => tracing::warn!(%error, "no snapshot of {NAME}: {error}"),
        };
        let name = format!("{NAME}-saver");
        self.saving = std::thread::Builder::new().name(name).spawn(save).ok();
    }

    /// Waits for the one that is being written.
    pub(super) fn wait(&mut self) {
        if let Some(saving) = self.saving.take()
            && saving.join().is_err()
        {
            tracing::warn!("the thread that writes snapshots of {NAME} panicked");
        }
    }
}
