//! Warm standbys of the partitions that others own, so that a partition that comes to this process
//! is taken over at once.
//!
//! One thread a partition. While somebody else owns the partition, the thread keeps a [`Standby`]
//! up to date. [`StandbyPool::take`] hands that over to the worker that is made for the partition,
//! and the thread rests until the worker is gone ([`Lease`]). Whoever takes while a restore is on
//! its way waits for it: a second one would take as long.
//!
//! Nothing here decides. A standby that fails is dropped and restored anew, and a worker that finds
//! none restores by itself.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex};

use super::{FoldError, Source, Standby};
use crate::log::{LogError, LogErrorKind, PollLimit};
use crate::topology::Topology;

/// How long one read waits for facts: a request to hand over is heard after that.
const POLL_WAIT: Duration = Duration::from_millis(20);
/// Facts folded between two looks at what is asked for.
const POLL: PollLimit = PollLimit { records: 4_096, bytes: 4 << 20 };
/// First wait after a failure; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest wait after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// The standbys of all partitions of a topology. Cheap to clone.
pub struct StandbyPool<T> {
    slots: Arc<[Slot<T>]>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl<T> Clone for StandbyPool<T> {
    fn clone(&self) -> Self {
        Self { slots: Arc::clone(&self.slots), threads: Arc::clone(&self.threads) }
    }
}

/// What is asked of one partition's thread.
struct Slot<T> {
    asked: Mutex<Asked<T>>,
    changed: Condvar,
}

enum Asked<T> {
    /// Keep a standby.
    Follow,
    /// Hand it over here, then rest.
    HandOver(Sender<Option<Standby<T>>>),
    /// A worker has the partition.
    Rest,
    /// The process stops.
    End,
}

/// Somebody here owns the partition. When this is dropped, its standby begins again.
pub struct Lease(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(give_back) = self.0.take() {
            give_back();
        }
    }
}

impl<T: Topology + 'static> StandbyPool<T> {
    /// Begins to follow all partitions.
    ///
    /// # Errors
    /// When the log does not say how many there are, or no thread can be made.
    pub fn start(
        source: &Source,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Result<Self, LogError> {
        let partitions = source.log.describe(&source.facts)?.spec.partitions;
        let slot = |_| Slot { asked: Mutex::new(Asked::Follow), changed: Condvar::new() };
        let slots: Arc<[Slot<T>]> = (0..partitions).map(slot).collect();
        let pool = Self { slots: Arc::clone(&slots), threads: Arc::default() };
        let make = Arc::new(make);
        for partition in 0..partitions {
            let (source, slots, make) = (source.clone(), Arc::clone(&slots), Arc::clone(&make));
            let name = format!("standby-{partition}");
            let follow = move || {
                let slot = &slots[partition as usize];
                Thread { source, partition, slot, make: &*make }.run();
            };
            let spawned = std::thread::Builder::new().name(name.clone()).spawn(follow);
            let thread = spawned.map_err(|error| {
                pool.stop();
                let message = format!("no thread {name} can be made: {error}");
                LogError::new(LogErrorKind::Unavailable, message)
            })?;
            pool.threads.lock().push(thread);
        }
        Ok(pool)
    }

    /// The standby of a partition, as warm as it is, for whoever owns the partition now. `None`
    /// when there is none that can be used. No standby is kept before the lease is dropped.
    pub fn take(&self, partition: u32) -> (Option<Standby<T>>, Lease) {
        let Some(slot) = self.slots.get(partition as usize) else {
            return (None, Lease(None));
        };
        let (standby, handed) = bounded(1);
        if !slot.ask(Asked::HandOver(standby)) {
            return (None, Lease(None));
        }
        let slots = Arc::clone(&self.slots);
        let give_back = move || {
            if let Some(slot) = slots.get(partition as usize) {
                slot.ask(Asked::Follow);
            }
        };
        let handed: Receiver<Option<Standby<T>>> = handed;
        (handed.recv().ok().flatten(), Lease(Some(Box::new(give_back))))
    }

    /// Ends all threads.
    pub fn stop(&self) {
        for slot in self.slots.iter() {
            slot.ask(Asked::End);
        }
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("the thread of a standby panicked");
            }
        }
    }
}

impl<T> Slot<T> {
    /// Asks for something else, unless the thread was told to end.
    fn ask(&self, what: Asked<T>) -> bool {
        let mut asked = self.asked.lock();
        if matches!(*asked, Asked::End) {
            return false;
        }
        *asked = what;
        self.changed.notify_all();
        true
    }
}

struct Thread<'a, T, F> {
    source: Source,
    partition: u32,
    slot: &'a Slot<T>,
    make: &'a F,
}

impl<T: Topology, F: Fn() -> T> Thread<'_, T, F> {
    fn run(self) {
        let mut standby: Option<Standby<T>> = None;
        let mut failures = 0;
        while self.obey(&mut standby) {
            match self.follow(&mut standby) {
                Ok(()) => failures = 0,
                Err(error) => {
                    standby = None;
                    if failures == 0 {
                        let partition = self.partition;
                        tracing::warn!(
                            %error,
                            kafka.partition = partition,
                            "no standby of {}/{partition}: {error}",
                            self.source.topology
                        );
                    }
                    let backoff = BACKOFF_MIN.saturating_mul(1 << failures.min(10));
                    failures += 1;
                    let mut asked = self.slot.asked.lock();
                    if matches!(*asked, Asked::Follow) {
                        let backoff = backoff.min(BACKOFF_MAX);
                        let _asked_or_over = self.slot.changed.wait_for(&mut asked, backoff);
                    }
                }
            }
        }
    }

    /// Does what is asked besides following. Whether to go on.
    fn obey(&self, standby: &mut Option<Standby<T>>) -> bool {
        let mut asked = self.slot.asked.lock();
        loop {
            match &*asked {
                Asked::Follow => return true,
                Asked::HandOver(to) => {
                    // Who asked may be gone; the lease it got follows its own way.
                    let _handed = to.send(standby.take());
                    *asked = Asked::Rest;
                }
                Asked::Rest => self.slot.changed.wait(&mut asked),
                Asked::End => return false,
            }
        }
    }

    fn follow(&self, standby: &mut Option<Standby<T>>) -> Result<(), FoldError> {
        match standby {
            Some(standby) => standby.poll(POLL, POLL_WAIT).map(drop),
            None => {
                *standby = Some(Standby::restore(&self.source, self.partition, self.make)?);
                Ok(())
            }
        }
    }
}
