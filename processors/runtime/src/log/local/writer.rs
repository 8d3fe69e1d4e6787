//! The writer thread: takes all that waits, puts it into one atomic batch, makes it durable with
//! one fsync and answers. So the more waits, the less an fsync costs each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::engine::Shared;
use super::journal::Stamp;
use super::queue::{Append, Fenced, Job, closed};
use super::round::{Done, Round};
use super::store::cannot;
use crate::log::{LogError, LogErrorKind};

/// Most bytes of one batch, so that no fsync takes too long.
const ROUND_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) struct Writer {
    shared: Arc<Shared>,
    /// The newest epoch of each writer identity.
    epochs: HashMap<String, u64>,
    /// The newest round, and the newest that is durable.
    stamp: Stamp,
}

impl Writer {
    /// `stamp` is the one of the newest round that the store has.
    pub(super) fn new(shared: Arc<Shared>, epochs: HashMap<String, u64>, stamp: Stamp) -> Self {
        // Opening made durable what it found.
        let stamp = Stamp { round: stamp.round, durable: stamp.round };
        Self { shared, epochs, stamp }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        // However this thread ends, nobody waits for it in vain.
        let _end = End(self.shared.clone());
        let mut jobs = Vec::new();
        loop {
            self.shared.queue.take(ROUND_BYTES_MAX, &mut jobs);
            if jobs.is_empty() {
                return;
            }
            self.round(&mut jobs);
        }
    }

    fn round(&mut self, jobs: &mut Vec<Job>) {
        let shared = self.shared.clone();
        let mut round = Round::new(&shared);
        let mut outcome = Ok(());
        for job in jobs.drain(..) {
            let admitted = shared.check_fault().and_then(|()| match job.grows() {
                true => shared.guard.take(job.bytes() as u64),
                false => Ok(()),
            });
            match (admitted, &outcome) {
                (Ok(()), Ok(())) => outcome = self.stage(&mut round, job),
                (Err(error), _) => job.fail(error),
                (_, Err(error)) => job.fail(LogError::clone(error)),
            }
        }
        if outcome.is_ok() && round.is_empty() {
            return;
        }
        self.stamp.round += 1;
        match outcome.and_then(|()| round.finish(self.stamp)) {
            Ok(()) => self.commit(round),
            Err(error) => round.fail(&shared.poison(&error)),
        }
    }

    /// Adds one piece of work to the round. An error here is one of the store.
    fn stage(&mut self, round: &mut Round<'_>, job: Job) -> Result<(), LogError> {
        match job {
            Job::Append(Append { records, account, first_ticket }) => {
                if let Some(error) = account.broken() {
                    account.fail(first_ticket, records.count, records.bytes, error);
                    return Ok(());
                }
                let (count, bytes) = (records.count, records.bytes);
                let durable = records.topic.description.spec.durable;
                let offset = round.append(records).inspect_err(|error| {
                    account.fail(first_ticket, count, bytes, self.shared.poison(error));
                })?;
                round.done(durable, Done::Appended { account, first_ticket, count, bytes, offset });
            }
            Job::Fenced(fenced) => {
                let Fenced { identity, epoch, records, group, progress, answer } = fenced;
                if self.epochs.get(&identity) != Some(&epoch) {
                    let message = format!("a newer holder took the writer identity {identity}");
                    answer.give(Err(LogError::new(LogErrorKind::Fenced, message)));
                    return Ok(());
                }
                for records in records {
                    round.append(records)?;
                }
                self.shared.groups.record(&group, &progress);
                round.progress(&group, &progress);
                round.done(true, Done::Unit(answer));
            }
            Job::Identity { identity, answer } => {
                let epoch = self.epochs.get(&identity).copied().unwrap_or(0) + 1;
                round.epoch(&identity, epoch);
                self.epochs.insert(identity, epoch);
                round.done(true, Done::Epoch(answer, epoch));
            }
            Job::Describe { key, value, answer } => {
                round.describe(key, value);
                round.done(true, Done::Unit(answer));
            }
            Job::Commit { group, instance, progress, answer } => {
                match self.shared.groups.record_owned(&group, instance, &progress) {
                    Err(error) => answer.give(Err(error)),
                    Ok(()) => {
                        round.progress(&group, &progress);
                        round.done(true, Done::Unit(answer));
                    }
                }
            }
            Job::Trim { topic, partition, values, low, answer } => {
                round.trim(topic, partition, values, low)?;
                round.done(true, Done::Unit(answer));
            }
            Job::Bury { topic, partition, tombstones, answer } => {
                round.bury(topic, partition, tombstones)?;
                round.done(true, Done::Unit(answer));
            }
        }
        Ok(())
    }

    fn commit(&mut self, mut round: Round<'_>) {
        let shared = self.shared.clone();
        shared.counters.count_batch(round.records());
        if let Err(error) = round.write() {
            round.fail(&shared.poison(&cannot("write", &error)));
            return;
        }
        round.publish(false);
        if !round.is_durable() {
            return;
        }
        let begun = Instant::now();
        match shared.store.sync() {
            Ok(()) => {
                self.stamp.durable = self.stamp.round;
                shared.counters.count_sync(begun.elapsed());
                round.publish(true);
            }
            Err(error) => round.fail(&shared.poison(&cannot("make records durable", &error))),
        }
    }
}

struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.queue.close();
        let error = match std::thread::panicking() {
            true => {
                let message = "the writer of the log came to a halt: restart the program";
                self.0.poison(&LogError::new(LogErrorKind::Unavailable, message))
            }
            false => closed(),
        };
        self.0.queue.fail_all(&error);
    }
}
