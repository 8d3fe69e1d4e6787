//! A member as a worker would treat it: hears, believes, lets go.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{BRIEF, Fixture};
use crate::log::{Committed, Generation, Member, MemberEvent, TopicPartition};

/// A member and what it has heard.
pub(super) struct Worker {
    pub(super) member: Box<dyn Member>,
    pub(super) owned: BTreeSet<TopicPartition>,
    /// Told to go, and not released yet.
    pub(super) revoked: BTreeSet<TopicPartition>,
    pub(super) generations: Vec<Generation>,
}

impl Worker {
    pub(super) fn join(fixture: &Fixture, topics: &[Arc<str>], name: &str) -> Self {
        let member = fixture.log.join(&fixture.name("group"), topics, name).unwrap();
        let (owned, revoked) = (BTreeSet::new(), BTreeSet::new());
        Self { member, owned, revoked, generations: Vec::new() }
    }

    /// Hears the next news; what is revoked stays owned until it is released.
    pub(super) fn hear(&mut self) {
        match self.member.poll(BRIEF).unwrap() {
            None => {}
            Some(MemberEvent::Assigned { partitions, generation }) => {
                for partition in partitions {
                    assert!(self.owned.insert(partition.clone()), "{partition} is assigned twice");
                }
                self.generations.push(generation);
            }
            Some(MemberEvent::Revoked { partitions }) => {
                assert!(partitions.iter().all(|partition| self.owned.contains(partition)));
                self.revoked.extend(partitions);
            }
            Some(MemberEvent::Lost { partitions }) => {
                for partition in &partitions {
                    self.owned.remove(partition);
                    self.revoked.remove(partition);
                }
            }
        }
    }

    /// Lets go of all that it was told to.
    pub(super) fn release(&mut self) {
        let revoked: Vec<_> = std::mem::take(&mut self.revoked).into_iter().collect();
        if !revoked.is_empty() {
            self.owned.retain(|partition| !revoked.contains(partition));
            self.member.release(&revoked).unwrap();
        }
    }

    /// Hears and lets go.
    pub(super) fn obey(&mut self) {
        self.hear();
        self.release();
    }
}

/// Lets workers obey until they own so many partitions.
pub(super) fn settle(fixture: &Fixture, workers: &mut [&mut Worker], counts: &[usize]) {
    fixture.eventually(&format!("members owning {counts:?} partitions"), || {
        for worker in &mut *workers {
            worker.obey();
        }
        let owned = workers.iter().map(|worker| worker.owned.len());
        owned.eq(counts.iter().copied()).then_some(())
    });
    for worker in workers {
        for partition in &worker.owned {
            assert!(worker.member.owns(partition), "{partition} is ours by the group's book");
        }
    }
}

pub(super) fn progress(offset: u64, metadata: &str) -> Committed {
    Committed { offset, metadata: metadata.to_owned() }
}
