//! A consumer group: who is in it, who holds which partition, how far it got.
//!
//! Cooperative: a partition that is to move stays with its holder until the holder releases it,
//! leaves, or lets the deadline pass; all others go on undisturbed. Who gets what follows from the
//! sorted names alone, so a member that comes back under its name gets the same again. Plain data,
//! no locks, no time of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::log::{
    Committed, Generation, GroupMember, LogError, LogErrorKind, MemberEvent, TopicPartition,
};

/// How long a member has for letting go of a revoked partition.
pub(super) const RELEASE_DEADLINE_MS: i64 = 30_000;

/// Most bytes of metadata beside a committed offset.
pub(super) const METADATA_BYTES_MAX: usize = 4096;

/// One group.
#[derive(Debug, Default)]
pub(super) struct Group {
    topics: Vec<Arc<str>>,
    partitions: u32,
    members: BTreeMap<String, Membership>,
    /// By partition number; who has not got one here owns nothing.
    holders: BTreeMap<u32, Holder>,
    generation: u64,
    instances: u64,
    progress: BTreeMap<TopicPartition, Committed>,
}

#[derive(Debug)]
struct Membership {
    instance: u64,
    /// Died, and the group has not noticed.
    dead: bool,
    news: VecDeque<MemberEvent>,
}

#[derive(Debug)]
struct Holder {
    name: String,
    instance: u64,
    revoked: Option<Revoked>,
}

#[derive(Debug)]
struct Revoked {
    since_ms: i64,
    released: BTreeSet<Arc<str>>,
}

impl Group {
    /// Takes a member in and returns its instance. Whoever has the name already is shut out.
    pub(super) fn join(
        &mut self,
        topics: &[Arc<str>],
        partitions: u32,
        name: &str,
        now_ms: i64,
    ) -> Result<u64, LogError> {
        let known = !self.members.is_empty();
        if known && (self.topics != topics || self.partitions != partitions) {
            let message = format!("member {name} wants other topics than the rest of its group");
            return Err(LogError::new(LogErrorKind::Configuration, message));
        }
        self.topics = topics.to_vec();
        self.partitions = partitions;
        self.instances += 1;
        let instance = self.instances;
        let membership = Membership { instance, dead: false, news: VecDeque::new() };
        self.members.insert(name.to_owned(), membership);
        self.holders.retain(|_, holder| holder.name != name);
        self.rebalance(now_ms);
        Ok(instance)
    }

    /// Takes a member out, if it is still in.
    pub(super) fn leave(&mut self, name: &str, instance: u64, now_ms: i64) {
        if self.is_member(name, instance) {
            self.expel(name, now_ms);
        }
    }

    /// Takes out whoever has this name.
    pub(super) fn expel(&mut self, name: &str, now_ms: i64) {
        self.members.remove(name);
        self.holders.retain(|_, holder| holder.name != name);
        self.rebalance(now_ms);
    }

    /// Notes that a member died without the group noticing.
    pub(super) fn mark_dead(&mut self, name: &str, instance: u64) {
        if let Some(member) = self.members.get_mut(name).filter(|it| it.instance == instance) {
            member.dead = true;
        }
    }

    pub(super) fn is_member(&self, name: &str, instance: u64) -> bool {
        self.members.get(name).is_some_and(|member| member.instance == instance)
    }

    /// Whether somebody, whoever it is, is in under this name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Names, and whether they died.
    pub(super) fn names(&self) -> Vec<(String, bool)> {
        self.members.iter().map(|(name, member)| (name.clone(), member.dead)).collect()
    }

    /// The next news for a member.
    pub(super) fn news(&mut self, name: &str) -> Option<MemberEvent> {
        self.members.get_mut(name)?.news.pop_front()
    }

    pub(super) fn owns(&self, instance: u64, place: &TopicPartition) -> bool {
        let held = self.holders.get(&place.partition);
        let released = |holder: &Holder| {
            holder.revoked.as_ref().is_some_and(|it| it.released.contains(&place.topic))
        };
        self.topics.contains(&place.topic)
            && held.is_some_and(|holder| holder.instance == instance && !released(holder))
    }

    /// Who holds what, by the group's own book.
    pub(super) fn owners(&self) -> BTreeMap<TopicPartition, String> {
        let places = |(number, holder): (&u32, &Holder)| {
            let name = holder.name.clone();
            let of = |topic: &Arc<str>| (TopicPartition::new(topic.clone(), *number), name.clone());
            self.topics.iter().map(of).collect::<Vec<_>>()
        };
        self.holders.iter().flat_map(places).collect()
    }

    /// Everybody, and what each of them holds, by the group's own book.
    pub(super) fn members(&self) -> Vec<GroupMember> {
        let owners = self.owners();
        let member = |name: &String| {
            let held = owners.iter().filter(|(_, owner)| *owner == name);
            let partitions = held.map(|(place, _)| place.clone()).collect();
            GroupMember { name: name.clone(), partitions }
        };
        self.members.keys().map(member).collect()
    }

    /// Lets go of revoked partitions; a number is free when it is released for all topics.
    pub(super) fn release(&mut self, instance: u64, places: &[TopicPartition], now_ms: i64) {
        for place in places {
            let Some(holder) = self.holders.get_mut(&place.partition) else {
                continue;
            };
            let Some(revoked) = holder.revoked.as_mut() else {
                continue;
            };
            if holder.instance == instance {
                revoked.released.insert(place.topic.clone());
                if self.topics.iter().all(|topic| revoked.released.contains(topic)) {
                    self.holders.remove(&place.partition);
                }
            }
        }
        self.rebalance(now_ms);
    }

    /// Takes partitions away from members that did not let go in time.
    pub(super) fn enforce_deadline(&mut self, now_ms: i64) {
        let late = |holder: &Holder| {
            holder.revoked.as_ref().is_some_and(|it| now_ms - it.since_ms >= RELEASE_DEADLINE_MS)
        };
        let mut lost: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (number, holder) in self.holders.extract_if(.., |_, holder| late(holder)) {
            lost.entry(holder.name).or_default().push(number);
        }
        if lost.is_empty() {
            return;
        }
        for (name, numbers) in lost {
            let partitions = self.places(&numbers);
            self.tell(&name, MemberEvent::Lost { partitions });
        }
        self.rebalance(now_ms);
    }

    pub(super) fn committed(&self, place: &TopicPartition) -> Option<Committed> {
        self.progress.get(place).cloned()
    }

    /// Stores progress. Who may do so was checked before.
    pub(super) fn commit(
        &mut self,
        progress: impl IntoIterator<Item = (TopicPartition, Committed)>,
    ) {
        self.progress.extend(progress);
    }

    /// Forgets a topic that was deleted.
    pub(super) fn forget(&mut self, topic: &str) {
        self.progress.retain(|place, _| &*place.topic != topic);
    }

    /// Gives free partitions to whom they belong, and asks for those that others have.
    fn rebalance(&mut self, now_ms: i64) {
        let names: Vec<String> = self.members.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let mut assigned: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut revoked: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for number in 0..self.partitions {
            let name = &names[number as usize % names.len()];
            match self.holders.get_mut(&number) {
                None => {
                    let instance = self.members.get(name).map_or(0, |member| member.instance);
                    let holder = Holder { name: name.clone(), instance, revoked: None };
                    self.holders.insert(number, holder);
                    assigned.entry(name).or_default().push(number);
                }
                Some(holder) if holder.name != *name && holder.revoked.is_none() => {
                    let released = BTreeSet::new();
                    holder.revoked = Some(Revoked { since_ms: now_ms, released });
                    revoked.entry(holder.name.clone()).or_default().push(number);
                }
                Some(_) => {}
            }
        }
        for (name, numbers) in revoked {
            let partitions = self.places(&numbers);
            self.tell(&name, MemberEvent::Revoked { partitions });
        }
        if !assigned.is_empty() {
            self.generation += 1;
        }
        for (name, numbers) in assigned {
            let partitions = self.places(&numbers);
            let generation = Generation(self.generation);
            self.tell(name, MemberEvent::Assigned { partitions, generation });
        }
    }

    fn places(&self, numbers: &[u32]) -> Vec<TopicPartition> {
        let of = |topic: &Arc<str>| {
            let topic = topic.clone();
            numbers.iter().map(move |number| TopicPartition::new(topic.clone(), *number))
        };
        self.topics.iter().flat_map(of).collect()
    }

    fn tell(&mut self, name: &str, event: MemberEvent) {
        if let Some(member) = self.members.get_mut(name) {
            member.news.push_back(event);
        }
    }
}

/// Whether progress fits beside an offset.
pub(super) fn check_metadata(progress: &[(TopicPartition, Committed)]) -> Result<(), LogError> {
    for (place, committed) in progress {
        let bytes = committed.metadata.len();
        if bytes > METADATA_BYTES_MAX {
            let message = format!(
                "metadata of {bytes} bytes beside the progress in {place} is larger than \
                 {METADATA_BYTES_MAX}"
            );
            return Err(LogError::new(LogErrorKind::RecordTooLarge, message));
        }
    }
    Ok(())
}
