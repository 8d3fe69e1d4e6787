//! One consumer group: who is in it and who holds what.
//!
//! Cooperative: a partition that is to move stays with its holder until the holder lets go of it,
//! leaves, or is too late; nobody else is disturbed. Who is to get what follows from the sorted
//! names alone, so who comes back under its name gets the same. Plain data: no locks, and the time
//! is handed in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::log::{Generation, GroupMember, LogError, LogErrorKind, MemberEvent, TopicPartition};

#[derive(Debug, Default)]
pub(super) struct Group {
    topics: Vec<Arc<str>>,
    partitions: u32,
    members: BTreeMap<String, Seat>,
    /// By number; a number is held in all topics at once.
    held: BTreeMap<u32, Hold>,
    generation: u64,
    instances: u64,
}

#[derive(Debug)]
struct Seat {
    instance: u64,
    news: VecDeque<MemberEvent>,
}

#[derive(Debug)]
struct Hold {
    instance: u64,
    /// Set when it is to move: until when, and in which topics it was let go already.
    leaving: Option<(Instant, BTreeSet<Arc<str>>)>,
}

impl Group {
    /// Takes a member in. Whoever sat under this name is shut out.
    pub(super) fn join(
        &mut self,
        topics: &[Arc<str>],
        partitions: u32,
        name: &str,
        late: Instant,
    ) -> Result<u64, LogError> {
        let same = self.topics == topics && self.partitions == partitions;
        if !same && self.members.keys().any(|known| known != name) {
            let message = format!(
                "member {name} asks for other topics than the members that its group has: give \
                 all the same"
            );
            return Err(LogError::new(LogErrorKind::Configuration, message));
        }
        self.leave_as(name);
        self.topics = topics.to_vec();
        self.partitions = partitions;
        self.instances += 1;
        let seat = Seat { instance: self.instances, news: VecDeque::new() };
        self.members.insert(name.to_owned(), seat);
        self.assign(late);
        Ok(self.instances)
    }

    /// Takes a member out, if it still sits there.
    pub(super) fn leave(&mut self, name: &str, instance: u64, late: Instant) {
        if self.has(name, instance) {
            self.leave_as(name);
            self.assign(late);
        }
    }

    /// Whether this very member is in.
    pub(super) fn has(&self, name: &str, instance: u64) -> bool {
        self.members.get(name).is_some_and(|seat| seat.instance == instance)
    }

    /// The next news of a member.
    pub(super) fn news(&mut self, name: &str) -> Option<MemberEvent> {
        self.members.get_mut(name)?.news.pop_front()
    }

    /// Whether a member holds a partition, one that it was asked to let go of included.
    pub(super) fn owns(&self, instance: u64, place: &TopicPartition) -> bool {
        let Some(hold) = self.held.get(&place.partition) else {
            return false;
        };
        let let_go = hold.leaving.as_ref().is_some_and(|(_, gone)| gone.contains(&place.topic));
        hold.instance == instance && !let_go && self.topics.contains(&place.topic)
    }

    /// Everybody, and what each of them holds.
    pub(super) fn members(&self) -> Vec<GroupMember> {
        let member = |(name, seat): (&String, &Seat)| {
            let held = self.held.keys().flat_map(|number| self.places(&[*number]));
            let partitions = held.filter(|place| self.owns(seat.instance, place)).collect();
            GroupMember { name: name.clone(), partitions }
        };
        self.members.iter().map(member).collect()
    }

    /// Lets go of partitions that are to move.
    pub(super) fn release(&mut self, instance: u64, places: &[TopicPartition], late: Instant) {
        for place in places {
            let Some(hold) = self.held.get_mut(&place.partition) else {
                continue;
            };
            if let (true, Some((_, gone))) = (hold.instance == instance, &mut hold.leaving) {
                gone.insert(place.topic.clone());
                if self.topics.iter().all(|topic| gone.contains(topic)) {
                    self.held.remove(&place.partition);
                }
            }
        }
        self.assign(late);
    }

    /// When somebody will be too late with letting go.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.held.values().filter_map(|hold| hold.leaving.as_ref().map(|(late, _)| *late)).min()
    }

    /// Takes partitions from members that were too late. True when there were any.
    pub(super) fn enforce(&mut self, now: Instant, patience: Duration) -> bool {
        let is_late = |hold: &Hold| hold.leaving.as_ref().is_some_and(|(late, _)| *late <= now);
        let mut lost: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for (number, hold) in self.held.extract_if(.., |_, hold| is_late(hold)) {
            lost.entry(hold.instance).or_default().push(number);
        }
        for (instance, numbers) in &lost {
            let partitions = self.places(numbers);
            self.tell(*instance, MemberEvent::Lost { partitions });
        }
        if !lost.is_empty() {
            self.assign(now + patience);
        }
        !lost.is_empty()
    }

    fn leave_as(&mut self, name: &str) {
        if let Some(seat) = self.members.remove(name) {
            self.held.retain(|_, hold| hold.instance != seat.instance);
        }
    }

    /// Gives what is free to whom it belongs, and asks for what others hold.
    fn assign(&mut self, late: Instant) {
        let seats: Vec<u64> = self.members.values().map(|seat| seat.instance).collect();
        if seats.is_empty() {
            return;
        }
        let mut given: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        let mut wanted: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for number in 0..self.partitions {
            let target = seats[number as usize % seats.len()];
            match self.held.get_mut(&number) {
                None => {
                    self.held.insert(number, Hold { instance: target, leaving: None });
                    given.entry(target).or_default().push(number);
                }
                Some(hold) if hold.instance != target && hold.leaving.is_none() => {
                    hold.leaving = Some((late, BTreeSet::new()));
                    wanted.entry(hold.instance).or_default().push(number);
                }
                Some(_) => {}
            }
        }
        for (instance, numbers) in wanted {
            let partitions = self.places(&numbers);
            self.tell(instance, MemberEvent::Revoked { partitions });
        }
        self.generation += u64::from(!given.is_empty());
        for (instance, numbers) in given {
            let partitions = self.places(&numbers);
            let generation = Generation(self.generation);
            self.tell(instance, MemberEvent::Assigned { partitions, generation });
        }
    }

    fn places(&self, numbers: &[u32]) -> Vec<TopicPartition> {
        let place = |topic: &Arc<str>, number: &u32| TopicPartition::new(topic.clone(), *number);
        let of = |topic| numbers.iter().map(move |number| place(topic, number));
        self.topics.iter().flat_map(of).collect()
    }

    fn tell(&mut self, instance: u64, event: MemberEvent) {
        if let Some(seat) = self.members.values_mut().find(|seat| seat.instance == instance) {
            seat.news.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        group: Group,
        now: Instant,
        topics: Vec<Arc<str>>,
    }

    impl Scene {
        fn new() -> Self {
            Self { group: Group::default(), now: Instant::now(), topics: vec!["facts".into()] }
        }

        fn late(&self) -> Instant {
            self.now + Duration::from_secs(30)
        }

        fn join(&mut self, name: &str) -> u64 {
            self.group.join(&self.topics, 4, name, self.late()).unwrap()
        }

        fn news(&mut self, name: &str) -> Vec<(&'static str, Vec<u32>)> {
            let numbers = |partitions: Vec<TopicPartition>| {
                partitions.iter().map(|place| place.partition).collect()
            };
            std::iter::from_fn(|| self.group.news(name))
                .map(|event| match event {
                    MemberEvent::Assigned { partitions, .. } => ("assigned", numbers(partitions)),
                    MemberEvent::Revoked { partitions } => ("revoked", numbers(partitions)),
                    MemberEvent::Lost { partitions } => ("lost", numbers(partitions)),
                })
                .collect()
        }

        fn places(&self, numbers: &[u32]) -> Vec<TopicPartition> {
            self.group.places(numbers)
        }
    }

    #[test]
    fn a_partition_moves_only_after_its_holder_let_go() {
        let mut scene = Scene::new();
        let first = scene.join("a");
        assert_eq!(scene.news("a"), [("assigned", vec![0, 1, 2, 3])]);
        let second = scene.join("b");
        assert_eq!(scene.news("a"), [("revoked", vec![1, 3])]);
        assert_eq!(scene.news("b"), []);
        let places = scene.places(&[1, 3]);
        assert!(scene.group.owns(first, &places[0]));
        let late = scene.late();
        scene.group.release(first, &places[..1], late);
        assert_eq!(scene.news("b"), [("assigned", vec![1])]);
        assert!(!scene.group.owns(first, &places[0]));
        assert!(scene.group.owns(second, &places[0]));
        scene.group.release(first, &places[1..], late);
        assert_eq!(scene.news("b"), [("assigned", vec![3])]);
    }

    #[test]
    fn who_is_too_late_loses_what_it_was_to_let_go_of() {
        let mut scene = Scene::new();
        let first = scene.join("a");
        scene.join("b");
        scene.news("a");
        let patience = Duration::from_secs(30);
        assert!(!scene.group.enforce(scene.now, patience));
        assert_eq!(scene.group.next_deadline(), Some(scene.late()));
        assert!(scene.group.enforce(scene.late(), patience));
        assert_eq!(scene.news("a"), [("lost", vec![1, 3])]);
        assert_eq!(scene.news("b"), [("assigned", vec![1, 3])]);
        assert!(!scene.group.owns(first, &scene.places(&[1])[0]));
        assert!(scene.group.owns(first, &scene.places(&[0])[0]));
    }

    #[test]
    fn who_comes_back_under_its_name_gets_the_same_and_shuts_the_old_one_out() {
        let mut scene = Scene::new();
        let first = scene.join("a");
        let second = scene.join("b");
        let (moving, late) = (scene.places(&[1, 3]), scene.late());
        scene.group.release(first, &moving, late);
        scene.news("b");
        let again = scene.join("b");
        assert_eq!(scene.news("b"), [("assigned", vec![1, 3])]);
        assert!(!scene.group.has("b", second));
        assert!(scene.group.has("b", again));
        assert!(!scene.group.owns(second, &moving[0]));
        scene.group.leave("b", second, late);
        assert!(scene.group.has("b", again), "the old one cannot leave for the new one");
    }

    #[test]
    fn who_leaves_leaves_its_partitions_to_the_others() {
        let mut scene = Scene::new();
        let first = scene.join("a");
        scene.join("b");
        scene.news("a");
        let late = scene.late();
        scene.group.leave("a", first, late);
        assert_eq!(scene.news("b"), [("assigned", vec![0, 1, 2, 3])]);
    }

    #[test]
    fn members_of_one_group_ask_for_the_same_topics() {
        let mut scene = Scene::new();
        scene.join("a");
        let late = scene.late();
        let refused = scene.group.join(&["other".into()], 4, "b", late).unwrap_err();
        assert_eq!(refused.kind(), LogErrorKind::Configuration);
        assert!(scene.group.join(&["other".into()], 2, "a", late).is_ok());
        assert_eq!(scene.news("a"), [("assigned", vec![0, 1])]);
    }
}
